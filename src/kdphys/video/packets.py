"""The packets of a video stream, and where those of an AVI belong."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from av import Packet
from av.container import InputContainer
from av.video.stream import VideoStream

from kdphys.errors import VideoError

#: Bytes of a chunk of an AVI before its content, and how they begin.
_HEADER = 8
_CHUNK = re.compile(rb"\d\d[a-z]{2}|ix\d\d|JUNK|LIST|RIFF|idx1")


def demux(container: InputContainer, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
    """The packets of a stream.

    Raises:
        av.error.FFmpegError: the container ends in the middle.
    """
    with suppress(IndexError):  # PyAV, at the end, where a stream came that was not there at the beginning
        yield from container.demux(stream)


class AviPlaces:
    """Where the packets of an AVI belong.

    The file holds no times. FFmpeg counts what it finds; where the file is damaged, its index tells what is missing.
    """

    def __init__(self, path: Path, stream: VideoStream) -> None:
        self._path = path
        self._index = stream.index_entries
        self._told = len(self._index)  # what comes later FFmpeg has written itself, as it counts
        self._next = 0  # in the index
        self._end: int | None = None  # of the packet before
        self._missing = 0  # so far

    def __call__(self, packet: Packet[VideoStream]) -> tuple[int, int]:
        """The place of a packet (of display, where B-frames have one), and how many are missing just before it.

        Raises:
            VideoError: something is missing, and no index tells how much.
        """
        assert packet.dts is not None
        count, before = packet.pts if packet.pts is not None else packet.dts, self._missing
        if packet.pos is not None:
            at, found = packet.pos - _HEADER, False
            while self._next < self._told and (entry := self._index[self._next]).pos <= at:
                self._next += 1
                if entry.pos == at:
                    found, self._missing = True, max(entry.timestamp - packet.dts, before)
            if not found and self._end is not None and not self._is_whole(self._end, at):
                raise VideoError("it is damaged there, and no index tells how much is missing")
            self._end = packet.pos + packet.size
        return count + self._missing, self._missing - before

    def _is_whole(self, end: int, at: int) -> bool:
        """Whether there are but whole chunks between the end of one and the beginning of another."""
        if at - end in (0, 1):  # chunks begin at even places, in most files
            return True
        with self._path.open("rb") as file:
            while end < at:
                for start in (end + end % 2, end):
                    file.seek(start)
                    head = file.read(_HEADER)
                    if _CHUNK.match(head):
                        break
                else:
                    return False
                end = start + (12 if head[:4] in (b"LIST", b"RIFF") else _HEADER + int.from_bytes(head[4:], "little"))
        return at - end in (0, -1)
