"""Readers of public data sets, one file each, behind :class:`kdphys.containers.Recording`.

None of the sets may be redistributed; each is obtained from its owners under their terms. Labels are matched to frames
by time, never by count.
"""

from __future__ import annotations

from kdphys.data.recording import Reader
from kdphys.registry import Registry

#: Name → reader class. A new data set is a file here and a line in this table.
DATASETS = Registry(
    "data set",
    {
        "cohface": "kdphys.data.readers.cohface:Cohface",
        "ibvp": "kdphys.data.readers.ibvp:Ibvp",
        "lgi-ppgi": "kdphys.data.readers.lgi_ppgi:LgiPpgi",
        "mmpd": "kdphys.data.readers.mmpd:Mmpd",
        "pure": "kdphys.data.readers.pure:Pure",
        "scamps": "kdphys.data.readers.scamps:Scamps",
        "ubfc-phys": "kdphys.data.readers.ubfc_phys:UbfcPhys",
        "ubfc-rppg": "kdphys.data.readers.ubfc_rppg:UbfcRppg",
        "vipl-hr": "kdphys.data.readers.vipl_hr:ViplHr",
    },
)


def load_reader(name: str) -> Reader:
    """The reader of a data set by its name.

    Raises:
        UnknownNameError: the message lists the known ones.
    """
    reader: Reader = DATASETS.load(name)()
    return reader
