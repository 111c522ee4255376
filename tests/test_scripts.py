"""The commands themselves: a sweep, and several processes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from emotion.config import PROJECT
from emotion.files import sha256
from support.files import sample_rows, write_csv

TRAIN = str(PROJECT / "scripts" / "train.py")


def execute(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, TRAIN, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False)


def quick(corpus: dict[str, Path]) -> list[str]:
    csvs = [f"data.train={corpus['train']}", f"data.validation={corpus['validation']}"]
    return [*csvs, "trainer.max_epochs=1", "trainer.enable_progress_bar=false"]


def test_a_sweep_keeps_what_succeeded_and_reports_what_failed(
    backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path
) -> None:
    tiny = [str(backbones["minilm"]), str(tmp_path / "nowhere"), str(backbones["cardiff"])]
    done = execute(tmp_path, "-m", f"model.backbone={','.join(tiny)}", *quick(corpus))
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert f"job 1: model.backbone: must be a folder with config.json, found {tmp_path / 'nowhere'}" in done.stdout
    assert done.stderr.splitlines()[-1].startswith("error: model.backbone: must be a folder with config.json")
    report = json.loads((tmp_path / "outputs" / "emotion_classification_report.json").read_text())
    assert "Over seeds, on validation" in done.stdout, "what succeeded is reported together"
    assert (tmp_path / "outputs" / "report.html").is_file()
    (sweep,) = (tmp_path / "multirun").glob("*/*")
    assert [(run["sweep"], Path(run["run_id"]).name) for run in report["runs"]] == [
        (str(sweep), "0"),
        (str(sweep), "2"),
    ]
    for job in ("0", "2"):
        assert (sweep / job / "checkpoints" / "last.ckpt").is_file()
        assert (sweep / job / ".hydra" / "config.yaml").is_file()
    assert not (tmp_path / "outputs" / "checkpoints").exists()


@pytest.mark.slow
def test_trainings_at_the_same_time_share_one_report(
    backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path
) -> None:
    def start(kind: str) -> subprocess.Popen[str]:
        command = [sys.executable, TRAIN, f"model={kind}", f"model.backbone={backbones[kind]}", *quick(corpus)]
        return subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    trainings = [start(kind) for kind in ("minilm", "cardiff", "minilm")]
    errors = [training.communicate(timeout=240)[1] for training in trainings]
    assert [training.returncode for training in trainings] == [0, 0, 0], errors
    report = json.loads((tmp_path / "outputs" / "emotion_classification_report.json").read_text())
    assert sorted(run["model_name"] for run in report["runs"]) == ["CardiffRoBERTa", "MiniLM", "MiniLM"]
    assert len({run["run_id"] for run in report["runs"]}) == 3
    for entry in report["models"].values():
        assert sha256(tmp_path / "outputs" / entry["checkpoint"]) == entry["checkpoint_sha256"]


def test_two_processes_share_the_rows_and_write_once(
    backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path
) -> None:
    done = execute(
        tmp_path, f"model.backbone={backbones['minilm']}", *quick(corpus), "trainer=ddp", "trainer.accelerator=cpu"
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "outputs" / "emotion_classification_report.json").read_text())
    assert len(report["runs"]) == 1
    entry = report["models"]["MiniLM"]
    assert sum(map(sum, entry["confusion_matrix"])) == len(sample_rows("validation", 24))
    last = torch.load(next(tmp_path.glob("outputs/*/*/checkpoints/last.ckpt")), weights_only=True)
    assert last["global_step"] == 1  # 60 rows, 32 for each of two processes in a step
    assert entry["history"][0]["val_macro_f1"] == pytest.approx(entry["macro_f1"], abs=1e-6)


def test_a_sweep_predicts_each_csv(originals: dict[str, Path], tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_csv(tmp_path / f"{name}.csv", sample_rows("validation", 6))
    script = PROJECT / "scripts" / "predict.py"
    command = [
        sys.executable,
        str(script),
        "-m",
        f"weights={originals['minilm']}",
        "csv=a.csv,b.csv",
        "accelerator=cpu",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert {"a_predictions.csv", "b_predictions.csv"} < {path.name for path in tmp_path.iterdir()}


def test_a_sweep_takes_the_files_that_a_glob_names(tmp_path: Path) -> None:
    command = [sys.executable, str(PROJECT / "scripts" / "train.py"), "-m", "model=glob(mi*)", "trainer.max_epochs=0"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr == "error: trainer.max_epochs: must be a whole number >= 1, found 0\n"
