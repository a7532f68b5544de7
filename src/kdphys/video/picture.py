"""One decoded picture as RGB: colour matrix, range, depth, alpha and orientation, as a player would show it."""

from __future__ import annotations

from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, VideoReformatter
from numpy.typing import NDArray

from kdphys.errors import VideoError

#: Pictures with a longer side than this are refused before anything is decoded: 8K is 7680.
MAX_SIDE = 8192
#: What a decoder is told, so that a stream that grows later is refused as well.
MAX_PIXELS = MAX_SIDE * MAX_SIDE

# Matrix coefficients (ITU-T H.273, table 4) → swscale's numbers (SWS_CS_…), which older PyAV does not all name.
# 10 (constant luminance) is shown as 9, as players do.
_MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
#: Transpose, then flip the rows, then flip the columns.
Turn = tuple[bool, bool, bool]

_UNSAID = (0, 2, 3)
_HDR = {16: "PQ", 18: "HLG"}


def check_size(name: str, width: int, height: int) -> None:
    """Refuse pictures that are too large to decode safely.

    Raises:
        VideoError: a side is longer than ``MAX_SIDE``.
    """
    if max(width, height) > MAX_SIDE:
        raise VideoError(
            f"{name}: pictures of {width}×{height} are larger than {MAX_SIDE} pixels a side; scale them down"
        )


class Painter:
    """Turns the pictures of one stream into RGB.

    The matrix is the stream's own; where it does not say, BT.709 from 720 lines upwards and BT.601 below, as players
    do. An unsaid range is limited for YUV and full for everything else. Pictures of more than 8 bits, or in 4:4:4, are
    right to one level; for 8-bit 4:2:0 and 4:2:2, what cameras write, the fast path of libswscale is taken: ten times
    faster, up to three levels below, by an amount that depends on the colour and not on time.

    Args:
        name: of the source, for messages.
        rotation, turn: :attr:`av.VideoFrame.rotation` and :func:`orientation` of the stream. Pictures with another
            rotation are turned by that.

    Attributes:
        transparent: pictures so far that had transparent pixels; they are shown in the colour that is stored.
    """

    def __init__(self, name: str, rotation: int = 0, turn: Turn = (False, False, False)) -> None:
        self._name = name
        self._rotation, self._turn = rotation, turn
        self._swscale = VideoReformatter()
        self._kinds: dict[str, tuple[str, int]] = {}
        self.transparent = 0

    def __call__(self, picture: av.VideoFrame) -> NDArray[np.uint8]:
        """uint8 (H, W, 3), RGB, upright.

        Raises:
            VideoError: colours that are not known here.
        """
        target, unsaid_range = self._kind(picture)
        matrix = self._matrix(picture)
        out = self._swscale.reformat(
            picture,
            format=target,
            src_colorspace=matrix,
            dst_colorspace=matrix,
            src_color_range=picture.color_range if picture.color_range in (1, 2) else unsaid_range,
            dst_color_range=int(ColorRange.JPEG),
        )
        turn = self._turn if picture.rotation == self._rotation else _quarter_turns(picture.rotation)
        return _turned(self._array(out, target), turn)

    def _kind(self, picture: av.VideoFrame) -> tuple[str, int]:
        """The format to convert to, and the range when the picture does not say."""
        name = picture.format.name
        if name not in self._kinds:
            parts = picture.format.components
            yuv = len(parts) > 2 and not picture.format.is_rgb
            if any(p.is_alpha for p in parts) or name == "pal8":
                target = "rgba"
            elif yuv and any(p.bits > 8 for p in parts):
                target = "gbrp"  # to packed RGB, swscale takes a short cut that is off by up to four levels
            else:
                target = "rgb24"
            full = not yuv or name.startswith("yuvj")
            self._kinds[name] = target, int(ColorRange.JPEG if full else ColorRange.MPEG)
        return self._kinds[name]

    def _matrix(self, picture: av.VideoFrame) -> int:
        said = int(picture.colorspace)
        if said in _MATRICES:
            return _MATRICES[said]
        if said not in _UNSAID:
            raise VideoError(
                f"{self._name}: its colour matrix (number {said} of ITU-T H.273) is not known here; re-encode it"
            )
        return _MATRICES[1 if picture.height >= 720 else 6]

    def _array(self, out: av.VideoFrame, target: str) -> NDArray[np.uint8]:
        if target == "gbrp":
            g, b, r = (_plane(p) for p in out.planes)
            return np.asarray(cv2.merge((r, g, b)), np.uint8)
        array = np.asarray(out.to_ndarray(), np.uint8)
        if target == "rgba":
            self.transparent += int(array[..., 3].min() < 255)
            array = array[..., :3]
        return np.ascontiguousarray(array)


def _plane(plane: Any) -> NDArray[np.uint8]:
    return np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]


def orientation(picture: av.VideoFrame) -> Turn:
    """How to show the pictures of a stream upright, by the display matrix of the first; mirror images included.

    Raises:
        VideoError: an angle between quarter turns.
    """
    turn = _quarter_turns(picture.rotation)
    try:
        # Once a stream, never for every picture: PyAV ties a picture to its side data in a circle, and the memory of
        # hundreds of pictures waits for the garbage collector.
        found: Any = picture.side_data.get("DISPLAYMATRIX")
    except ValueError:  # a kind of side data that PyAV does not know; the rotation could be read all the same
        return turn
    if found is None:
        return turn
    m = np.frombuffer(bytes(found), np.int32)
    a, b, c, d = m[0], m[1], m[3], m[4]
    # A pixel at (x, y) is shown at (a x + c y, b x + d y), y downwards.
    transpose = abs(int(b)) + abs(int(c)) > abs(int(a)) + abs(int(d))
    return (True, bool(b < 0), bool(c < 0)) if transpose else (False, bool(d < 0), bool(a < 0))


def _quarter_turns(degrees: int) -> Turn:
    if degrees % 90:
        raise VideoError(f"rotated by {degrees}° in its metadata; only quarter turns are known, rotate it first")
    return ((False, False, False), (True, True, False), (False, True, True), (True, False, True))[degrees // 90 % 4]


def _turned(rgb: NDArray[np.uint8], turn: Turn) -> NDArray[np.uint8]:
    transpose, flip_rows, flip_columns = turn
    out: Any = cv2.transpose(rgb) if transpose else rgb  # ten times faster than NumPy
    if flip_rows or flip_columns:
        out = cv2.flip(out, -1 if flip_rows and flip_columns else (0 if flip_rows else 1))
    return np.asarray(out, np.uint8)


def describe_colours(picture: av.VideoFrame) -> str | None:
    """What is worth saying about the colours: a transfer curve of high dynamic range is kept, not mapped."""
    curve = _HDR.get(int(picture.color_trc))
    return f"high dynamic range ({curve}): the levels are kept as they are stored" if curve else None
