"""A compression that ended early goes on with what it had not finished, and ends as an undisturbed one does."""

import logging
import signal
from pathlib import Path

import pytest

from emotion.compression import CompressConfig, compress
from emotion.config import compose_config, resolve
from emotion.errors import UserError
from emotion.training import Interrupted, stop_on_signals
from support.compression_runs import digest
from support.files import sample_rows, write_csv
from support.interruptions import do_in_step
from support.training import same, weights_of

pytestmark = pytest.mark.usefixtures("one_thread", "default_handlers")


@pytest.fixture
def overrides(weights: Path, csv: Path, tmp_path: Path) -> list[str]:
    """Of a compression by two techniques, the second with 3 epochs of 8 updates."""
    train = write_csv(tmp_path / "train.csv", sample_rows("train", 64))
    data = [f"weights={weights}", f"data.validation={csv}", f"data.train={train}", "accelerator=cpu", "rounds=1"]
    lesson = ["max_epochs=3", "batch_size=8", "learning_rate=0.003", "augmented_copies=0", "joined_copies=0"]
    return [*data, "technique.techniques=[prune,distill]", *(f"distill.{each}" for each in lesson)]


def run(overrides: list[str], run_dir: Path, earlier: list[Path], sweep: str | None = None) -> None:
    config = resolve(compose_config("compress", overrides), CompressConfig)
    compress(config, overrides, run_dir, sweep=sweep, earlier_runs=earlier)


def interrupted(
    overrides: list[str], run_dir: Path, monkeypatch: pytest.MonkeyPatch, update: int = 11, sweep: str | None = None
) -> None:
    """Run a compression that SIGTERM ends in an update of its distillation."""
    with monkeypatch.context() as patch:
        do_in_step(update, lambda: signal.raise_signal(signal.SIGTERM), patch)
        with pytest.raises(Interrupted), stop_on_signals(at_once=True):
            run(overrides, run_dir, [], sweep)


@pytest.mark.parametrize("update", [3, 11])
def test_neither_techniques_nor_epochs_are_done_again(
    update: int, overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    whole, again, first = tmp_path / "whole", tmp_path / "again", tmp_path / "first"
    run([*overrides, f"output_dir={whole}"], tmp_path / "undisturbed", [])
    interrupted([*overrides, f"output_dir={again}"], first, monkeypatch, update)
    assert not (again / "compression_results" / "compression_report.json").exists()
    pruned = again / "compression_results" / "MiniLM_prune.pt"
    written = pruned.stat().st_mtime_ns
    with caplog.at_level(logging.INFO), monkeypatch.context() as patch:
        do_in_step(25 - update, lambda: pytest.fail("it was trained for more than the updates that were left"), patch)
        run([*overrides, f"output_dir={again}"], tmp_path / "second", [first])
    assert "prune (1 of 2): made before the interruption" in caplog.text
    assert pruned.stat().st_mtime_ns == written
    states = [weights_of(out / "compression_results" / "MiniLM_distill.pt") for out in (whole, again)]
    assert same(*states)
    assert not (tmp_path / "second").exists(), "it went on in the first folder"
    assert not list(tmp_path.rglob("*.ckpt")), "no resume state is left"


@pytest.mark.parametrize("change", ["another setting", "other data", "resume=never", "the model's file is gone"])
def test_only_the_same_work_goes_on(
    change: str,
    overrides: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    first = tmp_path / "first"
    interrupted(overrides, first, monkeypatch)
    if change == "another setting":
        overrides.append("prune.amount=0.5")
    elif change == "other data":
        write_csv(tmp_path / "train.csv", sample_rows("train", 63))
    elif change == "resume=never":
        overrides.append("resume=never")
    else:
        (tmp_path / "out" / "compression_results" / "MiniLM_prune.pt").unlink()
    with caplog.at_level(logging.INFO):
        run(overrides, tmp_path / "second", [first])
    assert "prune (1 of 2): prune" in caplog.text
    assert ("going on with the distillation" in caplog.text) == (change == "the model's file is gone")


def test_a_finished_job_of_a_sweep_is_not_done_again(overrides: list[str], tmp_path: Path) -> None:
    overrides.append("technique.techniques=[prune]")
    results, job = tmp_path / "out" / "compression_results", tmp_path / "sweep" / "0"
    run(overrides, job, [job], sweep="sweep")
    report = digest(results / "compression_report.json")
    run(overrides, job, [job], sweep="sweep")
    assert digest(results / "compression_report.json") == report, "it was not measured again"
    (results / "compression_report.json").unlink()
    run(overrides, job, [job], sweep="sweep")
    assert (results / "compression_report.json").exists(), "what is not in the report is done again"


def test_states_of_others_are_refused(overrides: list[str], tmp_path: Path) -> None:
    foreign = tmp_path / "mine" / "distill" / "checkpoints" / "last.ckpt"
    foreign.parent.mkdir(parents=True)
    foreign.write_bytes(b"mine")
    with pytest.raises(UserError, match=r"hydra\.run\.dir: .*last\.ckpt was not written by this program"):
        run(overrides, tmp_path / "mine", [tmp_path / "mine"])
    assert foreign.read_bytes() == b"mine"
