"""Fixed scales for what an INT8 ONNX model multiplies, measured on texts.

ONNX Runtime's dynamic quantisation takes a scale from the largest activation of a batch, so that a text's label depends
on the texts that share its batch. With fixed scales it depends on the text alone. The few values beyond a scale are
cut off.

Source: Krishnamoorthi 2018, arXiv:1806.08342, section 3.1.1, with the percentile of Wu et al. 2020, arXiv:2004.09602,
section 4.2.
"""

from collections.abc import Sequence

import numpy as np
import torch

from emotion.data import TokenIds
from emotion.models import require_packages

TAIL = 1e-5
"""Share of an activation's values that are cut off at either end."""
STEPS = 255
"""Between the lowest and the highest uint8."""

Ranges = dict[str, tuple[float, float]]
"""The lowest and the highest value of each activation, by its name in the ONNX model."""


def fix_activation_scales(dynamic: bytes, original: bytes, rows: Sequence[TokenIds]) -> bytes:
    """Replace the scales that a quantised model computes for each batch by those that suit ``rows``.

    Args:
        dynamic: The model as ``quantize_dynamic`` makes it.
        original: The model that it was made from, in FP32.
        rows: Token ids, (tokens,) each, of at least one text.
    """
    onnx, _ = require_packages("onnx", "onnxruntime")
    model = onnx.load_from_string(dynamic)
    nodes = [node for node in model.graph.node if node.op_type == "DynamicQuantizeLinear"]
    ranges = measure_ranges(original, sorted({node.input[0] for node in nodes}), rows)
    for node in nodes:
        low, high = ranges[node.input[0]]
        scale = np.float32((high - low) / STEPS) or np.float32(1)
        zero_point = np.uint8(np.clip(np.rint(-low / scale), 0, STEPS))
        quantized, scale_name, zero_point_name = node.output
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(scale), scale_name))
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(zero_point), zero_point_name))
        inputs = [node.input[0], scale_name, zero_point_name]
        node.CopyFrom(onnx.helper.make_node("QuantizeLinear", inputs, [quantized], name=node.name))
    serialized: bytes = model.SerializeToString(deterministic=True)
    return serialized


def measure_ranges(serialized: bytes, names: Sequence[str], rows: Sequence[TokenIds]) -> Ranges:
    """Measure the range of all but :data:`TAIL` of the values at either end; zero is always within.

    Args:
        serialized: An ONNX model in FP32 with the inputs of :class:`emotion.models.OnnxClassifier`.
        names: Of its activations, (1, tokens, width) each.
        rows: Token ids, (tokens,) each, of at least one text. Each is a batch of its own, so that no padding counts.
    """
    onnx, onnxruntime = require_packages("onnx", "onnxruntime")
    model = onnx.load_from_string(serialized)
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    tokens = sum(len(row) for row in rows)
    lowest = dict.fromkeys(names, np.empty(0, np.float32))
    highest = lowest.copy()
    for row in rows:
        ids = np.asarray(row, dtype=np.int64)[None]
        activations = session.run(names, {"input_ids": ids, "attention_mask": np.ones_like(ids)})
        for name, activation in zip(names, activations, strict=True):
            count = max(1, round(TAIL * tokens * activation.shape[-1]))
            lowest[name] = -_largest(np.append(-lowest[name], -activation), count)
            highest[name] = _largest(np.append(highest[name], activation), count)
    return {name: (min(0.0, float(lowest[name].max())), max(0.0, float(highest[name].min()))) for name in names}


def _largest(values: np.ndarray, count: int) -> np.ndarray:
    """Return the ``count`` largest of ``values``, in any order, or all if there are fewer."""
    return torch.from_numpy(values).topk(min(count, len(values)), sorted=False).values.numpy()
