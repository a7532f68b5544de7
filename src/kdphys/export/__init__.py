"""Trained networks as ONNX files, each with a gate: what does not compute what its source computes is not written.

NAME.onnx holds the clip graph: crops as the pipeline makes them, float32 (B, T, S, S, 3), RGB 0–255, with any B and T
→ BVP (B, T). NAME-stream.onnx holds the streaming graph: a few frames and states → BVP and states. What the pipeline
must know about a graph (size, rate, look-back, look-ahead) is inside the file.
"""

from kdphys.export.clip import export_onnx, parity
from kdphys.export.graph import OPSET, TOLERANCE
from kdphys.export.stream import export_stream, stream_parity

__all__ = ["OPSET", "TOLERANCE", "export_onnx", "export_stream", "parity", "stream_parity"]
