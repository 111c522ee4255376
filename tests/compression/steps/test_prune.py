"""Pruning, compared with a plain ``torch.topk``."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from emotion.checkpoint import save
from emotion.compression.steps.prune import linear_layers, prune_, sparsity
from emotion.compression.steps.quantize import quantize
from emotion.compression.steps.registry import PruneConfig, QuantizeConfig
from emotion.models import Predictor
from support.files import TEXTS
from support.predictors import KINDS, untrained

pytestmark = pytest.mark.usefixtures("one_thread")

LAYERS = {  # in each of the two layers
    "bertweet": ["attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense",
                 "intermediate.dense", "output.dense"],
    "modernbert": ["attn.Wqkv", "attn.Wo", "mlp.Wi", "mlp.Wo"],
}  # fmt: skip
LAYERS["cardiff"] = LAYERS["minilm"] = LAYERS["bertweet"]
STEM = {
    "bertweet": "roberta.encoder.layer",
    "cardiff": "roberta.encoder.layer",
    "modernbert": "model.layers",
    "minilm": "bert.encoder.layer",
}
HEAD = {
    "bertweet": ["classifier.dense", "classifier.out_proj"],
    "cardiff": ["classifier.dense", "classifier.out_proj"],
    "modernbert": ["head.dense", "classifier"],
    "minilm": ["bert.pooler.dense", "classifier"],
}


def in_scope(kind: str, include_head: bool) -> list[str]:
    """The weights that are pruned, by name."""
    layers = [f"{STEM[kind]}.{number}.{layer}.weight" for number in (0, 1) for layer in LAYERS[kind]]
    return layers + [f"{layer}.weight" for layer in HEAD[kind] if include_head]


def without_smallest(tensors: list[Tensor], amount: float) -> list[Tensor]:
    """Set the share ``amount`` of smallest magnitude, among all tensors together, to zero; return the tensors."""
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    smallest = torch.topk(flat.abs(), round(amount * len(flat)), largest=False).indices
    flat[smallest] = 0
    parts = flat.split([tensor.numel() for tensor in tensors])
    return [part.view_as(tensor) for part, tensor in zip(parts, tensors, strict=True)]


def pruned(checkpoint: Predictor, amount: float, scope: str, include_head: bool) -> dict[str, Tensor]:
    """The state dict after pruning."""
    prune_(checkpoint.model, PruneConfig(amount=amount, scope=scope, include_head=include_head))
    return checkpoint.model.state_dict()


@pytest.mark.parametrize("include_head", [False, True])
@pytest.mark.parametrize("scope", ["layer", "global"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_smallest_weights_in_scope_become_zero_and_nothing_else_changes(
    kind: str, scope: str, include_head: bool, backbones: dict[str, Path]
) -> None:
    checkpoint = untrained(kind, backbones[kind])
    before = {name: value.clone() for name, value in checkpoint.model.state_dict().items()}
    names = in_scope(kind, include_head)
    weights = [before[name] for name in names]
    zeroed = (
        without_smallest(weights, 0.3)
        if scope == "global"
        else [without_smallest([weight], 0.3)[0] for weight in weights]
    )
    expected = before | dict(zip(names, zeroed, strict=True))

    after = pruned(checkpoint, 0.3, scope, include_head)

    assert after.keys() == before.keys(), "no weight_orig, no weight_mask"
    assert [name for name in expected if not torch.equal(after[name], expected[name])] == []
    assert not any(torch.signbit(after[name][after[name] == 0]).any() for name in names), "-0.0 costs space on disk"
    zeros = sum(int((after[name] == 0).sum()) for name in names)
    total = sum(after[name].numel() for name in names)
    assert zeros / total == pytest.approx(0.3, abs=1e-3)
    assert sparsity([after[name] for name in names]) == zeros / total


def test_the_scopes_differ_and_the_amount_matters(backbones: dict[str, Path]) -> None:
    def zeros(amount: float, scope: str) -> list[int]:
        after = pruned(untrained("minilm", backbones["minilm"]), amount, scope, include_head=False)
        return [int((after[name] == 0).sum()) for name in in_scope("minilm", include_head=False)]

    assert zeros(0.3, "layer") != zeros(0.3, "global")
    assert sum(zeros(0.75, "layer")) == pytest.approx(2.5 * sum(zeros(0.3, "layer")), rel=0.01)


def test_a_pruned_model_is_an_ordinary_one(backbones: dict[str, Path], tmp_path: Path) -> None:
    """It predicts, is saved and is trained like any other: no masks, hooks or tensors of ``torch.nn.utils.prune``."""
    checkpoint = untrained("cardiff", backbones["cardiff"])
    pruned(checkpoint, 0.3, "layer", include_head=False)
    for name in in_scope("cardiff", include_head=False):
        layer = checkpoint.model.get_submodule(name.removesuffix(".weight"))
        assert isinstance(layer.weight, nn.Parameter)
        assert layer.weight.requires_grad
        assert not layer._forward_pre_hooks
    save(checkpoint, tmp_path / "pruned.pt")
    assert len(set(checkpoint.predict(TEXTS))) > 1


@pytest.mark.parametrize("kind", KINDS)
def test_the_layers_in_scope_are_found_in_int8_too(kind: str, backbones: dict[str, Path]) -> None:
    original = untrained(kind, backbones[kind])
    model = quantize(original, QuantizeConfig(threshold=6.0)).model
    for include_head in (False, True):
        found = {id(layer) for layer in linear_layers(model, include_head)}
        names = {f"{name}.weight" for name, module in model.named_modules() if id(module) in found}
        assert names == set(in_scope(kind, include_head))


def test_sparsity_counts_zeros_of_either_sign_over_all_elements() -> None:
    tensors = [torch.tensor([[0.0, 1.0], [-0.0, 2.0]]), torch.tensor([0, 3, 4, 0, 0, 1], dtype=torch.int8)]
    assert sparsity(tensors) == 5 / 10
    assert sparsity([torch.ones(3)]) == 0
