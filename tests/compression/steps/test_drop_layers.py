"""Dropping layers: the rest computes what the whole model does when the dropped layers are skipped."""

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from emotion.checkpoint import load, save
from emotion.compression.steps.drop_layers import DropLayersConfig, drop_layers_
from emotion.errors import UserError
from emotion.models import Predictor
from support.layers import LAYERS, TEXTS, layers_of, lively, logits
from support.predictors import KINDS


def logits_without(checkpoint: Predictor, kind: str, dropped: set[int]) -> Tensor:
    """The logits of the whole model when its layers in ``dropped`` return their input."""
    layers = layers_of(checkpoint.model, kind)
    handles = [layers[index].register_forward_hook(lambda _module, inputs, _output: inputs[0]) for index in dropped]
    try:
        return logits(checkpoint)
    finally:
        for handle in handles:
            handle.remove()


@pytest.mark.parametrize(
    ("count", "kept"), [(6, [0, 1, 2, 3, 4, 5]), (4, [0, 1, 3, 4]), (3, [0, 2, 4]), (2, [0, 3]), (1, [0])]
)
def test_a_count_is_spread_evenly_from_the_first(count: int, kept: list[int], backbones: dict[str, Path]) -> None:
    model = lively("minilm", backbones["minilm"]).model
    layers = list(layers_of(model, "minilm"))
    drop_layers_(model, DropLayersConfig(keep=count))
    assert list(layers_of(model, "minilm")) == [layers[index] for index in kept]


@pytest.mark.parametrize(("keep", "kept"), [(3, [0, 2, 4]), ([0, 1, 5],) * 2])
@pytest.mark.parametrize("kind", KINDS)
def test_the_kept_layers_compute_what_they_did(
    kind: str, keep: int | list[int], kept: list[int], backbones: dict[str, Path], tmp_path: Path
) -> None:
    checkpoint = lively(kind, backbones[kind])
    expected = logits_without(checkpoint, kind, set(range(LAYERS)) - set(kept))
    assert not torch.allclose(logits(checkpoint), expected), "layers that change nothing would prove nothing"

    drop_layers_(checkpoint.model, DropLayersConfig(keep=keep))
    torch.testing.assert_close(logits(checkpoint), expected)
    assert checkpoint.model.config.num_hidden_layers == len(kept)
    assert not checkpoint.model.training

    save(checkpoint, tmp_path / "model.pt")
    loaded = load(tmp_path / "model.pt")
    assert torch.equal(logits(loaded), logits(checkpoint))
    assert torch.equal(loaded.predict_proba(TEXTS), checkpoint.predict_proba(TEXTS))
    assert layer_indices(loaded.model) == layer_indices(checkpoint.model)


def layer_indices(model: PreTrainedModel) -> dict[str, int]:
    return {name: module.layer_idx for name, module in model.named_modules() if hasattr(module, "layer_idx")}


def test_modernberts_layers_keep_their_kind_of_attention(backbones: dict[str, Path], tmp_path: Path) -> None:
    """If the kept layers were numbered again, 3 and 4 would both be local; they must be global and local."""
    checkpoint = lively("modernbert", backbones["modernbert"])
    drop_layers_(checkpoint.model, DropLayersConfig(keep=[0, 3, 4]))
    save(checkpoint, tmp_path / "model.pt")
    for model in (checkpoint.model, load(tmp_path / "model.pt").model):
        kinds = [layer.attention_type for layer in layers_of(model, "modernbert")]
        assert kinds == model.config.layer_types == ["full_attention", "full_attention", "sliding_attention"]
        assert [layer.attn.sliding_window for layer in layers_of(model, "modernbert")] == [None, None, 3]


@pytest.mark.parametrize("kind", ["bertweet", "cardiff", "minilm"])
def test_layer_0_may_be_dropped_where_all_layers_are_of_one_kind(
    kind: str, backbones: dict[str, Path], tmp_path: Path
) -> None:
    checkpoint = lively(kind, backbones[kind])
    expected = logits_without(checkpoint, kind, {0, 1, 2, 4})
    drop_layers_(checkpoint.model, DropLayersConfig(keep=[3, 5]))
    save(checkpoint, tmp_path / "model.pt")
    torch.testing.assert_close(logits(load(tmp_path / "model.pt")), expected)


def test_layers_can_be_dropped_twice(backbones: dict[str, Path]) -> None:
    once, twice = (lively("modernbert", backbones["modernbert"]) for _ in range(2))
    drop_layers_(once.model, DropLayersConfig(keep=[0, 4]))
    drop_layers_(twice.model, DropLayersConfig(keep=3))
    drop_layers_(twice.model, DropLayersConfig(keep=[0, 2]))
    assert torch.equal(logits(once), logits(twice))


@pytest.mark.parametrize(
    ("kind", "keep", "message"),
    [
        ("minilm", 7, "drop_layers.keep: must be at most the 6 layers of the model, found 7"),
        ("modernbert", [0, 6], "drop_layers.keep: must be layers from 0 to 5, found 6"),
        (
            "modernbert",
            [1, 2],
            "drop_layers.keep: must begin with layer 0, as modernbert's first is unlike the others, found [1, 2]",
        ),
    ],
)
def test_layers_that_cannot_be_kept_are_refused_before_anything_changes(
    kind: str, keep: int | list[int], message: str, backbones: dict[str, Path]
) -> None:
    checkpoint = lively(kind, backbones[kind])
    before, config = logits(checkpoint), copy.deepcopy(checkpoint.model.config.to_dict())
    with pytest.raises(UserError) as caught:
        drop_layers_(checkpoint.model, DropLayersConfig(keep=keep))
    assert str(caught.value) == message
    assert checkpoint.model.config.to_dict() == config
    assert torch.equal(logits(checkpoint), before)


def test_an_unknown_architecture_is_named() -> None:
    config = AutoConfig.for_model("distilbert", dim=8, n_heads=2, n_layers=2, hidden_dim=8, vocab_size=9)
    model = AutoModelForSequenceClassification.from_config(config)
    with pytest.raises(UserError, match=r"technique.steps: drop_layers .* must have a model of .*, found distilbert"):
        drop_layers_(model, DropLayersConfig(keep=1))
