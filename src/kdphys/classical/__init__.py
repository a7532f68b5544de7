"""Classical methods: functions of the mean skin colour, one file a paper.

Each is ``name(rgb, fs) -> bvp`` with rgb float (T, 3) in RGB order and bvp float64 (T,), systole upwards: it rises with
blood volume, that is, when the skin gets darker. No method looks outside the samples that it is given.
"""

from kdphys.registry import Registry

METHODS = Registry(
    "method",
    {
        "channel": "kdphys.classical.channel:channel",
        "green": "kdphys.classical.green:green",
        "ica": "kdphys.classical.ica:ica",
        "chrom": "kdphys.classical.chrom:chrom",
        "pos": "kdphys.classical.pos:pos",
        "lgi": "kdphys.classical.lgi:lgi",
        "pbv": "kdphys.classical.pbv:pbv",
        "omit": "kdphys.classical.omit:omit",
    },
)

__all__ = ["METHODS"]
