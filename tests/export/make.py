"""A small student with the marks of training, and its files as 'kdphys export' writes them."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from filelock import FileLock

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
def exported_student(base: Path) -> Exported:
    """A student whose batch norms have seen something, exported once for all tests in all processes: it takes long.

    Args:
        base: pytest's folder of this process.
    """
    torch.set_num_threads(1)
    model, folder = trained(12), base
    folder = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "exported"
    folder.mkdir(exist_ok=True)
    clip, stream, differs = folder / "student.onnx", folder / "student-stream.onnx", folder / "differs.json"
    with FileLock(folder / "lock"):
        if not differs.exists():
            found = export_onnx(model, "student", clip, WEIGHTS), export_stream(model, "student", stream, WEIGHTS)
            differs.write_text(json.dumps(found))
    return Exported(model, clip, stream, *json.loads(differs.read_text()))
