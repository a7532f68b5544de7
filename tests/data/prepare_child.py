"""``python -m tests.data.prepare_child ROOT OUT SIZE WORKERS``: prepares a small UBFC-Phys; to be killed by a test."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import zarr.codecs

from kdphys.containers import Clip, Video
from kdphys.data.prepare import prepare
from kdphys.data.readers import load_reader
from kdphys.dsp import resample_by_time


def whole_picture(video: Video, size: int, fs: float, box_scale: float) -> Clip | None:
    """An extractor that takes the whole picture for the face; a dark picture is none."""
    frames = [(f.t, cv2.resize(f.rgb, (size, size), interpolation=cv2.INTER_AREA)) for f in video]
    if np.mean([rgb.mean() for _, rgb in frames]) < 5:
        return None
    times = np.array([t for t, _ in frames])
    values, valid, t0 = resample_by_time(times, np.stack([rgb for _, rgb in frames]).astype(float), fs)
    return Clip(np.nan_to_num(values), fs, t0, valid)


def main(root: str, out: str, size: str, workers: str) -> None:
    assert zarr.codecs.ZstdCodec  # imported before the clock starts
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    takes = load_reader("ubfc-phys").find(root)
    prepare(takes, "ubfc-phys", Path(out), whole_picture, size=int(size), workers=int(workers))
    sys.stdout.write("done\n")


if __name__ == "__main__":
    from tests.data.prepare_child import main as importable  # so that workers find the extractor

    importable(*sys.argv[1:])
