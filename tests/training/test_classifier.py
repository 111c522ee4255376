"""The LightningModule: dropout while training, decay, schedule, class weights."""

import math
import re
from pathlib import Path

import pytest
import torch
from lightning import Trainer
from torch.utils.data import DataLoader

from emotion.config import compose_config, resolve
from emotion.models import find_backbone, load_pretrained
from emotion.training import EmotionClassifier, TrainConfig
from emotion.training.config import OptimizerConfig
from emotion.training.losses import class_weights
from emotion.training.optimisation import parameter_groups
from support.labels import EMOTION6
from support.predictors import KINDS, model_config

COUNTS = [50, 30, 0, 10, 5, 5]


def classifier(folder: Path, kind: str = "minilm", **options: object) -> EmotionClassifier:
    settings = recipe() | {"weight_decay": 0.01, "warmup_fraction": 0.25} | options
    model = load_pretrained(find_backbone(model_config(kind, folder)), EMOTION6)
    return EmotionClassifier(model, OptimizerConfig(**settings), 1e-3, 0, COUNTS)  # type: ignore[arg-type]


def recipe() -> dict[str, object]:
    """Return the default settings of ``optimizer``."""
    return resolve(compose_config("train", []), TrainConfig).optimizer.model_dump()


def batch(rows: int = 4) -> dict[str, torch.Tensor]:
    ids = torch.randint(5, 60, (rows, 12), generator=torch.Generator().manual_seed(0))
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": torch.arange(rows) % 6}


@pytest.mark.parametrize("kind", KINDS)
def test_every_module_trains_though_transformers_loads_in_eval_mode(kind: str, backbones: dict[str, Path]) -> None:
    assert all(module.training for module in classifier(backbones[kind], kind).modules())


def fit(module: EmotionClassifier, steps: int, epochs: int) -> Trainer:
    trainer = Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    loader = DataLoader([0] * steps, batch_size=1, collate_fn=lambda _: batch())
    trainer.fit(module, loader, loader)
    return trainer


def test_dropout_is_active_in_lightnings_fit(backbones: dict[str, Path]) -> None:
    """At a learning rate of 0, the same batch gives a different loss in each step, before and after validation."""
    module = classifier(backbones["minilm"])
    module.learning_rate = 0.0
    losses: list[float] = []
    module.loss.register_forward_hook(lambda loss, _, out: losses.append(out.item()) if loss.training else None)
    fit(module, steps=2, epochs=3)
    assert len(losses) == 6
    assert len(set(losses)) == 6


@pytest.mark.parametrize("kind", KINDS)
def test_decay_spares_biases_and_norms(kind: str, backbones: dict[str, Path]) -> None:
    module = classifier(backbones[kind], kind)
    (optimizer,) = fit(module, steps=1, epochs=1).optimizers
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    expected = {
        name: 0.0 if name.endswith("bias") or "norm" in name.lower() else 0.01
        for name, _ in module.model.named_parameters()
    }
    assert {name: decay[id(p)] for name, p in module.model.named_parameters()} == expected


def test_learning_rate_rises_and_falls_linearly(backbones: dict[str, Path]) -> None:
    module = classifier(backbones["minilm"])
    rates: list[float] = []
    module.on_train_batch_start = lambda *_: rates.append(module.trainer.optimizers[0].param_groups[0]["lr"])  # type: ignore[method-assign]
    fit(module, steps=4, epochs=2)
    assert rates == pytest.approx([0.0, 5e-4, 1e-3, 1e-3 * 5 / 6, 1e-3 * 4 / 6, 1e-3 * 3 / 6, 1e-3 * 2 / 6, 1e-3 / 6])


def test_class_weights() -> None:
    assert class_weights("none", COUNTS) is None
    balanced = class_weights("balanced", COUNTS)
    assert balanced is not None
    assert balanced.tolist() == pytest.approx([100 / 300, 100 / 180, 1.0, 100 / 60, 100 / 30, 100 / 30])
    root = class_weights("sqrt", COUNTS)
    assert root is not None
    assert root.tolist() == pytest.approx([weight**0.5 for weight in balanced.tolist()])
    given = class_weights([1, 2, 3, 4, 5, 6.5], COUNTS)
    assert given is not None
    assert given.tolist() == [1, 2, 3, 4, 5, 6.5]


def test_loss_is_weighted_cross_entropy(backbones: dict[str, Path]) -> None:
    module = classifier(backbones["minilm"], class_weights=[1, 2, 3, 4, 5, 6]).eval()
    loss, logits = module.training_loss(batch()), module(batch()["input_ids"], batch()["attention_mask"])
    weights = torch.tensor([1.0, 2, 3, 4])  # of the labels 0, 1, 2, 3
    rows = -logits.log_softmax(-1)[torch.arange(4), torch.arange(4)]
    assert loss.item() == pytest.approx(((rows * weights).sum() / weights.sum()).item(), rel=1e-5)


def test_the_loss_sees_adjusted_logits_and_validation_does_not(backbones: dict[str, Path]) -> None:
    module = classifier(backbones["minilm"], logit_adjustment=0.5).eval()
    logits = module(batch()["input_ids"], batch()["attention_mask"]).detach()
    shares = [count / sum([50, 30, 1, 10, 5, 5]) for count in [50, 30, 1, 10, 5, 5]]
    adjusted = logits + 0.5 * torch.tensor([math.log(share) for share in shares])
    expected = -adjusted.log_softmax(-1)[torch.arange(4), torch.arange(4)].mean()
    assert module.training_loss(batch()).item() == pytest.approx(expected.item(), rel=1e-5)
    losses: list[float] = []
    module.log = lambda _, value, **__: losses.append(value.item())  # type: ignore[method-assign, assignment]
    module.validation_step(batch(), 0)
    plain = -logits.log_softmax(-1)[torch.arange(4), torch.arange(4)].mean()
    assert losses == pytest.approx([plain.item()], rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_learning_rates_fall_from_layer_to_layer(kind: str, backbones: dict[str, Path]) -> None:
    module = classifier(backbones[kind], kind, layer_decay=0.5)
    layers = module.model.config.num_hidden_layers
    rates = {
        parameter: group["lr"]
        for group in parameter_groups(module, module.model, 1e-3, 0.01, 0.5)
        for parameter in group["params"]
    }
    assert set(rates) == set(module.parameters())
    for name, parameter in module.model.named_parameters():
        layer = re.search(r"layers?\.(\d+)\.", name)
        depth = layers - int(layer[1]) if layer else layers + 1 if "embeddings" in name else 0
        assert rates[parameter] == pytest.approx(1e-3 * 0.5**depth), name


def test_the_cosine_schedule(backbones: dict[str, Path]) -> None:
    module = classifier(backbones["minilm"], schedule="cosine")
    rates: list[float] = []
    module.on_train_batch_start = lambda *_: rates.append(module.trainer.optimizers[0].param_groups[0]["lr"])  # type: ignore[method-assign]
    fit(module, steps=4, epochs=2)
    falling = [1e-3 * (1 + math.cos(math.pi * step / 6)) / 2 for step in range(6)]
    assert rates == pytest.approx([0.0, 5e-4, *falling])


def test_mixed_precision_clips_and_steps(backbones: dict[str, Path]) -> None:
    """Lightning refuses to clip for a fused optimizer that says it can unscale gradients."""
    module = classifier(backbones["minilm"])
    before = {name: value.clone() for name, value in module.model.state_dict().items()}
    trainer = Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, precision="bf16-mixed", gradient_clip_val=1.0,
    )  # fmt: skip
    loader = DataLoader([0] * 2, batch_size=1, collate_fn=lambda _: batch())
    trainer.fit(module, loader, loader)
    assert trainer.optimizers[0].defaults["fused"]
    assert any(not torch.equal(value, before[name]) for name, value in module.model.state_dict().items())
