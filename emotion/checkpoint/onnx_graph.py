"""What an ONNX model from a stranger may be: one plain graph, which holds its weights and fits them."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from emotion.checkpoint.onnx_sizes import require_within_limits
from emotion.errors import UserError, quoted
from emotion.models import require_packages

OPERATORS = frozenset(
    """
    Abs Add And Attention Cast Ceil Clip Concat Cos CumSum Div DynamicQuantizeLinear Equal Erf Exp Expand Gather
    GatherElements GatherND Gelu Gemm Greater GreaterOrEqual Identity LayerNormalization Less LessOrEqual Log MatMul
    MatMulInteger Max Min Mul Neg Not Or Pow QuantizeLinear Range Reciprocal ReduceMax ReduceMean ReduceSum Relu Reshape
    RotaryEmbedding Shape Sigmoid Sign Sin Slice Softmax Split Sqrt Squeeze Sub Tanh Tile Transpose Unsqueeze Where
    """.split()  # noqa: SIM905
)
"""Those that BERT and its kin are exported to, ModernBERT and DeBERTa included, and a few as plain.

None runs a graph of its own, reads a file or draws a random number, and none but the matrix products and Attention
takes longer than its result is large.
"""
INPUTS = ["input_ids", "attention_mask"]
OUTPUTS = ["logits", "features"]
"""Models of earlier versions have the first alone."""
_PLAIN_ATTRIBUTES = frozenset({1, 2, 3, 6, 7, 8})
"""Numbers, strings and lists of them: no tensors and no graphs."""


def require_classifier(model: Any, size: int, path: Path) -> None:
    """Refuse an ``onnx.ModelProto`` of ``size`` bytes that could do more than a classifier needs.

    Raises:
        UserError: It has other inputs, outputs or operators, weights in other files or larger than the model, or
            sizes that are not those of a Transformer (:mod:`emotion.checkpoint.onnx_sizes`).
    """
    graph = model.graph
    if model.functions or model.training_info or graph.sparse_initializer or graph.quantization_annotation:
        raise UserError(f"{path}: must be one plain ONNX graph, found functions or other parts; refused")
    outputs = OUTPUTS[: max(len(graph.output), 1)]
    for kind, ends, expected in (("inputs", graph.input, INPUTS), ("outputs", graph.output, outputs)):
        names = [end.name for end in ends]
        if names != expected:
            raise UserError(f"{path}: must have the {kind} {', '.join(expected)}, found {quoted(', '.join(names))}")
    if [library.domain for library in model.opset_import] != [""]:
        raise UserError(f"{path}: must use the standard ONNX operators alone, found other libraries; refused")
    for node in graph.node:
        plain = all(each.type in _PLAIN_ATTRIBUTES and not each.ref_attr_name for each in node.attribute)
        if node.domain or node.op_type not in OPERATORS or not plain:
            raise UserError(f"{path}: must use operators of a classifier, found {quoted(node.op_type)}; refused")
    _require_weights(graph.initializer, size, path)
    require_within_limits(model, path)


def _require_weights(weights: Sequence[Any], size: int, path: Path) -> None:
    """Refuse weights that lie in other files, or that claim more bytes than there are.

    ONNX Runtime compares each weight with its own bytes; to do so here would copy them all.
    """
    (onnx,) = require_packages("onnx")
    claimed = 0
    for weight in weights:
        if weight.data_location or weight.external_data:
            raise UserError(f"{path}: must hold its weights, found {quoted(weight.name)} in another file; refused")
        if weight.data_type not in onnx.helper.get_all_tensor_dtypes() or any(each < 0 for each in weight.dims):
            raise UserError(f"{path}: must hold weights of a known kind, found {quoted(weight.name)}; refused")
        width = onnx.helper.tensor_dtype_to_np_dtype(weight.data_type).itemsize if weight.HasField("raw_data") else 1
        claimed += math.prod(weight.dims) * width
    if claimed > size:
        raise UserError(f"{path}: must hold weights with all their bytes, found {size:,} of {claimed:,}; refused")
