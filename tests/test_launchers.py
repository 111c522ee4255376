"""Sweeps whose jobs run at the same time, by the launchers that Hydra's plugins bring."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from emotion.config import PROJECT
from support.fake_slurm import fake_slurm
from support.files import sample_rows, write_csv
from support.training import read_report, same, weights_of

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def sweep(folder: Path, *overrides: str, path: str = "", **environment: str) -> subprocess.Popen[str]:
    known = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    known["PATH"] = f"{path}{os.pathsep}{known['PATH']}" if path else known["PATH"]
    command = [sys.executable, str(PROJECT / "scripts" / "train.py"), "-m", *overrides]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=folder, env=known | environment, text=True, **pipes)


def settings(backbone: Path, corpus: dict[str, Path]) -> list[str]:
    csvs = [f"data.train={corpus['train']}", f"data.validation={corpus['validation']}"]
    return [*csvs, f"model.backbone={backbone}", "trainer.max_epochs=1", "baselines=false"]


def finished(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["submitit_local", "joblib", "ray"])
def test_jobs_share_the_cores_and_one_report(
    launcher: str, backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path
) -> None:
    chosen = [f"hydra/launcher={launcher}", *(["hydra.launcher.n_jobs=2"] if launcher == "joblib" else [])]
    out = finished(sweep(tmp_path, "seed=1,2", *chosen, *settings(backbones["minilm"], corpus)))
    assert out.count("Over seeds, on validation") == 1
    report = read_report(tmp_path / "outputs")
    assert sorted(run["seed"] for run in report["runs"]) == [1, 2]
    assert len({run["sweep"] for run in report["runs"]}) == 1
    for path in (tmp_path / "outputs" / "emotion_runs").glob("*.json"):
        entry = json.loads(path.read_text())["entry"]
        assert entry["environment"]["hardware"]["threads"] == max(1, CORES // 2)


@pytest.mark.slow
def test_a_job_that_slurm_takes_the_machine_from_goes_on(backbones: dict[str, Path], tmp_path: Path) -> None:
    corpus = {
        "train": write_csv(tmp_path / "train.csv", sample_rows("train", 1000)),
        "validation": write_csv(tmp_path / "validation.csv", sample_rows("validation", 40)),
    }
    given = [*settings(backbones["minilm"], corpus), "trainer.max_epochs=6", "data.batch_size=4"]
    finished(sweep(tmp_path, "seed=1,2", "output_dir=undisturbed", *given, OMP_NUM_THREADS="1"))

    slurm = [*given, "hydra/launcher=submitit_slurm", f"hydra.sweep.dir={tmp_path / 'sweep'}"]
    path = fake_slurm(tmp_path / "slurm")
    process = sweep(tmp_path, "seed=1,2", *slurm, path=path, OMP_NUM_THREADS="1")
    state = tmp_path / "sweep" / "1" / "checkpoints" / "last.ckpt"
    deadline = time.monotonic() + 120
    while not state.is_file():
        assert time.monotonic() < deadline, "no epoch was finished"
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    os.kill(_task_of(tmp_path / "sweep", "1"), signal.SIGUSR2)  # as Slurm does before it takes the machine away
    finished(process)

    log = (tmp_path / "sweep" / "1" / "train.log").read_text()
    assert "resuming the run in" in log
    reports = [read_report(tmp_path / out) for out in ("undisturbed", "outputs")]
    by_seed = [{run["seed"]: run["macro_f1"] for run in report["runs"]} for report in reports]
    assert by_seed[0] == by_seed[1]
    assert len(reports[1]["runs"]) == 2
    assert same(*(weights_of(tmp_path / out / "best_MiniLM.pt") for out in ("undisturbed", "outputs")))


def _task_of(sweep_folder: Path, task: str) -> int:
    """Return the process of a task of the fake cluster's job array."""
    for entry in Path("/proc").iterdir():
        try:
            command, environment = (entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()
        except OSError:  # no process, or one that has ended
            continue
        is_task = b"submitit.core._submit" in command and str(sweep_folder).encode() in command
        if is_task and re.search(rf"SLURM_ARRAY_TASK_ID={task}\0".encode(), environment) and b"srun" not in command:
            return int(entry.name)
    raise AssertionError("the task is not there")


@pytest.mark.slow
def test_of_ray_s_jobs_one_that_fails_leaves_the_others_and_a_sweep_goes_on(
    backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path
) -> None:
    given = ["seed=1,2", "hydra/launcher=ray", "hydra.sweep.dir=sweep", *settings(backbones["minilm"], corpus)]
    process = sweep(tmp_path, *given[1:], f"data.validation=missing.csv,{corpus['validation']}")
    out, err = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "missing.csv" in err
    assert "Traceback" not in err
    assert len(read_report(tmp_path / "outputs")["runs"]) == 1
    out = finished(sweep(tmp_path, *given, "output_dir=again"))
    assert len(read_report(tmp_path / "again")["runs"]) == 2
    again = finished(sweep(tmp_path, *given, "output_dir=again"))
    assert out.count("Over seeds, on validation") == again.count("Over seeds, on validation") == 1


@pytest.mark.slow
def test_jobs_on_a_cluster_find_the_files_of_the_folder_that_the_sweep_was_started_in(
    backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    try:
        corpus["train"].rename(tmp_path / "train.csv")
        given = settings(backbones["minilm"], corpus | {"train": Path("train.csv")})
        place = f"hydra.launcher.ray.init.address={cluster.address}"
        finished(sweep(tmp_path, "seed=1,2", "hydra/launcher=ray", place, *given))
    finally:
        cluster.shutdown()
    assert sorted(run["seed"] for run in read_report(tmp_path / "outputs")["runs"]) == [1, 2]


def test_a_cluster_that_is_not_there_is_named_in_one_line(tmp_path: Path) -> None:
    process = sweep(tmp_path, "seed=1,2", "hydra/launcher=ray", "hydra.launcher.ray.init.address=ray://127.0.0.1:9")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    rule = "error: hydra.launcher.ray.init.address: must be of a Ray cluster, found none at ray://127.0.0.1:9: "
    assert err.strip().startswith(rule)
    assert len(err.strip().splitlines()) == 1


def test_a_launcher_that_is_not_installed_is_named_in_one_line(tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    absent.mkdir()
    without_plugins = "import sys, types; sys.modules['hydra_plugins'] = it = types.ModuleType(''); it.__path__ = []"
    (absent / "sitecustomize.py").write_text(without_plugins)
    process = sweep(tmp_path, "seed=1,2", "hydra/launcher=ray", PYTHONPATH=str(absent))
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert err.strip() == 'error: hydra/launcher: ray must be installed, found it missing: pip install -e ".[ray]"'
