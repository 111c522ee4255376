"""Narrowing: the least important units are removed, the rest computes as before, and the file is smaller."""

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from emotion.checkpoint import load, save
from emotion.compression.steps import narrow
from emotion.compression.steps.drop_layers import drop_layers_
from emotion.compression.steps.half import half_
from emotion.compression.steps.narrow import importance, narrow_
from emotion.compression.steps.quantize import quantize
from emotion.compression.steps.registry import (
    DropLayersConfig,
    HalfConfig,
    NarrowConfig,
    QuantizeConfig,
    TrimVocabularyConfig,
)
from emotion.compression.steps.trim_vocabulary import trim_vocabulary_
from emotion.models import HiddenStates, Predictor, attentions, feed_forwards
from support.files import sample_rows
from support.layers import layers_of, lively, logits
from support.predictors import KINDS

ROWS = [row for row in sample_rows("train", 60) if "@" not in row[0] and "http" not in row[0]][:16]
TEXTS, LABELS = [text for text, _ in ROWS], [label for _, label in ROWS]
NEURONS, HEADS, HEAD_SIZE = 48, 4, 8
HIDDEN = HEADS * HEAD_SIZE


def readers(checkpoint: Predictor, kind: str) -> list[tuple[nn.Linear, nn.Linear]]:
    """For each layer, the linear layers that read its neurons and its heads."""
    if kind == "modernbert":
        return [(layer.mlp.Wo, layer.attn.Wo) for layer in layers_of(checkpoint.model, kind)]
    return [(layer.output.dense, layer.attention.output.dense) for layer in layers_of(checkpoint.model, kind)]


def shapes(checkpoint: Predictor) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in checkpoint.model.state_dict().items()}


@pytest.mark.parametrize("kind", KINDS)
def test_removing_neurons_and_heads_that_nothing_reads_changes_nothing(
    kind: str, backbones: dict[str, Path], tmp_path: Path
) -> None:
    checkpoint = lively(kind, backbones[kind])
    parts = readers(checkpoint, kind)
    generator = torch.Generator().manual_seed(1)
    survivors: list[tuple[Tensor, Tensor]] = []
    for ffn, attention in parts:
        neurons = torch.randperm(NEURONS, generator=generator)[: NEURONS // 2].sort().values
        heads = torch.randperm(HEADS, generator=generator)[: HEADS // 2].sort().values
        of_heads = torch.arange(HEADS * HEAD_SIZE).view(HEADS, HEAD_SIZE)[heads].flatten()
        for reader, columns in ((ffn, neurons), (attention, of_heads)):
            unread = torch.ones(reader.in_features, dtype=torch.bool)
            unread[columns] = False
            reader.weight.data[:, unread] = 0
        survivors.append((ffn.weight.data[:, neurons].clone(), attention.weight.data[:, of_heads].clone()))
    before = logits(checkpoint)

    narrow_(checkpoint, NarrowConfig(ffn=0.5, heads=0.5, hidden=1.0), TEXTS, LABELS)
    assert torch.allclose(logits(checkpoint), before, rtol=1e-4, atol=1e-5)
    for (ffn, attention), (neurons, of_heads) in zip(readers(checkpoint, kind), survivors, strict=True):
        assert torch.equal(ffn.weight, neurons)
        assert torch.equal(attention.weight, of_heads)
    assert checkpoint.model.config.intermediate_size == NEURONS // 2

    save(checkpoint, tmp_path / "model.pt")
    loaded = load(tmp_path / "model.pt")
    assert shapes(loaded) == shapes(checkpoint)
    config = checkpoint.model.config.to_dict() | {"_name_or_path": "owner/" + kind, "dtype": "float32"}
    assert loaded.model.config.to_dict() == config
    assert torch.equal(logits(loaded), logits(checkpoint))
    assert torch.equal(loaded.predict_proba(TEXTS), checkpoint.predict_proba(TEXTS))


@pytest.mark.parametrize("kind", KINDS)
def test_hidden_states_without_their_copies_compute_the_same(kind: str, backbones: dict[str, Path]) -> None:
    """Each hidden unit that goes is written as a copy of one that stays, so that norms agree, and is never read."""
    checkpoint = lively(kind, backbones[kind])
    order = torch.randperm(HIDDEN, generator=torch.Generator().manual_seed(2))
    kept = order[: HIDDEN // 2].sort().values
    copies = order[HIDDEN // 2 :]
    parts = readers(checkpoint, kind)
    inner_readers = {id(reader) for pair in parts for reader in pair}
    of_kind = {"modernbert": ("Wqkv", "Wi")}.get(kind, ("query", "key", "value", "intermediate.dense"))
    for name, module in checkpoint.model.named_modules():
        if isinstance(module, nn.Embedding):
            module.weight.data[:, copies] = module.weight.data[:, kept]
        elif isinstance(module, nn.LayerNorm):
            for values in (module.weight, module.bias):
                if values is not None:
                    values.data[copies] = values.data[kept]
        elif isinstance(module, nn.Linear):
            if module.out_features == HIDDEN and not name.endswith(of_kind):
                module.weight.data[copies] = module.weight.data[kept]
                if module.bias is not None:
                    module.bias.data[copies] = module.bias.data[kept]
            if module.in_features == HIDDEN and id(module) not in inner_readers:
                module.weight.data[:, copies] = 0
    before = logits(checkpoint)
    HiddenStates(checkpoint.model).keep_(kept)
    torch.testing.assert_close(logits(checkpoint), before, rtol=1e-4, atol=1e-4)
    assert all(parameter.shape.count(HIDDEN) == 0 for parameter in _written(checkpoint, of_kind))


def _written(checkpoint: Predictor, makers: tuple[str, ...]) -> list[Tensor]:
    """The biases and norms of what writes hidden states, which have no other width."""
    return [
        value
        for name, value in checkpoint.model.named_parameters()
        if value.ndim == 1 and not name.removesuffix(".bias").endswith(makers)
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_the_most_important_hidden_units_stay_and_survive_the_file(
    kind: str, backbones: dict[str, Path], tmp_path: Path
) -> None:
    checkpoint = lively(kind, backbones[kind])
    original = copy.deepcopy(checkpoint)
    (scores,) = importance(original, [HiddenStates(original.model)], TEXTS, LABELS)
    narrow_(checkpoint, NarrowConfig(ffn=1.0, heads=1.0, hidden=0.5), TEXTS, LABELS)
    kept = scores.topk(HIDDEN // 2).indices.sort().values
    embeddings = (each.model.get_input_embeddings().weight for each in (original, checkpoint))
    assert torch.equal(next(embeddings)[:, kept], next(embeddings))
    assert {heads.in_features for _, heads in readers(checkpoint, kind)} == {HIDDEN // 2}  # two heads are left
    assert checkpoint.model.config.hidden_size == HIDDEN // 2
    save(checkpoint, tmp_path / "model.pt")
    loaded = load(tmp_path / "model.pt")
    assert shapes(loaded) == shapes(checkpoint)
    assert torch.equal(loaded.predict_proba(TEXTS), checkpoint.predict_proba(TEXTS))


@pytest.mark.parametrize("kind", KINDS)
def test_the_importance_of_a_hidden_unit_is_the_slope_of_each_texts_loss(kind: str, backbones: dict[str, Path]) -> None:
    """Compared with central differences in double precision; the embeddings and all layers write the unit."""
    checkpoint = lively(kind, backbones[kind])
    texts, labels, step = TEXTS[:3], LABELS[:3], 1e-4
    (measured,) = importance(checkpoint, [HiddenStates(checkpoint.model)], texts, labels)
    exact = copy.deepcopy(checkpoint)
    exact.model.double()
    factors = torch.ones(HIDDEN, dtype=torch.float64)
    for writer in (exact.model.base_model.embeddings, *layers_of(exact.model, kind)):
        writer.register_forward_hook(lambda _module, _inputs, output: output * factors)
    encoded = [exact.tokenizer(text, return_tensors="pt", truncation=True, max_length=48) for text in texts]

    @torch.inference_mode()
    def losses(place: int, factor: float) -> Tensor:
        factors.fill_(1)[place] = factor
        values = [exact.model(**inputs).logits for inputs in encoded]
        return torch.stack([cross_entropy(one, torch.tensor([y])) for one, y in zip(values, labels, strict=True)])

    for place in range(0, HIDDEN, 8):
        slope = (losses(place, 1 + step) - losses(place, 1 - step)) / (2 * step)
        assert measured[place].item() == pytest.approx(float(slope.abs().sum()), rel=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_importance_is_the_slope_of_each_texts_loss(kind: str, backbones: dict[str, Path]) -> None:
    """Compared with central differences in double precision, one unpadded text at a time, without autograd or hooks."""
    checkpoint = lively(kind, backbones[kind])
    texts, labels, step = TEXTS[:3], LABELS[:3], 1e-3
    assert len(set(labels)) > 1
    neurons, heads = feed_forwards(checkpoint.model), attentions(checkpoint.model)
    measured = importance(checkpoint, [neurons[1], heads[1], heads[4]], texts, labels)
    assert [len(each) for each in measured] == [NEURONS, HEADS, HEADS]

    exact = copy.deepcopy(checkpoint)
    exact.model.double()
    encoded = [exact.tokenizer(text, return_tensors="pt", truncation=True, max_length=48) for text in texts]

    @torch.inference_mode()
    def losses() -> Tensor:
        values = [exact.model(**inputs).logits for inputs in encoded]
        return torch.stack([cross_entropy(one, torch.tensor([y])) for one, y in zip(values, labels, strict=True)])

    def slope(weight: Tensor, start: int, width: int) -> float:
        original, found = weight.clone(), []
        for factor in (1 + step, 1 - step):
            weight[:, start : start + width] = original[:, start : start + width] * factor
            found.append(losses())
            weight.copy_(original)
        return float(((found[0] - found[1]) / (2 * step)).abs().sum())

    readers_ = readers(exact, kind)
    of_neurons = [slope(readers_[1][0].weight.data, index, 1) for index in range(0, NEURONS, 12)]
    assert measured[0][::12].tolist() == pytest.approx(of_neurons, rel=1e-3)
    for layer, found in ((1, measured[1]), (4, measured[2])):
        of_heads = [slope(readers_[layer][1].weight.data, head * HEAD_SIZE, HEAD_SIZE) for head in range(HEADS)]
        assert found.tolist() == pytest.approx(of_heads, rel=1e-3)
        assert min(of_heads) > 0


@pytest.mark.parametrize("kind", KINDS)
def test_the_most_important_units_stay_with_all_their_weights(kind: str, backbones: dict[str, Path]) -> None:
    checkpoint = lively(kind, backbones[kind])
    original = copy.deepcopy(checkpoint)
    parts = [*feed_forwards(original.model), *attentions(original.model)]
    scores = importance(original, parts, TEXTS, LABELS)
    narrow_(checkpoint, NarrowConfig(ffn=0.25, heads=0.75, hidden=1.0), TEXTS, LABELS)

    for index, layer in enumerate(layers_of(checkpoint.model, kind)):
        old = dict(layers_of(original.model, kind)[index].named_parameters())
        neurons = sorted(scores[index].topk(12).indices.tolist())
        heads = sorted(scores[index + 6].topk(3).indices.tolist())
        of_heads = [head * HEAD_SIZE + place for head in heads for place in range(HEAD_SIZE)]
        rows = {"intermediate": neurons, "self": of_heads}
        columns = {"attention.output.dense": of_heads, "output.dense": neurons}
        if kind == "modernbert":
            of_qkv = [block * HEADS * HEAD_SIZE + place for block in range(3) for place in of_heads]
            rows = {"Wqkv": of_qkv, "Wi": neurons + [NEURONS + neuron for neuron in neurons]}
            columns = {"attn.Wo": of_heads, "mlp.Wo": neurons}
        for name, parameter in layer.named_parameters():
            expected = old[name]
            if any(part in name.split(".") for part in rows):
                expected = expected[next(rows[part] for part in rows if part in name.split("."))]
            elif name.removesuffix(".weight") in columns:
                expected = expected[:, columns[name.removesuffix(".weight")]]
            assert torch.equal(parameter, expected), name
            assert parameter.shape != old[name].shape or "orm" in name or name.endswith("dense.bias"), name


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_that_was_trimmed_cut_and_narrowed_twice_survives_the_file(
    kind: str, backbones: dict[str, Path], tmp_path: Path
) -> None:
    checkpoint = lively(kind, backbones[kind])
    trim_vocabulary_(checkpoint, TrimVocabularyConfig(min_count=1), TEXTS)
    drop_layers_(checkpoint.model, DropLayersConfig(keep=3))
    narrow_(checkpoint, NarrowConfig(ffn=0.5, heads=0.75, hidden=1.0), TEXTS, LABELS)
    save(checkpoint, tmp_path / "once.pt")
    again = load(tmp_path / "once.pt")
    narrow_(again, NarrowConfig(ffn=0.5, heads=0.34, hidden=1.0), TEXTS, LABELS)  # 12 neurons and one head are left
    save(again, tmp_path / "twice.pt")
    loaded = load(tmp_path / "twice.pt")
    assert torch.equal(loaded.predict_proba(TEXTS), again.predict_proba(TEXTS))
    assert {(ffn.in_features, heads.in_features) for ffn, heads in readers(loaded, kind)} == {(12, HEAD_SIZE)}
    assert len(readers(loaded, kind)) == 3
    assert (tmp_path / "twice.pt").stat().st_size < (tmp_path / "once.pt").stat().st_size


@pytest.mark.parametrize("kind", ["modernbert", "minilm"])
def test_narrowed_models_load_in_their_final_formats(kind: str, backbones: dict[str, Path], tmp_path: Path) -> None:
    for number, make in enumerate((_half, _quantized)):
        checkpoint = lively(kind, backbones[kind])
        narrow_(checkpoint, NarrowConfig(ffn=0.5, heads=0.5, hidden=1.0), TEXTS, LABELS)
        expected = checkpoint.predict_proba(TEXTS)
        small = make(checkpoint)
        assert torch.allclose(small.predict_proba(TEXTS), expected, atol=0.1)
        save(small, tmp_path / f"{number}.pt")
        loaded = load(tmp_path / f"{number}.pt")
        assert torch.equal(loaded.predict_proba(TEXTS), small.predict_proba(TEXTS))
        assert shapes(loaded) == shapes(small)


def _half(checkpoint: Predictor) -> Predictor:
    half_(checkpoint.model, HalfConfig(dtype="float16"))
    return checkpoint


def _quantized(checkpoint: Predictor) -> Predictor:
    return quantize(checkpoint, QuantizeConfig(threshold=0.0))


@pytest.mark.parametrize(
    ("ffn", "heads", "neurons_left", "heads_left"), [(1e-9, 1e-9, 1, 1), (1.0, 1.0, NEURONS, HEADS), (0.75, 0.6, 36, 2)]
)
def test_shares_become_counts(
    ffn: float, heads: float, neurons_left: int, heads_left: int, backbones: dict[str, Path]
) -> None:
    checkpoint = lively("minilm", backbones["minilm"])
    config = checkpoint.model.config.to_dict()
    before = logits(checkpoint)
    narrow_(checkpoint, NarrowConfig(ffn=ffn, heads=heads, hidden=1.0), TEXTS, LABELS)
    widths = {(ffn.in_features, heads.in_features) for ffn, heads in readers(checkpoint, "minilm")}
    assert widths == {(neurons_left, heads_left * HEAD_SIZE)}
    changed = (neurons_left, heads_left) != (NEURONS, HEADS)
    assert (checkpoint.model.config.to_dict() != config) == changed
    assert torch.equal(logits(checkpoint), before) == (not changed)


def test_the_model_is_left_as_training_expects_it(backbones: dict[str, Path]) -> None:
    checkpoint = lively("modernbert", backbones["modernbert"])
    frozen = {
        name for name, _ in checkpoint.model.named_parameters() if name.startswith(("model.emb", "model.layers.0"))
    }
    for name, parameter in checkpoint.model.named_parameters():
        parameter.requires_grad_(name not in frozen)
    narrow_(checkpoint, NarrowConfig(ffn=0.5, heads=0.5, hidden=1.0), TEXTS, LABELS)
    assert {name for name, each in checkpoint.model.named_parameters() if not each.requires_grad} == frozen
    assert all(each.grad is None and each.dtype == torch.float32 for each in checkpoint.model.parameters())
    assert not any(module.training for module in checkpoint.model.modules())
    assert not any(module._forward_pre_hooks for module in checkpoint.model.modules())


def test_large_corpora_are_sampled_evenly(backbones: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def narrowed(rows: list[int]) -> dict[str, Tensor]:
        checkpoint = lively("minilm", backbones["minilm"])
        narrow_(
            checkpoint,
            NarrowConfig(ffn=0.5, heads=0.5, hidden=1.0),
            [TEXTS[row] for row in rows],
            [LABELS[row] for row in rows],
        )
        return checkpoint.model.state_dict()

    def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
        return all(torch.equal(a[name], b[name]) for name in a)

    ends = narrowed([0, 4])
    assert not same(ends, narrowed([0, 1]))
    monkeypatch.setattr(narrow, "MAX_TEXTS", 2)
    assert same(ends, narrowed([0, 1, 2, 3, 4]))
