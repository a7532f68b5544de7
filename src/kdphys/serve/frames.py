"""Messages of a stream, looked at before anything is decoded."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

_TIME = struct.Struct("<d")
#: Times further from 0 than this are a mistake, seconds.
_FAR_S = 1e12
#: Segments that are read before a JPEG's size must have come.
_SEGMENTS = 64
#: Scans of one JPEG; a camera's has one (and its thumbnail another), a thousand are an attack.
_SCANS = 8
_SEQUENTIAL = (0xC0, 0xC1)
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


@dataclass(frozen=True)
class Malformed(Exception):
    """A message that is no frame of this stream.

    Args:
        code: stable, for programs.
        message: for people.
    """

    code: str
    message: str


def jpeg_size(data: bytes) -> tuple[int, int]:
    """Width and height of a JPEG by its header.

    Raises:
        Malformed: no JPEG, or of a kind that is not taken.
    """
    at = 2
    if data[:2] == b"\xff\xd8":
        for _ in range(_SEGMENTS):
            if len(data) < at + 9 or data[at] != 0xFF:
                break
            while data[at + 1 : at + 2] == b"\xff":  # any number of them may stand before a marker
                at += 1
            if len(data) < at + 9:
                break
            marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4])
            if marker in _FRAME_HEADERS:
                if marker not in _SEQUENTIAL:
                    raise Malformed("progressive", "expected a baseline JPEG, got a progressive or lossless one")
                if data.count(b"\xff\xda") > _SCANS:
                    raise Malformed("progressive", "expected a JPEG of one scan")
                return int.from_bytes(data[at + 7 : at + 9]), int.from_bytes(data[at + 5 : at + 7])
            if length < 2 or marker == 0xDA:
                break
            at += 2 + length
    raise Malformed("not_jpeg", "expected a JPEG after the 8 bytes of the time")


@dataclass(frozen=True)
class Format:
    """What the frames of a stream are.

    Args:
        jpeg: JPEG, else raw RGB.
        width, height: pixels.
        most: width × height that is decoded here.
    """

    jpeg: bool
    width: int
    height: int
    most: int

    def split(self, message: bytes) -> tuple[float, bytes]:
        """Time in seconds and picture of a message.

        Raises:
            Malformed: what is wrong with it.
        """
        if len(message) <= _TIME.size:
            raise Malformed(
                "too_short",
                f"expected 8 bytes of time (float64, little-endian) and a picture, got {len(message)} bytes",
            )
        (t,) = _TIME.unpack_from(message)
        if not math.isfinite(t) or abs(t) > _FAR_S:
            raise Malformed(
                "bad_time", "expected a finite time in seconds in the first 8 bytes (float64, little-endian)"
            )
        data = message[_TIME.size :]
        if not self.jpeg:
            wanted = self.width * self.height * 3
            if len(data) != wanted:
                shape = f"{self.width}×{self.height}×3"
                raise Malformed("wrong_size", f"expected {shape} = {wanted} bytes of RGB, got {len(data)}")
            return t, data
        width, height = jpeg_size(data)
        if width * height > self.most:
            raise Malformed("too_large", f"a JPEG of {width}×{height}; at most {self.most} pixels are decoded here")
        if (width, height) != (self.width, self.height):
            raise Malformed(
                "wrong_size", f"expected a JPEG of {self.width}×{self.height} as announced, got {width}×{height}"
            )
        return t, data
