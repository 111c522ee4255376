"""A training that logs to a file logs its progress, at most once per interval."""

import io
import logging
from itertools import count
from pathlib import Path

import pytest
import torch
from lightning import LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from emotion.training.callbacks import ProgressBar
from emotion.training.fitting import build_trainer
from emotion.training.progress_log import ProgressLog
from support.training import config_for

NAME = "emotion.training.progress_log"


class Learner(LightningModule):
    """A model whose loss is the number of the update, counted from 1."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def training_step(self, _batch: dict[str, Tensor]) -> Tensor:
        return self.weight.sum() * 0 + self.global_step + 1

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.001)


def logged(caplog: pytest.LogCaptureFixture, callback: ProgressLog, folder: Path) -> list[str]:
    """The lines that are logged in two epochs of six updates with four rows each."""
    trainer = Trainer(
        max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False, enable_model_summary=False,
        enable_progress_bar=False, callbacks=[callback], default_root_dir=folder,
    )  # fmt: skip
    loader = DataLoader([0] * 6, batch_size=1, collate_fn=lambda _: {"labels": torch.zeros(4)})  # type: ignore[arg-type]
    with caplog.at_level(logging.INFO, "emotion"):
        trainer.fit(Learner(), loader)
    return [record.getMessage() for record in caplog.records if record.name == NAME]


def test_lines_show_updates_loss_speed_and_time_left(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    clock = count(0, 10)  # ten seconds per update
    lines = logged(caplog, ProgressLog(seconds=50, clock=lambda: next(clock)), tmp_path)
    assert lines == [
        "epoch 1/2, update 5/12: loss 3.0000, 0 rows/s, 0:01:10 left",
        "epoch 2/2, update 10/12: loss 8.0000, 0 rows/s, 0:00:20 left",
    ]


def test_rows_per_second_are_counted_since_the_last_line(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    times = iter([0, 1, 2, 6, *range(7, 20)])
    lines = logged(caplog, ProgressLog(seconds=4, clock=lambda: next(times)), tmp_path)
    assert [line.partition(", ")[2].partition(" rows")[0] for line in lines] == [
        "update 3/12: loss 2.0000, 2",  # 12 rows in 6 seconds
        "update 7/12: loss 5.5000, 4",
        "update 11/12: loss 9.5000, 4",
    ]


def test_a_minute_is_the_default(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    clock = count(0, 20)
    lines = logged(caplog, ProgressLog(clock=lambda: next(clock)), tmp_path)
    assert [line.split(":")[0] for line in lines] == [f"epoch {1 + (n > 6)}/2, update {n}/12" for n in (3, 6, 9, 12)]


@pytest.mark.parametrize("bar", [True, False])
@pytest.mark.parametrize("terminal", [True, False])
def test_lines_are_logged_where_there_is_no_terminal(
    terminal: bool,
    bar: bool,
    backbones: dict[str, Path],
    corpus: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return terminal

    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.stdout", Terminal())
    config = config_for("minilm", backbones["minilm"], corpus, tmp_path)
    config = config.updated(trainer=config.trainer.updated(enable_progress_bar=bar))
    callbacks = build_trainer(config, tmp_path, []).callbacks  # type: ignore[attr-defined]
    assert any(isinstance(each, ProgressLog) for each in callbacks) == (not terminal)
    assert any(isinstance(each, ProgressBar) for each in callbacks) == bar
