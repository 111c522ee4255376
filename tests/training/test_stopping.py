"""Several validations an epoch, and trainings that end when they no longer get better."""

import logging
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from sklearn.metrics import f1_score
from torch import Tensor

from emotion.errors import UserError
from emotion.prediction import run_inference
from emotion.training import TrainConfig, train
from emotion.training import run as training_run
from support.interruptions import do_in_step
from support.training import config_for, read_report, same, weights_of

TWICE = ("data.batch_size=8", "trainer.val_check_interval=0.5", "model.learning_rate=0.003")


class Weights(Callback):
    """Keeps the weights after each update."""

    def __init__(self) -> None:
        self.after: list[dict[str, Tensor]] = []

    def on_train_batch_end(self, _trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        model: Any = pl_module.model
        self.after.append({name: value.detach().clone() for name, value in model.state_dict().items()})


@pytest.mark.parametrize("average", ["none", "swa"])
def test_each_of_two_validations_an_epoch_may_become_the_checkpoint(
    average: str, backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights, fit = Weights(), training_run.fit
    monkeypatch.setattr(training_run, "fit", lambda *args: fit(*args[:-1], [weights, *args[-1]]))
    settings = (*TWICE, "trainer.max_epochs=3", f"optimizer.average={average}", "optimizer.average_from=0.9")
    train(config_for("minilm", backbones["minilm"], corpus, tmp_path, *settings), tmp_path / "run")
    entry = read_report(tmp_path)["models"]["MiniLM"]
    history = entry["history"]
    assert [record["epoch"] for record in history] == [0.5, 1, 1.5, 2, 2.5, 3]
    scores = [record["val_macro_f1"] for record in history]
    best = scores.index(max(scores))
    assert entry["best_epoch"] == history[best]["epoch"]
    assert entry["macro_f1"] == pytest.approx(max(scores), abs=1e-6)
    if history[best]["epoch"] < 2.7:  # the average begins after
        assert same(weights_of(tmp_path / "best_MiniLM.pt"), weights.after[len(weights.after) * (best + 1) // 6 - 1])
    labels = pd.read_csv(corpus["validation"])
    predicted = run_inference(str(tmp_path / "best_MiniLM.pt"), str(corpus["validation"]))
    assert entry["macro_f1"] == pytest.approx(f1_score(labels.label, predicted, average="macro"), abs=1e-6)


def test_a_training_ends_after_as_many_validations_without_a_better_one(
    backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path
) -> None:
    """With a learning rate that changes nothing, no validation is better than the first."""
    still = (*TWICE[:2], "model.learning_rate=1e-12", "trainer.max_epochs=9")
    train(config_for("minilm", backbones["minilm"], corpus, tmp_path, *still, "trainer.patience=2"), tmp_path / "run")
    entry = read_report(tmp_path)["models"]["MiniLM"]
    assert [record["epoch"] for record in entry["history"]] == [0.5, 1, 1.5]
    assert entry["best_epoch"] == 0.5


class _Stopped(Exception):
    pass


class _StopAt(logging.Handler):
    """Ends the run when it logs the validation after ``epoch``."""

    def __init__(self, epoch: str) -> None:
        super().__init__()
        self.epoch = epoch

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage().startswith(f"epoch {self.epoch}:"):
            raise _Stopped


@pytest.mark.parametrize("state", ["last.ckpt", "best.ckpt"])
def test_a_run_with_validations_within_epochs_is_resumed_as_if_it_had_not_stopped(
    state: str, backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path
) -> None:
    def config(out: str, *overrides: str) -> TrainConfig:
        settings = (*TWICE, "trainer.max_epochs=3", "save_every_minutes=0.00001", *overrides)
        return config_for("minilm", backbones["minilm"], corpus, tmp_path / out, *settings)

    train(config("whole"), tmp_path / "run_whole")
    log, handler = logging.getLogger("emotion.training.artifact_writer"), _StopAt("2.5/3")
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    with pytest.raises(_Stopped):
        train(config("resumed"), tmp_path / "run_first")
    log.removeHandler(handler)
    path = tmp_path / "run_first" / "checkpoints" / state
    train(config("resumed", f"trainer.ckpt_path={path}"), tmp_path / "run_second")
    whole, resumed = (read_report(tmp_path / out)["models"]["MiniLM"] for out in ("whole", "resumed"))
    assert resumed["history"] == whole["history"]
    assert resumed["best_epoch"] == whole["best_epoch"]
    ends = [tmp_path / run / "checkpoints" / "last.ckpt" for run in ("run_whole", "run_first")]
    assert same(*(torch.load(end, weights_only=True)["state_dict"] for end in ends))
    assert same(*(weights_of(tmp_path / out / "best_MiniLM.pt") for out in ("whole", "resumed")))


def test_a_run_that_had_stopped_early_does_not_go_on_when_its_deliverables_are_written_later(
    backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody puts a file of their own in the way while the run trains."""
    out = tmp_path / "out"
    foreign = out / "best_MiniLM.pt"
    still = (*TWICE[:2], "model.learning_rate=1e-12", "trainer.max_epochs=9", "trainer.patience=2")
    with monkeypatch.context() as patch:
        do_in_step(3, lambda: foreign.write_bytes(b"precious"), patch)
        with pytest.raises(UserError, match="was not written by this program"):
            train(config_for("minilm", backbones["minilm"], corpus, out, *still), tmp_path / "run")
    foreign.unlink()
    ckpt = f"trainer.ckpt_path={tmp_path / 'run' / 'checkpoints' / 'last.ckpt'}"
    train(config_for("minilm", backbones["minilm"], corpus, out, *still, ckpt), tmp_path / "again")
    history = read_report(out)["models"]["MiniLM"]["history"]
    assert [record["epoch"] for record in history] == [0.5, 1, 1.5]
