"""Resuming ends as an uninterrupted run does; folders may be moved; what cannot be resumed is refused."""

import logging
import re
from pathlib import Path

import pytest
import torch

from emotion import checkpoint
from emotion.errors import UserError
from emotion.training import EpochCheckpoint, TrainConfig, train
from emotion.training.callbacks import AtomicCheckpointIO
from support.files import sample_rows, write_csv
from support.training import config_for, read_report, same, weights_of


def test_a_resumed_run_ends_where_the_uninterrupted_one_does(
    backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path
) -> None:
    def config(out: str, *overrides: str) -> TrainConfig:
        return config_for(
            "minilm", backbones["minilm"], corpus, tmp_path / out, "model.learning_rate=0.003", *overrides
        )

    class Stopped(Exception):
        pass

    class StopAfterOneEpoch(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage().startswith("epoch 2/3"):
                raise Stopped

    train(config("whole", "trainer.max_epochs=3"), tmp_path / "run_whole")
    log, handler = logging.getLogger("emotion.training.artifact_writer"), StopAfterOneEpoch()
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    with pytest.raises(Stopped):
        train(config("resumed", "trainer.max_epochs=3"), tmp_path / "run_first")
    log.removeHandler(handler)
    last = tmp_path / "run_first" / "checkpoints" / "last.ckpt"
    train(config("resumed", "trainer.max_epochs=3", f"trainer.ckpt_path={last}"), tmp_path / "run_second")

    assert same(weights_of(tmp_path / "whole" / "best_MiniLM.pt"), weights_of(tmp_path / "resumed" / "best_MiniLM.pt"))
    whole, resumed = (read_report(tmp_path / out)["models"]["MiniLM"] for out in ("whole", "resumed"))
    assert resumed["history"] == whole["history"]
    assert resumed["best_epoch"] == whole["best_epoch"]


def test_what_cannot_be_resumed_is_refused(backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    train(config_for("minilm", backbones["minilm"], corpus, out), tmp_path / "run")
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"

    def resume(kind: str, path: Path, epochs: int) -> None:
        overrides = (f"trainer.ckpt_path={path}", f"trainer.max_epochs={epochs}")
        train(config_for(kind, backbones[kind], corpus, out, *overrides), tmp_path / "again")

    with pytest.raises(UserError, match=r"trainer\.ckpt_path: .*found no file"):
        resume("minilm", tmp_path / "absent.ckpt", 3)
    with pytest.raises(UserError, match=r"trainer\.ckpt_path: must be a resume checkpoint"):
        resume("minilm", out / "best_MiniLM.pt", 3)
    with pytest.raises(UserError, match=r"trainer\.max_epochs: must be >= the 2 epochs of .* found 1"):
        resume("minilm", last, 1)
    for override, found in (("optimizer.class_weights=balanced", "none"), ("model.learning_rate=0.5", "5e-05")):
        config = config_for("minilm", backbones["minilm"], corpus, out, f"trainer.ckpt_path={last}", override)
        rule = rf"{re.escape(override.split('=')[0])}: must be as in the run that is resumed \({found}\)"
        with pytest.raises(UserError, match=rule):
            train(config, tmp_path / "again")
    with pytest.raises(UserError, match=r"model\.name: must be as in the run that is resumed \(MiniLM\)"):
        resume("cardiff", last, 3)
    write_csv(corpus["train"], sample_rows("train", 59))
    with pytest.raises(UserError, match=r"data\.train: must be as in the run that is resumed"):
        resume("minilm", last, 3)
    (last.parent / "best.ckpt").unlink()
    write_csv(corpus["train"], sample_rows("train", 60))
    with pytest.raises(UserError, match=r"trainer\.ckpt_path: must have the run's best\.ckpt in its folder"):
        resume("minilm", last, 3)


def test_a_run_moved_before_resuming_still_knows_its_best_epoch(
    backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path
) -> None:
    train(config_for("minilm", backbones["minilm"], corpus, tmp_path / "out"), tmp_path / "run")
    (tmp_path / "run").rename(tmp_path / "moved")
    folder = tmp_path / "moved" / "checkpoints"
    states = torch.load(folder / "last.ckpt", weights_only=True)["callbacks"]
    (state,) = (state for name, state in states.items() if "val/macro_f1" in name)
    best = EpochCheckpoint(folder, "best", monitor="val/macro_f1")
    best.load_state_dict(state)
    assert best.best_model_score == state["best_model_score"] is not None
    assert best.best_k_models == {str(folder / "best.ckpt"): state["best_model_score"]}
    overrides = (f"trainer.ckpt_path={folder / 'last.ckpt'}", "trainer.max_epochs=3")
    train(config_for("minilm", backbones["minilm"], corpus, tmp_path / "out", *overrides), tmp_path / "again")
    entry = read_report(tmp_path / "out")["models"]["MiniLM"]
    assert entry["macro_f1"] == pytest.approx(max(record["val_macro_f1"] for record in entry["history"]), abs=1e-6)
    assert len(entry["history"]) == 3


def test_a_run_whose_deliverables_could_not_be_written_is_saved_by_resuming(
    backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path
) -> None:
    """Somebody puts a file of their own in the way while the run trains."""
    out, log = tmp_path / "out", logging.getLogger("emotion.training.artifact_writer")
    foreign = out / "best_MiniLM.pt"

    class Interloper(logging.Handler):
        def emit(self, _: logging.LogRecord) -> None:
            foreign.write_bytes(b"precious")

    handler = Interloper()
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    with pytest.raises(UserError, match="was not written by this program"):
        train(config_for("minilm", backbones["minilm"], corpus, out), tmp_path / "run")
    log.removeHandler(handler)
    assert foreign.read_bytes() == b"precious"
    assert not (out / "emotion_classification_report.json").exists()
    foreign.unlink()
    ckpt = f"trainer.ckpt_path={tmp_path / 'run' / 'checkpoints' / 'last.ckpt'}"
    train(config_for("minilm", backbones["minilm"], corpus, out, ckpt), tmp_path / "again")
    assert checkpoint.load(foreign).model_name == "MiniLM"
    assert len(read_report(out)["models"]["MiniLM"]["history"]) == 2


def test_a_resume_state_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing is written to the folder for temporary files, which may be on another disk."""

    class Unsaveable:
        def __reduce__(self) -> str:
            raise OSError("no space left on device")

    elsewhere = tmp_path / "temporary_files"
    elsewhere.mkdir(mode=0o500)
    monkeypatch.setenv("TMPDIR", str(elsewhere))
    monkeypatch.setattr("tempfile.tempdir", None)
    path = tmp_path / "checkpoints" / "last.ckpt"
    writer = AtomicCheckpointIO()
    writer.save_checkpoint({"weights": torch.ones(1000)}, path)
    before = path.read_bytes()
    with pytest.raises(OSError, match="no space left"):
        writer.save_checkpoint({"weights": torch.zeros(1000), "more": Unsaveable()}, path)
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == ["last.ckpt"]
    assert list(elsewhere.iterdir()) == []
