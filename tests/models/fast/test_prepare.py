"""Prepared models are as fast as promised elsewhere; here: they compute what transformers' own do."""

import copy
import pickle
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from conftest import KINDS, model_config
from emotion.checkpoint import load
from emotion.models.backbone import find_backbone
from emotion.models.fast.bert_layer import _StreamlinedLayer, streamline_bert_layers_
from emotion.models.fast.packed_linear import _PACKS, PackedLinear, pack_linear_layers_
from emotion.models.fast.prepare import prepare_
from emotion.models.layers import transformer_layers
from emotion.models.pretrained import load_pretrained
from support.labels import EMOTION6

pytestmark = pytest.mark.usefixtures("one_thread")


def plain(folder: Path) -> PreTrainedModel:
    """A tiny model as transformers makes it, with weights that tell."""
    torch.manual_seed(4)
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=6, dtype=torch.float32)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


def inputs(rows: int = 5, tokens: int = 9, padded: bool = True) -> dict[str, Tensor]:
    ids = torch.randint(5, 60, (rows, tokens), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    if padded:
        for row in range(rows):
            ids[row, tokens - row :] = 1
            mask[row, tokens - row :] = 0
    return {"input_ids": ids, "attention_mask": mask}


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_logits_and_gradients_are_those_of_transformers(kind: str, padded: bool, backbones: dict[str, Path]) -> None:
    original = plain(backbones[kind])
    prepared = copy.deepcopy(original)
    prepare_(prepared)
    batch = inputs(padded=padded)
    with torch.inference_mode():
        torch.testing.assert_close(prepared(**batch).logits, original(**batch).logits, rtol=1e-4, atol=1e-5)
    for model in (original, prepared):
        model(**batch, labels=torch.arange(5)).loss.backward()
    for (name, expected), found in zip(original.named_parameters(), prepared.parameters(), strict=True):
        if expected.grad is None:
            assert found.grad is None
        else:
            torch.testing.assert_close(found.grad, expected.grad, rtol=1e-3, atol=1e-5, msg=name)
    assert prepared.state_dict().keys() == original.state_dict().keys()


@pytest.mark.parametrize("kind", KINDS)
def test_the_last_layer_is_computed_for_one_token_where_the_head_reads_one(
    kind: str, backbones: dict[str, Path]
) -> None:
    model = plain(backbones[kind])
    streamline_bert_layers_(model)
    streamline_bert_layers_(model)  # twice is as once
    with torch.inference_mode():
        states = model(**inputs(), output_hidden_states=True).hidden_states
    tokens = 9 if kind == "modernbert" else 1  # its head reads the mean of all tokens
    assert [state.shape[1] for state in states] == [9, 9, tokens]


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_draws_what_transformers_draws(kind: str, backbones: dict[str, Path]) -> None:
    original = plain(backbones[kind])
    for module in original.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.3
    prepared = copy.deepcopy(original)
    prepare_(prepared)
    expected, found = (
        seeded_hidden_states(model.train())  # the first token's part of the last layer draws fewer numbers
        for model in (original, prepared)
    )
    for ours, theirs in zip(found[:-1], expected[:-1], strict=True):
        assert torch.equal(ours, theirs)


def seeded_hidden_states(model: PreTrainedModel) -> tuple[Tensor, ...]:
    torch.manual_seed(0)
    states: tuple[Tensor, ...] = model(**inputs(), output_hidden_states=True).hidden_states
    return states


def test_dropout_of_attention_stays_in_each_layer(backbones: dict[str, Path]) -> None:
    model = plain(backbones["minilm"])
    streamline_bert_layers_(model)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    hidden = torch.randn(2, 6, 32)
    for layer in model.bert.encoder.layer:
        layer.attention.self.dropout.p = 0.5
        assert not torch.equal(layer.train()(hidden), layer(hidden))
        assert torch.equal(layer.eval()(hidden), layer(hidden))


@pytest.mark.parametrize("kind", KINDS)
def test_models_are_prepared_however_they_are_made(
    kind: str, backbones: dict[str, Path], originals: dict[str, Path]
) -> None:
    fine_tuned = load(originals[kind])
    for model in (
        load_pretrained(find_backbone(model_config(kind, backbones[kind])), EMOTION6),
        fine_tuned.torch_model,
    ):
        if _PACKS:
            assert {type(m) for m in model.modules() if isinstance(m, nn.Linear)} == {PackedLinear}
        assert {isinstance(layer, _StreamlinedLayer) for layer in transformer_layers(model)} == {kind != "modernbert"}
    with torch.inference_mode():
        assert load(originals[kind]).predict(["a text"]) == fine_tuned.predict(["a text"])


@pytest.mark.parametrize("kind", KINDS)
def test_prepared_models_can_be_copied_and_pickled(kind: str, backbones: dict[str, Path]) -> None:
    model = plain(backbones[kind])
    prepare_(model)
    with torch.inference_mode():
        expected = model(**inputs()).logits
        for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            assert torch.equal(other(**inputs()).logits, expected)
            assert [type(module) for module in other.modules()] == [type(module) for module in model.modules()]


needs_kernels = pytest.mark.skipif(not _PACKS, reason="this processor has no kernels for packed weights")


def packed(rows: int = 7) -> tuple[PackedLinear, Tensor]:
    torch.manual_seed(0)
    holder = nn.Sequential(nn.Linear(24, 10))
    pack_linear_layers_(holder)
    (layer,) = holder
    assert isinstance(layer, PackedLinear)
    return layer, torch.randn(rows, 24)


@needs_kernels
@pytest.mark.parametrize("shape", [(24,), (3, 24), (2, 5, 24), (0, 24)])
def test_a_packed_layer_multiplies_any_shape(shape: tuple[int, ...]) -> None:
    layer, _ = packed()
    values = torch.randn(shape)
    with torch.no_grad():
        torch.testing.assert_close(layer(values), values @ layer.weight.T + layer.bias)


@needs_kernels
def test_a_packed_layer_follows_its_weights() -> None:
    """Updates in place, new parameters, a loaded state dict and a copy: none is answered with old weights."""
    layer, values = packed()
    with torch.no_grad():
        layer(values)
        first = layer._packed
        layer(values)
        assert first is not None
        assert layer._packed is first, "laid out once"
        layer.weight.mul_(3)
        torch.testing.assert_close(layer(values), values @ layer.weight.T + layer.bias)
        layer.weight = nn.Parameter(torch.randn(10, 24))
        torch.testing.assert_close(layer(values), values @ layer.weight.T + layer.bias)
        layer.load_state_dict({"weight": torch.ones(10, 24), "bias": torch.zeros(10)})
        torch.testing.assert_close(layer(values), values.sum(-1, keepdim=True).expand(-1, 10), rtol=1e-4, atol=1e-5)
        layer.weight.data = torch.full((10, 24), 2.0)
        torch.testing.assert_close(layer(values), 2 * values.sum(-1, keepdim=True).expand(-1, 10), rtol=1e-4, atol=1e-5)
        twin = copy.deepcopy(layer)
        twin.weight.mul_(2)
        torch.testing.assert_close(twin(values), 2 * layer(values))
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.1, fused=True)
    layer(values).sum().backward()
    optimizer.step()
    with torch.no_grad():
        torch.testing.assert_close(layer(values), values @ layer.weight.T + layer.bias, rtol=1e-4, atol=1e-5)


@needs_kernels
def test_a_packed_layer_without_bias_and_in_half_precision() -> None:
    holder = nn.Sequential(nn.Linear(24, 10, bias=False))
    pack_linear_layers_(holder)
    values = torch.randn(3, 24)
    with torch.no_grad():
        torch.testing.assert_close(holder(values), values @ holder[0].weight.T)
        holder.bfloat16()
        assert holder(values.bfloat16()).dtype == torch.bfloat16
