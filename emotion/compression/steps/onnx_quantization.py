"""INT8 for the matrix products of an ONNX model.

Source: Jacob et al. 2017, arXiv:1712.05877; onnxruntime.ai/docs/performance/model-optimizations/quantization.html.
"""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from emotion.temporaries import temporary_folder


def quantize_linear_layers(serialized: bytes, head: Sequence[Tensor], per_channel: bool, reduce_range: bool) -> bytes:
    """Quantise all products with a constant matrix to INT8, except those with a matrix of ``head``.

    Args:
        serialized: An ONNX model in FP32.
        head: Matrices, found by their values: the exporter renames and transposes them.
        per_channel: Whether each output has its own scale.
        reduce_range: Whether weights have 7 bits instead of 8.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic  # type: ignore[import-untyped]
    from onnxruntime.quantization.quant_utils import add_pre_process_metadata  # type: ignore[import-untyped]

    model = onnx.load_from_string(serialized)
    kept = [matrix for weight in head for matrix in (weight.numpy(), weight.numpy().T)]
    weights = {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}
    add_pre_process_metadata(model)  # the exporter has inferred shapes and folded constants already
    with temporary_folder() as folder:
        source, target = folder / "model.onnx", folder / "int8.onnx"
        onnx.save(model, source)
        quantize_dynamic(
            source,
            target,
            op_types_to_quantize=["MatMul"],
            # Named one by one, as quantize_dynamic makes further ones of what else multiplies, such as the head's Gemm.
            nodes_to_quantize=[
                node.name
                for node in model.graph.node
                if node.op_type == "MatMul"
                and node.input[1] in weights
                and not any(np.array_equal(weights[node.input[1]], matrix) for matrix in kept)
            ],
            per_channel=per_channel,
            reduce_range=reduce_range,
            weight_type=QuantType.QInt8,
        )
        return target.read_bytes()
