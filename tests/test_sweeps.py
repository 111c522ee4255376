"""A sweep that was killed goes on when the same command is started again, as the same sweep."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from emotion.config import PROJECT
from support.files import sample_rows, write_csv
from support.training import read_report, same, weights_of


def test_a_killed_sweep_goes_on(backbones: dict[str, Path], tmp_path: Path) -> None:
    csv = write_csv(tmp_path / "train.csv", sample_rows("train", 800))
    validation = write_csv(tmp_path / "validation.csv", sample_rows("validation", 40))
    settings = [f"model.backbone={backbones['minilm']}", f"data.train={csv}", f"data.validation={validation}"]
    command = [sys.executable, str(PROJECT / "scripts" / "train.py"), "-m", "seed=1,2", "trainer.max_epochs=2"]
    command += [*settings, "data.batch_size=2", "model.learning_rate=0.003"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    process = subprocess.Popen([*command, "output_dir=out"], cwd=tmp_path, env=environment, stdout=-1, stderr=-1)
    assert process.stdout is not None
    epochs = 0
    for line in process.stdout:
        epochs += b"epoch 1/2:" in line
        if epochs == 2:  # of the second job
            process.send_signal(signal.SIGKILL)
            break
    process.communicate()
    (first,) = tmp_path.glob("multirun/*/*")
    finished = (first / "0" / "checkpoints" / "last.ckpt").stat().st_mtime_ns

    again, whole = (
        subprocess.run([*command, out], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
        for out in ("output_dir=out", "output_dir=whole")
    )
    assert f"resuming the sweep in {first}" in again.stdout
    assert f"the run in {first / '0'} is finished already" in again.stdout
    assert (first / "0" / "checkpoints" / "last.ckpt").stat().st_mtime_ns == finished
    assert "resuming" not in whole.stdout, "a finished sweep is run again"
    reports = [read_report(tmp_path / out) for out in ("out", "whole")]
    assert [run["seed"] for run in reports[0]["runs"]] == [1, 2]
    assert {run["sweep"] for run in reports[0]["runs"]} == {str(first)}
    assert [run["macro_f1"] for run in reports[0]["runs"]] == [run["macro_f1"] for run in reports[1]["runs"]]
    assert same(*(weights_of(tmp_path / out / "best_MiniLM.pt") for out in ("out", "whole")))
