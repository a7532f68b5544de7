"""The only door to ONNX Runtime: one thread unless asked otherwise, and **no telemetry**.

From 1.29 on, the official ONNX Runtime builds for Linux send usage events to their maker unless told not to, and leave
a device identifier in the user's cache folder. Nothing leaves the machine here: the switch is set before the library is
loaded, and again through its own call in case a host application had loaded it already.
"""

from __future__ import annotations

import os
from typing import Any

from kdphys.errors import KDPhysError


def open_session(model: bytes, what: str, threads: int = 1) -> Any:
    """An ``onnxruntime.InferenceSession`` on the CPU.

    Args:
        model: content of an ONNX file.
        what: name of the model for error messages.
        threads: that one call may use.

    Raises:
        KDPhysError: the model cannot be loaded.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.enable_mem_pattern = False  # no faster with it, and some MB larger
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise KDPhysError(f"{what} cannot be loaded by ONNX Runtime: {error}") from error
