"""What this machine's processor can multiply."""

from functools import cache

import numpy as np

from emotion.models.onnx_runtime import require_packages


@cache
def int8_products_overflow() -> bool:
    """Return whether products of 8-bit numbers overflow in ONNX Runtime, so that INT8 weights need 7 bits.

    They do on x86 without VNNI, where two products are added in 16 bits. The largest numbers are multiplied to find
    out, in about a millisecond, as a processor's name and flags are neither portable nor true in an emulator.

    Raises:
        UserError: onnx or onnxruntime is not installed.

    Source: onnxruntime.ai/docs/performance/model-optimizations/quantization.html, "When to use reduce-range".
    """
    onnx, onnxruntime = require_packages("onnx", "onnxruntime")
    rows, terms, columns = 4, 64, 32
    activations = np.full((rows, terms), 255, dtype=np.uint8)
    weights = np.full((terms, columns), 127, dtype=np.int8)
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMulInteger", ["activations", "weights"], ["products"])],
        "products",
        [onnx.helper.make_tensor_value_info("activations", onnx.TensorProto.UINT8, activations.shape)],
        [onnx.helper.make_tensor_value_info("products", onnx.TensorProto.INT32, (rows, columns))],
        [onnx.numpy_helper.from_array(weights, "weights")],
    )
    opset = onnx.helper.make_opsetid("", 10)  # the first with MatMulInteger
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (products,) = session.run(None, {"activations": activations})
    return bool((products != 255 * 127 * terms).any())
