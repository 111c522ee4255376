"""How weights become INT8: what is rounded, to how many bits, and smoothing beforehand."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from emotion.checkpoint import load, save
from emotion.compression.steps.onnx import export_onnx
from emotion.compression.steps.onnx_int8 import export_onnx_int8
from emotion.compression.steps.onnx_quantization import quantize_linear_layers
from emotion.compression.steps.quantized_embedding import Int4Embedding, Int8Embedding, quantize_embeddings_
from emotion.compression.steps.registry import OnnxConfig
from emotion.compression.steps.smoothing import smooth_
from emotion.models import Predictor
from support.files import TEXTS
from support.heads import HEADS
from support.onnx_models import matrix_products
from support.predictors import KINDS

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize(("reduce_range", "largest"), [(False, 127), (True, 64)])
@pytest.mark.parametrize("per_channel", [True, False])
def test_weights_are_rounded_to_as_many_bits_and_scales_as_asked(
    per_channel: bool, reduce_range: bool, largest: int
) -> None:
    weight = np.random.default_rng(0).normal(size=(16, 8)).astype(np.float32)
    weight *= np.float32(2) ** np.arange(8, dtype=np.float32)
    model = onnx.load_from_string(quantize_linear_layers(matrix_products(weight), [], per_channel, reduce_range))
    found = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    (name,) = [name for name, value in found.items() if value.dtype == np.int8 and value.ndim == 2]
    (scale,) = [value for name, value in found.items() if value.dtype == np.float32]
    assert scale.size == (8 if per_channel else 1)
    assert np.abs(found[name]).max() in (largest, largest - 1)
    np.testing.assert_allclose(found[name] * scale, weight, atol=scale.max() * 0.51)


@pytest.mark.parametrize(("head", "is_kept"), [("itself", True), ("transposed", True), ("another", False)])
def test_a_matrix_of_the_head_is_kept_even_if_it_is_transposed(head: str, is_kept: bool) -> None:
    weights = np.random.default_rng(0).normal(size=(4, 16, 8)).astype(np.float32)
    matrix = {"itself": weights[0], "transposed": weights[0].T.copy(), "another": weights[1]}[head]
    model = matrix_products(weights[0], weights[3].T.copy())
    quantized = quantize_linear_layers(model, [torch.from_numpy(matrix)], per_channel=True, reduce_range=False)
    found = [node.op_type for node in onnx.load_from_string(quantized).graph.node]
    assert found.count("MatMulInteger") == (1 if is_kept else 2)
    assert found.count("MatMul") == (1 if is_kept else 0)


def column_maxima(checkpoint: Predictor, names: list[str]) -> list[Tensor]:
    """For each linear layer, the largest absolute value in each column of its input, after all its hooks."""
    found: dict[str, Tensor] = {}

    def record(name: str) -> Any:
        def hook(_module: nn.Module, inputs: tuple[Tensor]) -> None:
            largest = inputs[0].abs().flatten(0, -2).amax(0)
            found[name] = torch.maximum(found.get(name, largest), largest)

        return hook

    handles = [checkpoint.torch_model.get_submodule(name).register_forward_pre_hook(record(name)) for name in names]
    checkpoint.predict_proba(TEXTS)
    for handle in handles:
        handle.remove()
    return [found[name] for name in names]


@pytest.mark.parametrize("kind", KINDS)
def test_smoothing_changes_the_inputs_but_not_the_answers(kind: str, originals: dict[str, Path]) -> None:
    checkpoint = load(originals[kind])
    linears = [name for name, module in checkpoint.torch_model.named_modules() if isinstance(module, nn.Linear)]
    head = [name for name in linears if name.startswith(tuple(HEADS[kind]))]
    assert len(head) == 2
    with torch.no_grad():
        for name in linears:  # as in real models: a few columns are far larger than the others
            if name not in head:
                checkpoint.torch_model.get_submodule(name).weight[:, 3] /= 50
        for name, module in checkpoint.torch_model.named_modules():
            if isinstance(module, nn.LayerNorm) and name not in head:
                module.weight[3] *= 50
    expected, before = checkpoint.predict_proba(TEXTS), column_maxima(checkpoint, linears)
    smooth_(checkpoint, TEXTS)
    torch.testing.assert_close(checkpoint.predict_proba(TEXTS), expected, rtol=1e-3, atol=1e-4)
    for name, old, new in zip(linears, before, column_maxima(checkpoint, linears), strict=True):
        if name in head:
            torch.testing.assert_close(old, new, rtol=1e-3, atol=1e-4)
        else:
            assert new.log().std() < old.log().std(), name


def test_an_embedding_is_rounded_by_row() -> None:
    torch.manual_seed(0)
    original = nn.Embedding(20, 8)
    original.weight.data *= torch.logspace(-6, 6, 20)[:, None]
    original.weight.data[7] = 0
    ids = torch.arange(20).view(4, 5)
    found, expected = Int8Embedding(original)(ids), original(ids).detach()
    step = expected.abs().amax(-1, keepdim=True) / 127
    assert ((found - expected).abs() <= 0.501 * step).all()
    assert not torch.equal(found, expected)
    assert (found[1, 2] == 0).all()


@pytest.mark.parametrize(("width", "block"), [(256, 128), (96, 32), (8, 8), (20, 20)])
def test_four_bits_are_one_of_sixteen_steps_of_a_block(width: int, block: int) -> None:
    """The largest number of a block, of either sign, is kept, and the others are off by half a step at most.

    Those beyond seven steps on the other side become seven.
    """
    torch.manual_seed(0)
    original = nn.Embedding(20, width)
    original.weight.data *= torch.logspace(-6, 6, 20)[:, None]
    original.weight.data[7] = 0
    ids = torch.arange(20).view(4, 5)
    small = Int4Embedding(original)
    found, expected = (each.detach().view(20, -1, block) for each in (small(ids), original(ids)))
    assert small(ids).shape == (4, 5, width)
    assert sum(value.numel() for name, value in small.named_buffers() if name == "pairs") == 20 * width // 2
    largest = expected.gather(2, expected.abs().argmax(2, keepdim=True))
    step = (largest / 8).abs()
    torch.testing.assert_close(found.gather(2, expected.abs().argmax(2, keepdim=True)), largest)
    assert ((found - expected).abs() <= torch.where(expected / -largest > 7 / 8, 1.001, 0.501) * step).all()
    assert (found[7] == 0).all()
    assert found[0, 0].unique().numel() <= 16


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_tokens_embeddings_have_four_bits(kind: str, originals: dict[str, Path]) -> None:
    model = load(originals[kind]).torch_model
    expected = {name for name, module in model.named_modules() if isinstance(module, nn.Embedding)}
    tokens = model.get_input_embeddings()
    (of_tokens,) = (name for name, module in model.named_modules() if module is tokens)
    quantize_embeddings_(model, 4)
    found = {name: type(model.get_submodule(name)) for name in expected}
    assert found == {name: Int4Embedding if name == of_tokens else Int8Embedding for name in expected}


def test_a_file_of_four_bit_embeddings_is_smaller_and_loads_anywhere(
    originals: dict[str, Path], tmp_path: Path
) -> None:
    original = load(originals["minilm"])
    for bits in (8, 4):
        config = OnnxConfig(per_channel=True, reduce_range=True, embedding_bits=bits)
        save(export_onnx_int8(original, config, TEXTS), tmp_path / f"{bits}.onnx")
    loaded = load(tmp_path / "4.onnx")
    assert loaded.metadata["onnx"]["embedding_bits"] == 4
    table = original.torch_model.get_input_embeddings().weight
    sizes = [(tmp_path / f"{bits}.onnx").stat().st_size for bits in (8, 4)]
    assert sizes[0] - sizes[1] == pytest.approx(table.numel() / 2 - 256 * 2 * 4, abs=3000)
    expected = original.predict_proba(TEXTS)
    assert (loaded.predict_proba(TEXTS).argmax(1) == expected.argmax(1)).float().mean() > 0.8


@pytest.mark.parametrize("kind", KINDS)
def test_four_bits_are_the_same_in_onnx_runtime(kind: str, originals: dict[str, Path]) -> None:
    original = load(originals[kind])
    before = original.predict_proba(TEXTS)
    quantize_embeddings_(original.torch_model, 4)
    expected = original.predict_proba(TEXTS)
    assert not torch.allclose(expected, before, atol=1e-3)
    torch.testing.assert_close(export_onnx(original).predict_proba(TEXTS), expected, rtol=1e-3, atol=1e-4)
