"""Sped-up models compute what transformers' own do, and stay plain where a library is not as expected."""

import copy
import inspect
import pickle
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from emotion.checkpoint import load
from emotion.models import find_backbone, load_pretrained, transformer_layers
from emotion.models.fast import speed_up_
from emotion.models.fast.bert_layer import StreamlinedLayer
from emotion.models.fast.cpu_dropout import CpuDropout
from emotion.models.fast.packed_linear import PackedLinear, available, pack_linear_layers_
from emotion.models.int8 import quantized
from support.labels import EMOTION6
from support.predictors import KINDS, model_config
from support.speed import inputs, plain

pytestmark = pytest.mark.usefixtures("one_thread")
PACKS = available()


def sped_up(model: PreTrainedModel) -> PreTrainedModel:
    twin = copy.deepcopy(model)
    speed_up_(twin)
    return twin


def assert_same(found: tuple[Tensor, ...], expected: tuple[Tensor, ...]) -> None:
    assert len(found) == len(expected) > 0
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_logits_and_gradients_are_those_of_transformers(kind: str, padded: bool, backbones: dict[str, Path]) -> None:
    original = plain(backbones[kind])
    prepared = sped_up(original)
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
    model = sped_up(plain(backbones[kind]))
    speed_up_(model)  # the second time changes nothing
    shapes: list[tuple[int, ...]] = []
    for layer in transformer_layers(model):
        layer.register_forward_hook(lambda _layer, _inputs, output: shapes.append(tuple(output.shape[:2])))
    with torch.inference_mode():
        model(**inputs())
        tokens = 9 if kind == "modernbert" else 1  # its head reads the mean of all tokens
        assert shapes == [(5, 9), (5, tokens)]
        del transformer_layers(model)[1:], shapes[:]
        model(**inputs())
        assert shapes == [(5, tokens)], "the layer that is last now"


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("kind", KINDS)
def test_hidden_states_and_attentions_are_those_of_transformers(
    kind: str, attention: str, padded: bool, training: bool, backbones: dict[str, Path]
) -> None:
    expected_model = plain(backbones[kind], "eager").train(training)
    without_dropout(expected_model)
    model = sped_up(plain(backbones[kind], attention)).train(training)
    without_dropout(model)
    batch = inputs(padded=padded)
    expected = expected_model(**batch, output_hidden_states=True, output_attentions=True)
    both = model(**batch, output_hidden_states=True, output_attentions=True)
    attentions = model(**batch, output_attentions=True)
    states = model(**batch, output_hidden_states=True)
    for found in (both, attentions):
        assert_same(found.attentions, expected.attentions)
    for found in (both, states):
        assert_same(found.hidden_states, expected.hidden_states)
    for found in (both, attentions, states, model(**batch)):
        torch.testing.assert_close(found.logits, expected.logits, rtol=1e-4, atol=1e-5)
    assert_same((model.base_model(**batch).last_hidden_state,), expected.hidden_states[-1:])
    model.config.output_hidden_states = True
    assert_same(model(**batch).hidden_states, expected.hidden_states)


@pytest.mark.parametrize("kind", KINDS)
def test_attentions_have_gradients_that_reach_the_weights(kind: str, backbones: dict[str, Path]) -> None:
    expected_model = plain(backbones[kind], "eager")
    model = sped_up(plain(backbones[kind]))
    for each in (expected_model, model):
        each(**inputs(), output_attentions=True).attentions[0][..., 0].sum().backward()
    for (name, expected), found in zip(expected_model.named_parameters(), model.parameters(), strict=True):
        assert (expected.grad is None) == (found.grad is None), name
        if expected.grad is not None:
            torch.testing.assert_close(found.grad, expected.grad, rtol=1e-3, atol=1e-5, msg=name)
    assert model.config._attn_implementation == "sdpa", "the model itself stays as it is"


@pytest.mark.parametrize("used_before", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_int8_models_return_attentions_and_predict_as_before(
    kind: str, used_before: bool, originals: dict[str, Path]
) -> None:
    """Rounding depends on all earlier values, so only the first layer's attentions are close to the plain ones."""
    made, untouched, eager = (quantized(load(originals[kind], fast=False).torch_model, threshold=6.0) for _ in range(3))
    speed_up_(made)
    speed_up_(untouched)
    eager.set_attn_implementation("eager")
    with torch.inference_mode():
        expected = untouched(**inputs()).logits
        if used_before:
            assert torch.equal(made(**inputs()).logits, expected)
        attentions = made(**inputs(), output_attentions=True).attentions
        assert torch.equal(made(**inputs()).logits, expected)
        plain_attentions = eager(**inputs(), output_attentions=True).attentions
    torch.testing.assert_close(attentions[0], plain_attentions[0], rtol=1e-2, atol=1e-2)
    for attention in attentions:
        torch.testing.assert_close(attention.float().sum(-1), torch.ones(5, 2, 9), rtol=1e-2, atol=1e-2)


def without_dropout(model: PreTrainedModel) -> None:
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0


@pytest.mark.parametrize("kind", KINDS)
def test_arguments_that_a_model_does_not_know_are_refused(kind: str, backbones: dict[str, Path]) -> None:
    model = sped_up(plain(backbones[kind]))
    with pytest.raises(TypeError, match=r"forward\(\) got an unexpected keyword argument 'head_mask'"):
        model(**inputs(), head_mask=torch.ones(2, 2))
    ids, mask = inputs().values()
    with torch.inference_mode():
        logits, hidden_states = model(ids, mask, return_dict=False, output_hidden_states=True, output_attentions=False)
        assert torch.equal(logits, model(**inputs(), output_hidden_states=True).logits)
    assert len(hidden_states) == 3
    assert inspect.signature(model.forward) == inspect.signature(plain(backbones[kind]).forward)


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_draws_what_transformers_draws(kind: str, backbones: dict[str, Path]) -> None:
    original = plain(backbones[kind])
    prepared = sped_up(original)
    for model in (original, prepared):
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.__class__ = nn.Dropout  # the fast one draws other numbers
                module.p = 0.3
    expected, found = (seeded_hidden_states(model.train()) for model in (original, prepared))
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours, theirs)


def seeded_hidden_states(model: PreTrainedModel) -> tuple[Tensor, ...]:
    torch.manual_seed(0)
    states: tuple[Tensor, ...] = model(**inputs(), output_hidden_states=True).hidden_states
    return states


def test_dropout_of_attention_stays_in_each_layer(backbones: dict[str, Path]) -> None:
    model = sped_up(plain(backbones["minilm"]))
    without_dropout(model)
    hidden = torch.randn(2, 6, 32)
    for layer in model.bert.encoder.layer:
        layer.attention.self.dropout.p = 0.5
        assert not torch.equal(layer.train()(hidden), layer(hidden))
        assert torch.equal(layer.eval()(hidden), layer(hidden))


@pytest.mark.parametrize("kind", KINDS)
def test_loaded_predictors_are_fast_unless_that_is_switched_off(
    kind: str, backbones: dict[str, Path], originals: dict[str, Path]
) -> None:
    fast, slow = load(originals[kind]), load(originals[kind], fast=False)
    backbone = load_pretrained(find_backbone(model_config(kind, backbones[kind])), EMOTION6)
    for model in (slow.torch_model, backbone):
        ours = (StreamlinedLayer, PackedLinear, CpuDropout)
        assert not any(isinstance(module, ours) for module in model.modules())
        assert "forward" not in vars(model)
    model = fast.torch_model
    if PACKS:
        assert {type(m) for m in model.modules() if isinstance(m, nn.Linear)} == {PackedLinear}
    assert {type(m) for m in model.modules() if isinstance(m, nn.Dropout)} <= {CpuDropout}
    assert {isinstance(layer, StreamlinedLayer) for layer in transformer_layers(model)} == {kind != "modernbert"}
    texts = ["a text", "another, longer text"]
    torch.testing.assert_close(fast.predict_proba(texts), slow.predict_proba(texts), rtol=1e-4, atol=1e-5)


def test_speeding_up_draws_no_random_numbers(backbones: dict[str, Path]) -> None:
    model = plain(backbones["cardiff"])
    before = torch.get_rng_state()
    speed_up_(model)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("kind", KINDS)
def test_sped_up_models_can_be_copied_and_pickled(kind: str, backbones: dict[str, Path]) -> None:
    model = sped_up(plain(backbones[kind]))
    with torch.inference_mode():
        expected = model(**inputs()).logits
        for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            assert torch.equal(other(**inputs()).logits, expected)
            assert [type(module) for module in other.modules()] == [type(module) for module in model.modules()]
            assert other.forward.model is other


def test_a_forward_of_another_library_is_kept(backbones: dict[str, Path]) -> None:
    model = plain(backbones["minilm"])
    expected = model(**inputs()).logits
    model.forward = replaced = lambda **each: type(model).forward(model, **each)
    speed_up_(model)
    assert model.forward is replaced
    torch.testing.assert_close(model(**inputs()).logits, expected, rtol=1e-4, atol=1e-5)


def test_layers_of_another_library_stay_plain(backbones: dict[str, Path]) -> None:
    model = plain(backbones["minilm"])
    known = type(transformer_layers(model)[0])

    class TwiceAsLarge(known):
        def forward(self, *args: object, **kwargs: object) -> Tensor:
            return 2 * super().forward(*args, **kwargs)

    transformer_layers(model)[0].__class__ = TwiceAsLarge
    prepared = sped_up(model)
    assert not any(isinstance(layer, StreamlinedLayer) for layer in transformer_layers(prepared))
    with torch.inference_mode():
        torch.testing.assert_close(prepared(**inputs()).logits, model(**inputs()).logits, rtol=1e-4, atol=1e-5)


CHANGED_LIBRARY = """
import logging, sys, torch
from transformers.models.bert import modeling_bert
from emotion.checkpoint import load
logging.basicConfig(format="%(message)s", stream=sys.stdout)
{change}
texts = ["a text", "another, longer text"]
fast, again, slow = load(sys.argv[1]), load(sys.argv[1]), load(sys.argv[1], fast=False)
torch.testing.assert_close(fast.predict_proba(texts), slow.predict_proba(texts), rtol=1e-4, atol=1e-5)
"""


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        # another computation under the same names
        (
            "old = modeling_bert.BertOutput.forward\n"
            "modeling_bert.BertOutput.forward = lambda self, states, residual: old(self, states, residual) * 2",
            "a tiny model's results differ",
        ),
        # another signature
        (
            "old = modeling_bert.BertLayer.forward\n"
            "modeling_bert.BertLayer.forward = lambda self, states, *rest, **more: old(self, states, *rest, **more)",
            "BertLayer.forward takes other arguments",
        ),
        ("", None),
    ],
    ids=["computation", "signature", "unchanged"],
)
def test_layers_of_a_changed_library_stay_plain_which_is_logged_once(
    change: str, reason: str | None, originals: dict[str, Path]
) -> None:
    program = CHANGED_LIBRARY.format(change=change)
    command = [sys.executable, "-c", program, str(originals["minilm"])]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("fast: ")]
    expected = f"fast: not applied to BertForSequenceClassification's layers, as {reason}"
    assert lines == ([] if reason is None else [expected])


needs_kernels = pytest.mark.skipif(not PACKS, reason="this processor has no kernels for packed weights")


@needs_kernels
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("operators", ["absent", "another signature", "another result"])
def test_without_torchs_private_operators_linear_layers_stay_plain(
    operators: str, kind: str, backbones: dict[str, Path]
) -> None:
    there = torch.ops.mkldnn
    namespace = {
        "absent": SimpleNamespace(_reorder_linear_weight=there._reorder_linear_weight),
        "another signature": SimpleNamespace(
            _reorder_linear_weight=there._reorder_linear_weight, _linear_pointwise=lambda values, _weight: values
        ),
        "another result": SimpleNamespace(
            _reorder_linear_weight=lambda weight: weight,
            _linear_pointwise=lambda values, weight, *_: values @ weight.T,  # no bias
        ),
    }[operators]
    model = plain(backbones[kind])
    with torch.inference_mode():
        expected = model(**inputs()).logits
        pack_linear_layers_(model, namespace)
        assert torch.equal(model(**inputs()).logits, expected)
    assert not available(namespace)
    assert not any(isinstance(module, PackedLinear) for module in model.modules())


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
    """No old weights are used after updates in place, new parameters, a loaded state dict or a copy."""
    layer, values = packed()
    with torch.no_grad():
        layer(values)
        first = layer._packed
        layer(values)
        assert first is not None
        assert layer._packed is first, "the weights are packed only once"
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
