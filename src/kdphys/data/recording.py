"""What a data-set reader is, and the takes that it finds."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from kdphys.containers import Recording
from kdphys.errors import DataError, InvalidInputError, VideoError

if TYPE_CHECKING:
    from kdphys.data.check import CheckReport


@dataclass(frozen=True)
class DatasetInfo:
    """What one should know about a data set before asking for it.

    Args:
        title: its name in print.
        paper: authors, year, venue.
        doi: DOI or arXiv number of the paper.
        licence: terms, in short.
        where: where to ask for it.
        fps: nominal frames per second of the camera.
        subjects: number of persons in the complete set.
        recordings: number of takes in the complete set that this reader reads, or None where it is not fixed.
        references: what was measured beside the video.
        layout: paths below the root.
        notes: traps.
    """

    title: str
    paper: str
    doi: str
    licence: str
    where: str
    fps: str
    subjects: int
    recordings: int | None
    references: str
    layout: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Take:
    """One recording on disk that is opened when asked for. Small, and can be sent to another process.

    Args:
        reader: the data set it belongs to.
        subject: the person.
        name: the take, unique within the data set.
        files: what belongs to it, by role ("video", "bvp", …); a file need not exist.
        conditions: tags that are known without opening a file.
    """

    reader: Reader
    subject: str
    name: str
    files: Mapping[str, Path]
    conditions: Mapping[str, str] = field(default_factory=dict)

    def open(self) -> Recording:
        """See :meth:`Reader.load`."""
        return self.reader.load(self)

    def path(self, role: str) -> Path:
        """The file of a role.

        Raises:
            DataError: it is not there.
        """
        path = self.files[role]
        if not path.exists():
            raise DataError(f"missing {role}: there is no {path}")
        return path


class Reader(ABC):
    """A data set on disk. One file a data set: subclass, implement three methods, add a line to the registry.

    Attributes:
        name: as registered.
        info: see :class:`DatasetInfo`.
    """

    name: ClassVar[str]
    info: ClassVar[DatasetInfo]

    @abstractmethod
    def _find(self, root: Path) -> Iterator[Take]:
        """Every take of which there is a trace below ``root``; opens nothing."""

    @abstractmethod
    def _load(self, take: Take) -> Recording:
        """Read the references and open the video of a take. May raise any of the errors that :meth:`load` turns."""

    def expected(self) -> Sequence[str]:
        """Names of all takes of the complete set; empty where the set does not fix them."""
        return ()

    def find(self, root: str | Path) -> list[Take]:
        """The takes below ``root``, in natural order of their names; nothing is opened yet.

        Raises:
            DataError: no such folder, or nothing in it looks like this data set.
        """
        root = Path(root)
        if not root.is_dir():
            raise DataError(f"{root}: no such folder; expected the root of {self.info.title}")
        takes = sorted(self._find(root), key=lambda take: natural(take.name))
        if not takes:
            raise DataError(f"{root}: nothing of {self.info.title} here; expected {self.info.layout}")
        names = [take.name for take in takes]
        twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
        if twice:
            raise DataError(f"{root}: found twice: {', '.join(twice[:5])}; give the folder of one copy")
        return takes

    def load(self, take: Take) -> Recording:
        """Read the references of a take and open its video; frames are read only when iterated.

        Raises:
            DataError: a file is missing, truncated or not what it should be.
            VideoError: the video cannot be opened.
        """
        try:
            return self._load(take)
        except (DataError, VideoError) as error:
            raise type(error)(f"{take.name}: {error}") from error
        except InvalidInputError as error:
            raise DataError(f"{take.name}: {error}") from error
        except OSError as error:
            raise DataError(f"{take.name}: cannot be read ({error})") from error

    def recordings(
        self, root: str | Path, on_error: Callable[[Take, Exception], None] | None = None
    ) -> Iterator[Recording]:
        """The recordings below ``root``, one after another, each opened when its turn comes.

        Args:
            root: of the data set.
            on_error: told of a take that cannot be opened, which is then left out; without it the error is raised.

        Raises:
            DataError, VideoError: see :meth:`find` and :meth:`load`.
        """
        for take in self.find(root):
            try:
                yield self.load(take)
            except (DataError, VideoError) as error:
                if on_error is None:
                    raise
                on_error(take, error)

    def check(self, root: str | Path, **options: Any) -> CheckReport:
        """Walk a copy on disk and report what is missing, truncated or implausible; see :func:`check_dataset`."""
        from kdphys.data.check import check_dataset

        return check_dataset(self, root, **options)


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """A key that sorts "s2" before "s10"."""
    return tuple((1, int(part), "") if part.isdecimal() else (0, 0, part) for part in re.split(r"(\d+)", name) if part)
