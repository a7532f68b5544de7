"""A small student with the marks of training, and its files as 'kdphys export' writes them."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from kdphys.export import export_onnx, export_stream
from kdphys.models.student import Student
from tests.models.test_student import trained

WEIGHTS = "of these weights"


@dataclass(frozen=True)
class Exported:
    """Files of a student."""

    model: Student
    clip: Path
    stream: Path
    clip_differs: float
    stream_differs: float


@cache
def exported_student(size: int = 12) -> Exported:
    """A student whose batch norms have seen something, exported once for all tests: that takes some seconds."""
    torch.set_num_threads(1)
    folder = Path(tempfile.mkdtemp(prefix="kdphys-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    model = trained(size)
    clip, stream = folder / "student.onnx", folder / "student-stream.onnx"
    differs = export_onnx(model, "student", clip, WEIGHTS), export_stream(model, "student", stream, WEIGHTS)
    return Exported(model, clip, stream, *differs)
