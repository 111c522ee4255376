"""Progress bars fit the terminal, and log lines appear above them."""

import io
import logging
import re
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from lightning import LightningModule, Trainer
from rich.console import Console
from rich.live import Live
from torch import Tensor, nn
from torch.utils.data import DataLoader

from emotion.config import PROJECT
from emotion.progress import CurrentStream, LoggedProgress, progress_bar, stderr, stdout, working
from emotion.training.callbacks import ProgressBar


@pytest.mark.parametrize("stream", [stdout, stderr], ids=["stdout", "stderr"])
def test_a_log_line_goes_to_the_stream_that_is_current_when_it_is_logged(
    stream: CurrentStream, capsys: pytest.CaptureFixture[str]
) -> None:
    log = logging.Logger("test")
    log.addHandler(logging.StreamHandler(stream))
    log.info("before")
    screen = Console(file=io.StringIO(), force_terminal=True, width=60)
    with Live("the bar", console=screen, auto_refresh=False):
        log.info("meanwhile")
    log.info("after")
    captured = capsys.readouterr()
    assert (captured.out if stream is stdout else captured.err) == "before\nafter\n"
    written = screen.file.getvalue()  # type: ignore[attr-defined]
    assert written.index("meanwhile") < written.rindex("the bar"), "the bar is drawn again below the line"


@pytest.mark.parametrize("script", ["train", "compress", "predict", "benchmark"])
def test_every_script_logs_to_the_current_stdout(script: str) -> None:
    overrides = ["weights=w.pt", "csv=c.csv"] if script == "predict" else []
    with initialize_config_dir(str(PROJECT / "conf"), version_base="1.3"):
        config = compose(script, overrides, return_hydra_config=True)
    assert config.hydra.job_logging.handlers.console.stream == "ext://emotion.progress.stdout"


@pytest.mark.parametrize("choice", ["default", "stdout", "disabled", "none"])
def test_hydras_other_choices_of_logging_still_work(choice: str, tmp_path: Path) -> None:
    script = [sys.executable, PROJECT / "scripts" / "predict.py", f"hydra/job_logging={choice}", "csv=x.csv"]
    done = subprocess.run([*script, "weights=w.pt"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr.startswith("error: csv: must be a CSV file"), done.stderr


def test_a_bar_shows_how_much_is_done(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with progress_bar() as progress:
        progress.add_task("reading", total=40, completed=10)
    shown = capsys.readouterr().out
    assert shown.startswith("reading ")
    assert "10/40" in shown
    with working("a step"):
        print("while it works")
    assert capsys.readouterr().out.strip() == "while it works", "a moving bar leaves nothing behind"


def test_a_bar_shows_a_name_as_it_is(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with progress_bar() as progress:
        progress.add_task("my[bold] [/] predicts", total=4, completed=1)
    assert capsys.readouterr().out.startswith("my[bold] [/] predicts ")


def progress_lines(caplog: pytest.LogCaptureFixture, terminal: bool) -> list[str]:
    """What is logged for 120 rows in batches of 10 that take 15 seconds each."""
    console = Console(file=io.StringIO(), force_terminal=terminal, width=60)
    clock = count(0, 15)
    with (
        caplog.at_level(logging.INFO, "emotion"),
        LoggedProgress(console=console, clock=lambda: next(clock), auto_refresh=False) as progress,
    ):
        task = progress.add_task("MiniLM predicts", total=120)
        for _ in range(12):
            progress.advance(task, 10)
    return [record.getMessage() for record in caplog.records if record.name == "emotion.progress"]


def test_a_file_gets_one_line_per_minute_and_a_terminal_none(caplog: pytest.LogCaptureFixture) -> None:
    assert progress_lines(caplog, terminal=True) == []
    assert progress_lines(caplog, terminal=False) == [
        "MiniLM predicts: 30/120, 0.667/s, 0:02:15 left",
        "MiniLM predicts: 70/120, 0.667/s, 0:01:15 left",
        "MiniLM predicts: 110/120, 0.667/s, 0:00:15 left",
    ]


class _Learner(LightningModule):
    """A weight that learns to be 0, with the metrics of a classifier's training."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def training_step(self, batch: Tensor) -> Tensor:
        loss = (self.weight * batch).square().mean()
        self.log_dict({"train/loss_step": loss, "train/other": loss}, prog_bar=True)
        return loss

    def validation_step(self, _batch: Tensor) -> None:
        self.log("val/macro_f1", torch.tensor(0.897), prog_bar=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.001)


def test_an_epoch_of_training_is_one_line_of_80_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    trainer = Trainer(
        max_epochs=10, accelerator="cpu", logger=False, enable_checkpointing=False, enable_model_summary=False,
        callbacks=[ProgressBar(leave=True)], default_root_dir=tmp_path, log_every_n_steps=1,
    )  # fmt: skip
    trainer.fit(_Learner(), DataLoader(torch.ones(1000)), DataLoader(torch.ones(1)))  # type: ignore[arg-type]
    epochs = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Epoch")]
    assert len(epochs) == 10
    for number, line in enumerate(epochs, start=1):
        time = r"\d:\d\d:\d\d • \d:\d\d:\d\d"
        assert re.fullmatch(rf"Epoch {number}/10 +━+ 1000/1000 {time} loss: 0\.\d+ F1: 0\.897 *", line), line
        assert len(line) <= 80
