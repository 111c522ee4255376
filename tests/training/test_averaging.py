"""Averages of the weights, against torch's own and against arithmetic."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from emotion.training import run as training_run
from emotion.training import train
from support.training import config_for, read_report

EPOCHS = 3


class Recorder(Callback):
    """Keeps the weights after each update."""

    def __init__(self) -> None:
        self.weights: list[dict[str, Tensor]] = []

    def on_train_batch_end(self, _trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        model: Any = pl_module.model
        self.weights.append({name: value.detach().clone() for name, value in model.named_parameters()})


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder, fit = Recorder(), training_run.fit
    monkeypatch.setattr(training_run, "fit", lambda *args: fit(*args[:-1], [recorder, *args[-1]]))
    return recorder


def trained(backbones: dict[str, Path], corpus: dict[str, Path], folder: Path, *overrides: str) -> dict[str, Tensor]:
    """Train, and return the weights of the last epoch as they are kept."""
    settings = (f"trainer.max_epochs={EPOCHS}", "data.batch_size=8", "model.learning_rate=0.003", *overrides)
    train(config_for("minilm", backbones["minilm"], corpus, folder / "out", *settings), folder / "run")
    content = torch.load(folder / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    return {name.removeprefix("model."): value for name, value in content["state_dict"].items()}


@pytest.mark.parametrize("average_from", [0.0, 0.5])
def test_swa_is_torchs_mean_of_the_updates_that_count(
    average_from: float, backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path, recorder: Recorder
) -> None:
    kept = trained(backbones, corpus, tmp_path, "optimizer.average=swa", f"optimizer.average_from={average_from}")
    updates = recorder.weights[round(average_from * len(recorder.weights)) :]
    assert len(updates) > 2
    holder = nn.ParameterDict({name.replace(".", "/"): value for name, value in updates[0].items()})
    reference = AveragedModel(holder)
    for weights in updates:
        holder.load_state_dict({name.replace(".", "/"): value for name, value in weights.items()})
        reference.update_parameters(holder)
    expected = {name.replace("/", "."): value for name, value in reference.module.state_dict().items()}
    assert expected.keys() <= kept.keys()
    for name, value in expected.items():
        torch.testing.assert_close(kept[name], value, rtol=1e-5, atol=1e-6)


def test_ema_leaves_its_share_at_each_update(
    backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path, recorder: Recorder
) -> None:
    settings = ("optimizer.average=ema", "optimizer.average_from=0.25", "optimizer.ema_decay=0.75")
    kept = trained(backbones, corpus, tmp_path, *settings)
    updates = recorder.weights[round(0.25 * len(recorder.weights)) :]
    for name, expected in updates[0].items():
        for weights in updates[1:]:
            expected = 0.75 * expected + 0.25 * weights[name]
        torch.testing.assert_close(kept[name], expected, rtol=1e-4, atol=1e-5)


def test_what_is_scored_is_the_average_and_an_average_of_nothing_is_the_weights(
    backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path, recorder: Recorder
) -> None:
    """The report's scores are computed again from the checkpoint, and those of the epoch within the training."""
    kept = trained(backbones, corpus, tmp_path, "optimizer.average=ema", "optimizer.average_from=1.0")
    for name, value in recorder.weights[-1].items():
        assert torch.equal(kept[name], value)
    trained(backbones, corpus, tmp_path / "swa", "optimizer.average=swa", "optimizer.average_from=0.0")
    entry = read_report(tmp_path / "swa" / "out")["models"]["MiniLM"]
    best = entry["history"][entry["best_epoch"] - 1]
    assert best["val_macro_f1"] == pytest.approx(entry["macro_f1"], abs=1e-6)
