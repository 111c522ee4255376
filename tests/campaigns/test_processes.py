"""Runs of two processes, of which one dies or is asked to stop, and many commands on one folder at once."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from random import Random
from time import monotonic, sleep

import pytest

from emotion.config import PROJECT
from emotion.files import sha256
from support.campaigns import Campaign
from support.files import sample_rows, write_csv
from support.training import read_report

WITHIN_SECONDS = 60
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def command(backbone: Path, data: Path, *more: str) -> list[str]:
    settings = ["trainer.accelerator=cpu", "trainer.enable_progress_bar=false", "trainer.max_epochs=3"]
    csvs = [f"data.train={data / 'train.csv'}", f"data.validation={data / 'validation.csv'}", "data.batch_size=2"]
    return [
        sys.executable,
        str(PROJECT / "scripts" / "train.py"),
        f"model.backbone={backbone}",
        *csvs,
        *settings,
        *more,
    ]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_csv(tmp_path / "train.csv", sample_rows("train", 400))
    write_csv(tmp_path / "validation.csv", sample_rows("validation", 41))
    return tmp_path


def second_process(first: subprocess.Popen[str]) -> int:
    """Return the id of the process that a run's first one has started."""
    children = Path(f"/proc/{first.pid}/task/{first.pid}/children")
    while not children.read_text().split():
        sleep(0.05)
    return int(children.read_text().split()[0])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="processes are found as Linux lists them")
def test_two_processes(campaign: Campaign, backbones: dict[str, Path], data: Path) -> None:
    def case(random: Random, number: int) -> str:
        folder = data / str(number)
        folder.mkdir()
        victim = ["second", "first"][number % 2]
        name = ["SIGKILL", "SIGTERM", "SIGTERM", "SIGKILL", "SIGINT"][number % 5]
        training = command(backbones["minilm"], data, "trainer=ddp", "output_dir=out")
        # A session of its own starts with a terminal's handlers, and does not pass the tests' own signals on.
        run = subprocess.Popen(
            training, cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip
        assert run.stdout is not None
        for line in run.stdout:
            if "epoch 1/3:" in line:
                break
        second = second_process(run)
        sleep(random.uniform(0, 1))
        os.kill(run.pid if victim == "first" else second, signal.Signals[name])
        killed = monotonic()
        _, errors = run.communicate(timeout=WITHIN_SECONDS)
        while Path(f"/proc/{second}").exists():
            assert monotonic() - killed < WITHIN_SECONDS, "the second process goes on"
            sleep(0.05)
        told = f"{name} to the {victim} process: {run.returncode} {errors}"
        assert "Traceback" not in errors, told
        by_signal = {"SIGTERM": 143, "SIGINT": 130, "SIGKILL": -9 if victim == "first" else 1}
        assert run.returncode in (by_signal[name], -9), told  # Lightning kills the first if the second has an error
        assert not (folder / "out" / "best_MiniLM.pt").exists(), told

        again = subprocess.run(training, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)
        assert again.returncode == 0, f"{told}; then {again.stderr}"
        assert "resuming the run in" in again.stdout, told
        report = read_report(folder / "out")
        entry = report["models"]["MiniLM"]
        assert len(report["runs"]) == 1
        assert [epoch["epoch"] for epoch in entry["history"]] == [1, 2, 3]
        assert sum(map(sum, entry["confusion_matrix"])) == 41, "each row once"
        best = entry["history"][entry["best_epoch"] - 1]
        assert best["val_macro_f1"] == pytest.approx(entry["macro_f1"]), "both processes' counts are one's"
        assert best["val_accuracy"] == pytest.approx(entry["accuracy"])
        return f"{name} to the {victim} process"

    campaign.run(case, few=1, every=10)


@pytest.mark.campaign
@pytest.mark.timeout(1200)
def test_many_commands_share_a_folder(backbones: dict[str, Path], originals: dict[str, Path], data: Path) -> None:
    """Eight trainings and eight predictions at once."""
    texts = write_csv(data / "texts.csv", sample_rows("test"))
    predict = [sys.executable, str(PROJECT / "scripts" / "predict.py"), f"weights={originals['minilm']}"]
    commands = [command(backbones["minilm"], data, f"seed={seed}", "output_dir=out") for seed in range(8)]
    commands += [[*predict, f"csv={texts}", "accelerator=cpu"]] * 8
    running = [
        subprocess.Popen(each, cwd=data, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for each in commands
    ]
    ends = [process.communicate() for process in running]
    for process, (_, errors) in zip(running, ends, strict=True):
        assert process.returncode == 0, errors
    report = read_report(data / "out")
    assert sorted(run["seed"] for run in report["runs"]) == list(range(8))
    entry = report["models"]["MiniLM"]
    assert sha256(data / "out" / "best_MiniLM.pt") == entry["checkpoint_sha256"], "files and report are of one run"
    assert report["runs"][-1]["run_id"] == entry["run_id"]
    assert (data / "texts_predictions.csv").read_text().count("\n") == texts.read_text().count("\n")
    hidden = [path for path in data.rglob(".*.????????.*") if not path.name.startswith(".emotion.")]
    assert hidden == []
