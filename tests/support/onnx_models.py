"""Small ONNX models."""

import numpy as np
import onnx
from onnx import numpy_helper


def node(operator: str, inputs: str, outputs: str, **attributes: object) -> onnx.NodeProto:
    """A node whose inputs and outputs are named in words."""
    return onnx.helper.make_node(operator, inputs.split(), outputs.split(), **attributes)


def matrix_products(*weights: np.ndarray) -> bytes:
    """An ONNX model that multiplies its input by each of ``weights`` in turn."""
    nodes = [
        onnx.helper.make_node("MatMul", [f"x{place}", f"w{place}"], [f"x{place + 1}"], name=f"product{place}")
        for place in range(len(weights))
    ]
    sizes = {"x0": weights[0].shape[0], f"x{len(weights)}": weights[-1].shape[1]}
    values = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", size]) for name, size in sizes.items()
    ]
    constants = [numpy_helper.from_array(weight, f"w{place}") for place, weight in enumerate(weights)]
    graph = onnx.helper.make_graph(nodes, "g", values[:1], values[1:], constants)
    opsets = [onnx.helper.make_opsetid("", 23)]
    serialized: bytes = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()
    return serialized


def constant_logits(rows: int, classes: int) -> bytes:
    """An ONNX model that answers any batch with zeros, (rows, classes)."""
    inputs = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.INT64, ["texts", "tokens"])
        for name in ("input_ids", "attention_mask")
    ]
    output = onnx.helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, [rows, classes])
    zeros = numpy_helper.from_array(np.zeros((rows, classes), np.float32), "zeros")
    node = onnx.helper.make_node("Identity", ["zeros"], ["logits"])
    graph = onnx.helper.make_graph([node], "g", inputs, [output], [zeros])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 23)], ir_version=10)
    return bytes(model.SerializeToString())
