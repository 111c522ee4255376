"""Signals stop a training at its next step, and a run that is resumed there ends as an undisturbed one does."""

import logging
import os
import shlex
import signal
import subprocess
import sys
from contextlib import nullcontext
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import sleep

import pytest
import torch

from emotion.config import PROJECT
from emotion.jobs import Job
from emotion.training import Interrupted, TrainConfig, stop_on_signals, train
from support.files import sample_rows, write_csv
from support.interruptions import do_in_step
from support.training import config_for, read_report, same, weights_of

pytestmark = pytest.mark.usefixtures("one_thread", "default_handlers")


@pytest.mark.parametrize(
    ("name", "update", "epoch", "average"),
    [
        *(("SIGTERM", 3, 0, "none"), ("SIGINT", 12, 1, "none"), ("SIGHUP", 9, 1, "none"), ("SIGTERM", 8, 1, "none")),
        *(("SIGTERM", 23, 2, "none"), ("SIGTERM", 12, 1, "ema"), ("SIGTERM", 15, 1, "swa")),
        ("SIGTERM", 12, 1, "none augmentation.crop=0.5 augmentation.typos=0.5"),
    ],
)
def test_a_run_that_a_signal_stopped_goes_on_from_its_step(
    name: str,
    update: int,
    epoch: int,
    average: str,
    backbones: dict[str, Path],
    corpus: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """There are eight updates an epoch; after an epoch's last, the next epoch's first update is the one to stop at."""

    def config(out: str, *overrides: str) -> TrainConfig:
        settings = ("trainer.max_epochs=3", "data.batch_size=8", "model.learning_rate=0.003")
        settings += (*f"optimizer.average={average}".split(), *overrides)
        return config_for("minilm", backbones["minilm"], corpus, tmp_path / out, *settings)

    train(config("whole"), tmp_path / "run_whole")
    handlers = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]
    with monkeypatch.context() as patch:
        do_in_step(update, lambda: signal.raise_signal(signal.Signals[name]), patch)
        with pytest.raises(Interrupted) as caught, stop_on_signals():
            train(config("resumed"), tmp_path / "run")
    assert (caught.value.code, caught.value.signal) == (128 + signal.Signals[name], name)
    assert [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)] == handlers
    content = torch.load(caught.value.state, weights_only=True)
    assert content["epoch"] == epoch
    assert content["global_step"] == (update if update % 8 else update + 1)

    train(config("resumed", f"trainer.ckpt_path={caught.value.state}"), tmp_path / "again")
    assert same(weights_of(tmp_path / "whole" / "best_MiniLM.pt"), weights_of(tmp_path / "resumed" / "best_MiniLM.pt"))
    whole, resumed = (read_report(tmp_path / out)["models"]["MiniLM"] for out in ("whole", "resumed"))
    assert resumed["history"] == whole["history"]
    assert resumed["best_epoch"] == whole["best_epoch"]


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_block_that_is_to_end_at_once_does(
    name: str, backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A compression, or the classic command, within a training too, where Lightning would exit with 0 or 1."""
    number, before = signal.Signals[name], signal.getsignal(signal.Signals[name])
    do_in_step(3, lambda: signal.raise_signal(number), monkeypatch)
    config = config_for("minilm", backbones["minilm"], corpus, tmp_path / "out", "data.batch_size=8")
    with pytest.raises(Interrupted) as caught, stop_on_signals(at_once=True):
        train(config, tmp_path / "run")
    assert (caught.value.code, caught.value.state) == (128 + number, None)
    assert signal.getsignal(number) == before


def test_a_second_interrupt_ends_at_once() -> None:
    def interrupt_twice() -> None:
        with stop_on_signals():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted) as caught:
        interrupt_twice()
    assert caught.value.code == 130


def test_a_signal_that_is_ignored_stays_ignored(
    backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As under ``nohup``."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        do_in_step(1, lambda: signal.raise_signal(signal.SIGHUP), monkeypatch)
        with stop_on_signals():
            train(config_for("minilm", backbones["minilm"], corpus, tmp_path / "out"), tmp_path / "run")
    finally:
        signal.signal(signal.SIGHUP, before)
    assert (tmp_path / "out" / "best_MiniLM.pt").is_file()


def interrupted(config: TrainConfig, run_dir: Path, update: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a training that SIGTERM ends in the given update."""
    with monkeypatch.context() as patch:
        do_in_step(update, lambda: signal.raise_signal(signal.SIGTERM), patch)
        with pytest.raises(Interrupted), stop_on_signals():
            train(config, run_dir)


def test_a_training_that_is_started_again_goes_on_until_it_is_finished(
    backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def config(out: str) -> TrainConfig:
        return config_for("minilm", backbones["minilm"], corpus, tmp_path / out, "data.batch_size=8")

    train(config("whole"), tmp_path / "whole_run")
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    interrupted(config("again"), first, 3, monkeypatch)
    train(config("again"), second, earlier_runs=[tmp_path / "nowhere", first])
    assert same(weights_of(tmp_path / "whole" / "best_MiniLM.pt"), weights_of(tmp_path / "again" / "best_MiniLM.pt"))
    assert not second.exists(), "it went on in the first folder"
    train(config("again"), third, earlier_runs=[first])
    assert (third / "checkpoints" / "last.ckpt").is_file(), "a finished run is run again"


@pytest.mark.parametrize("why", ["other settings", "other data", "resume=never", "alive", "no file to lock"])
def test_only_the_same_run_goes_on_and_only_if_nobody_else_is_at_it(
    why: str, backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    settings = ["data.batch_size=8", "trainer.max_epochs=1"]
    interrupted(config_for("minilm", backbones["minilm"], corpus, tmp_path / "out", *settings), first, 3, monkeypatch)
    if why == "other settings":
        settings.append("optimizer.weight_decay=0.5")
    elif why == "other data":
        write_csv(corpus["train"], sample_rows("train", 59))
    elif why == "resume=never":
        settings.append("resume=never")
    elif why == "no file to lock":
        (first / ".emotion.job.lock").unlink(missing_ok=True)
        (first / ".emotion.job.lock").mkdir()
    config = config_for("minilm", backbones["minilm"], corpus, tmp_path / "out", *settings)
    with Job(first, "another process's").recorded() if why == "alive" else nullcontext():
        train(config, second, earlier_runs=[first])
    assert (second / "checkpoints" / "last.ckpt").is_file()


def test_a_checkout_that_is_not_installed_trains_too(
    backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def version_of(name: str) -> str:
        if name == "emotion-classifier":
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr("emotion.jobs.version", version_of)
    train(config_for("minilm", backbones["minilm"], corpus, tmp_path / "out"), tmp_path / "run")
    assert (tmp_path / "out" / "best_MiniLM.pt").is_file()


def test_states_within_an_epoch_are_written_now_and_then(
    backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path
) -> None:
    settings = ("data.batch_size=8", "trainer.max_epochs=1", "save_every_minutes=1e-9")
    saved = []

    class Watch(logging.Handler):
        def emit(self, _record: logging.LogRecord) -> None:
            saved.append((tmp_path / "run" / "checkpoints" / "last.ckpt").is_file())

    log, handler = logging.getLogger("emotion.training.artifact_writer"), Watch()
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    train(config_for("minilm", backbones["minilm"], corpus, tmp_path / "out", *settings), tmp_path / "run")
    log.removeHandler(handler)
    assert saved == [True], "the epoch's own state is written after its line"


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), pytest.param("SIGINT", 130, marks=pytest.mark.slow)])
def test_the_same_command_goes_on_after_any_end(
    name: str, code: int, backbones: dict[str, Path], tmp_path: Path
) -> None:
    csv = write_csv(tmp_path / "train.csv", sample_rows("train", 800))
    validation = write_csv(tmp_path / "validation.csv", sample_rows("validation", 40))
    command = [
        sys.executable,
        str(PROJECT / "scripts" / "train.py"),
        f"model.backbone={backbones['minilm']}",
        f"data.train={csv}",
        f"data.validation={validation}",
        "trainer.max_epochs=2",
        "data.batch_size=2",
        f"output_dir={tmp_path / 'out'}",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "epoch 1/2:" in line:
            while not list(tmp_path.glob("outputs/*/*/checkpoints/last.ckpt")):
                sleep(0.01)
            process.send_signal(signal.Signals[name])
            break
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == code, stdout + stderr
    assert "Traceback" not in stderr
    said = [line for line in stderr.splitlines() if line.startswith("stopped by ")]
    expected = f"stopped by {name}; to go on: {shlex.join(['python', *command[1:]])}"
    assert said == [expected]
    assert not (tmp_path / "out" / "best_MiniLM.pt").exists()
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "resuming the run in" in done.stdout
    assert len(read_report(tmp_path / "out")["models"]["MiniLM"]["history"]) == 2


@pytest.mark.parametrize("is_only_state", [True, False])
def test_a_torn_resume_state_is_noticed(
    is_only_state: bool, backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """It goes on from the best epoch or, before there is one, from the start; to the same weights."""

    def config(out: str) -> TrainConfig:
        return config_for("minilm", backbones["minilm"], corpus, tmp_path / out, "data.batch_size=8")

    train(config("whole"), tmp_path / "whole_run")
    interrupted(config("again"), tmp_path / "first", 3 if is_only_state else 12, monkeypatch)
    states = tmp_path / "first" / "checkpoints"
    assert (states / "best.ckpt").exists() == (not is_only_state)
    content = (states / "last.ckpt").read_bytes()
    (states / "last.ckpt").write_bytes(content[: len(content) // 2])
    with caplog.at_level("INFO"):
        train(config("again"), tmp_path / "second", earlier_runs=[tmp_path / "first"])
    assert f"{states / 'last.ckpt'}: must be a whole .pt checkpoint" in caplog.text
    assert same(weights_of(tmp_path / "whole" / "best_MiniLM.pt"), weights_of(tmp_path / "again" / "best_MiniLM.pt"))
    assert "epoch 2/2" in (tmp_path / "first" / "train.log").read_text(), "the log goes on in the first folder"
