"""The packets of a video stream, and where those of an AVI belong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from av import Packet
from av.container import InputContainer
from av.video.stream import VideoStream

#: Bytes of a chunk of an AVI before its content.
_HEADER = 8


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

    def __init__(self, stream: VideoStream) -> None:
        self._index = stream.index_entries
        self._next = 0  # in the index
        self._missing = 0  # so far

    def __call__(self, packet: Packet[VideoStream]) -> tuple[int, int]:
        """The place of a packet (of display, where B-frames have one), and how many are missing just before it."""
        assert packet.dts is not None
        count, before = packet.pts if packet.pts is not None else packet.dts, self._missing
        at = -1 if packet.pos is None else packet.pos - _HEADER
        while self._next < len(self._index) and (entry := self._index[self._next]).pos <= at:
            self._next += 1
            if entry.pos == at:
                self._missing = max(entry.timestamp - packet.dts, before)
        return count + self._missing, self._missing - before
