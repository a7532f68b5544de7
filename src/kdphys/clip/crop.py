"""Square crops around a face, area-averaged in floating point.

Rounding to 8 bits between decoding and averaging would cost signal: the pulse is about half a grey level.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from kdphys.errors import InvalidInputError

Floats = NDArray[np.floating[Any]]

#: Face box × this = the crop that models see.
BOX_SCALE = 1.5
#: Brightness of R, G, B (ITU-R BT.601).
LUMA = np.array([0.299, 0.587, 0.114])


def square(box: Floats, scale: float = BOX_SCALE) -> Floats:
    """The square around the centre of ``box`` (x0, y0, x1, y1) whose side is ``scale`` × the mean of its sides."""
    x0, y0, x1, y1 = (float(v) for v in box)
    x, y, half = (x0 + x1) / 2, (y0 + y1) / 2, scale * ((x1 - x0 + y1 - y0) / 2) / 2
    return np.array([x - half, y - half, x + half, y + half])


def surround(rgb: NDArray[np.uint8], box: Floats) -> float:
    """Mean brightness of the picture around a face: outside of ``BOX_SCALE`` × its box.

    What beats there as it does in the face is the light, or the encoder, and no pulse. One pixel in some dozens is
    looked at.

    Args:
        rgb: uint8 (H, W, 3).
        box: (4,) x0, y0, x1, y1 of the face in pixels.

    Returns:
        0–255; NaN where less than a twentieth of the picture is left.
    """
    step = max(min(rgb.shape[:2]) // 60, 1)
    seen = np.ascontiguousarray(rgb[step // 2 :: step, step // 2 :: step])
    down, across = seen.shape[:2]
    first, ends = step // 2, (across, down, across, down)
    x0, y0, x1, y1 = (
        int(min(max(math.ceil((v - first) / step), 0), end)) for v, end in zip(square(box).tolist(), ends, strict=True)
    )
    count = down * across - (x1 - x0) * (y1 - y0)
    if count < 0.05 * down * across:
        return float("nan")
    total = np.array(cv2.sumElems(seen)[:3])
    if x1 > x0 and y1 > y0:
        total -= cv2.sumElems(seen[y0:y1, x0:x1])[:3]
    return float(total @ LUMA) / float(count)


def crop(rgb: NDArray[np.uint8], box: Floats, size: int) -> NDArray[np.float32]:
    """Cut ``box`` out and average it down (or interpolate it up) to ``size`` × ``size``.

    Where the box leaves the picture, the picture's edge is repeated. Sides are rounded to whole pixels; the centre is
    not, and the picture is interpolated between its pixels: a box that follows a face moves by less than one.

    Args:
        rgb: uint8 (H, W, 3).
        box: (4,) x0, y0, x1, y1 in pixels.
        size: side of the result.

    Returns:
        float32 (size, size, 3), 0–255.

    Raises:
        InvalidInputError: the box is empty or lies outside the picture.
    """
    height, width = rgb.shape[:2]
    across, down = (round(float(v)) for v in box[2:] - box[:2])
    left, top = (float(v) for v in (box[:2] + box[2:] - (across, down)) / 2)
    x0, y0 = int(np.floor(left)), int(np.floor(top))
    between = (left - x0, top - y0)
    x1, y1 = (x0 + across + 1, y0 + down + 1) if any(between) else (x0 + across, y0 + down)
    if across < 1 or down < 1 or x1 <= 0 or y1 <= 0 or x0 >= width or y0 >= height:
        raise InvalidInputError(f"crop: box {[x0, y0, x1, y1]} does not overlap a picture of {width}×{height}")
    part: NDArray[Any] = rgb[max(y0, 0) : min(y1, height), max(x0, 0) : min(x1, width)]
    around = (max(-y0, 0), max(y1 - height, 0), max(-x0, 0), max(x1 - width, 0))
    if any(around):
        part = cv2.copyMakeBorder(part, *around, borderType=cv2.BORDER_REPLICATE)
    if any(between):
        right, below = (np.array([1 - share, share]) for share in between)
        part = cv2.sepFilter2D(part, cv2.CV_32F, right, below, anchor=(0, 0))[:-1, :-1]
    else:
        part = part.astype(np.float32)
    shrink = down >= size and across >= size
    out = cv2.resize(part, (size, size), interpolation=cv2.INTER_AREA if shrink else cv2.INTER_LINEAR)
    return np.asarray(out, np.float32)
