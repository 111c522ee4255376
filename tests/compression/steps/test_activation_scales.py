"""Fixed scales of activations: their ranges, their rounding, and results that do not depend on the rest of a batch."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from emotion.checkpoint import load
from emotion.compression import export_onnx_int8
from emotion.compression.steps.activation_scales import fix_activation_scales, measure_ranges
from emotion.compression.steps.onnx_quantization import quantize_linear_layers
from emotion.compression.steps.registry import OnnxConfig
from support.files import TEXTS, sample_rows

pytestmark = pytest.mark.usefixtures("one_thread")

WIDTH, CLASSES = 16, 3
RNG = np.random.default_rng(0)
EMBEDDING = RNG.normal(1, 2, (300, WIDTH)).astype(np.float32)
WEIGHT = RNG.normal(size=(WIDTH, CLASSES)).astype(np.float32)


def embed_and_multiply(embedding: np.ndarray = EMBEDDING) -> bytes:
    """An ONNX model with a single product: of ``embedded``, (texts, tokens, width), and a matrix."""
    nodes = [
        helper.make_node("Gather", ["embedding", "input_ids"], ["embedded"]),
        helper.make_node("MatMul", ["embedded", "weight"], ["logits"], name="product"),
    ]
    inputs = [
        helper.make_tensor_value_info(name, onnx.TensorProto.INT64, ["texts", "tokens"])
        for name in ("input_ids", "attention_mask")
    ]
    output = helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["texts", "tokens", CLASSES])
    constants = [numpy_helper.from_array(embedding, "embedding"), numpy_helper.from_array(WEIGHT, "weight")]
    graph = helper.make_graph(nodes, "g", inputs, [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)
    return bytes(model.SerializeToString())


def rows(count: int, tokens: int) -> list[np.ndarray]:
    return list(np.random.default_rng(1).integers(0, len(EMBEDDING), (count, tokens)).astype(np.int32))


@pytest.mark.parametrize("tokens", [1, 20, 10_000])
def test_a_range_leaves_out_the_most_extreme_values_at_each_end(tokens: int) -> None:
    texts = rows(3, tokens)
    values = np.sort(EMBEDDING[np.concatenate(texts)].ravel())
    beyond = max(1, round(len(values) / 100_000)) - 1
    ((low, high),) = measure_ranges(embed_and_multiply(), ["embedded"], texts).values()
    assert (low, high) == (values[beyond], values[-1 - beyond])


@pytest.mark.parametrize("sign", [1, -1])
def test_a_range_includes_zero(sign: int) -> None:
    ((low, high),) = measure_ranges(embed_and_multiply(sign * np.abs(EMBEDDING)), ["embedded"], rows(3, 5)).values()
    assert (low == 0 < high) if sign > 0 else (low < 0 == high)


def test_activations_are_rounded_to_fixed_steps_and_cut_off_outside_the_range() -> None:
    texts = rows(4, 6)
    dynamic = quantize_linear_layers(embed_and_multiply(), [], per_channel=True, reduce_range=True)
    fixed = fix_activation_scales(dynamic, embed_and_multiply(), texts)
    onnx.checker.check_model(onnx.load_from_string(fixed))
    session = onnxruntime.InferenceSession(fixed, providers=["CPUExecutionProvider"])
    ids = np.arange(len(EMBEDDING), dtype=np.int64)[None]
    (found,) = session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})

    seen = EMBEDDING[np.concatenate(texts)]
    scale = (seen.max() - seen.min()) / 255
    zero_point = np.rint(-seen.min() / scale)
    rounded = (np.clip(np.rint(EMBEDDING / scale) + zero_point, 0, 255) - zero_point) * scale
    assert (seen.max() < EMBEDDING).any(), "the measured texts must lack some values"
    steps = np.abs(WEIGHT).max(axis=0) / 64
    weight = np.rint(WEIGHT / steps) * steps
    np.testing.assert_allclose(found[0], rounded @ weight, atol=0.02 * np.abs(found).max())
    assert np.abs(found[0] - rounded @ weight).mean() < np.abs(found[0] - EMBEDDING @ WEIGHT).mean()


def test_activations_that_are_all_zero_cause_no_division_by_zero() -> None:
    still = np.zeros_like(EMBEDDING)
    dynamic = quantize_linear_layers(embed_and_multiply(still), [], per_channel=True, reduce_range=True)
    fixed = fix_activation_scales(dynamic, embed_and_multiply(still), rows(1, 4))
    session = onnxruntime.InferenceSession(fixed, providers=["CPUExecutionProvider"])
    ids = np.zeros((1, 4), dtype=np.int64)
    (found,) = session.run(None, {"input_ids": ids, "attention_mask": ids})
    assert (found == 0).all()


def test_a_texts_probabilities_do_not_depend_on_the_rest_of_its_batch(originals: dict[str, Path]) -> None:
    texts = [text for text, _ in sample_rows("train", 64)]
    config = OnnxConfig(per_channel=True, reduce_range=True, embedding_bits=8)
    for kind in ("minilm", "modernbert"):
        predictor = export_onnx_int8(load(originals[kind]), config, texts)
        alone = predictor.predict_proba(TEXTS, batch_size=1).numpy()
        for batch_size in (4, len(TEXTS)):
            np.testing.assert_allclose(predictor.predict_proba(TEXTS, batch_size).numpy(), alone, atol=1e-4)
