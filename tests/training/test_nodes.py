"""Two machines, both this one, train one model: torchrun starts a process on each."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from time import monotonic

import pytest

from emotion.config import PROJECT, compose_config, resolve
from emotion.errors import UserError
from emotion.training import TrainConfig
from emotion.training.devices import check_devices
from support.files import sample_rows, write_csv
from support.training import read_report

WITHIN_SECONDS = 60


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_csv(tmp_path / "train.csv", sample_rows("train", 400))
    write_csv(tmp_path / "validation.csv", sample_rows("validation", 41))
    return tmp_path


class Nodes:
    """Two commands, as started on two machines."""

    def __init__(self, backbone: Path, folder: Path, *overrides: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        csvs = [f"data.train={folder / 'train.csv'}", f"data.validation={folder / 'validation.csv'}"]
        settings = ["data.batch_size=2", "trainer.accelerator=cpu", "trainer.enable_progress_bar=false"]
        nodes = ["trainer=ddp", "trainer.devices=1", "trainer.num_nodes=2", "hydra.run.dir=run", "output_dir=out"]
        arguments = [f"model.backbone={backbone}", *csvs, *settings, *nodes, *overrides]
        torchrun = ["torch.distributed.run", "--nnodes=2", "--nproc-per-node=1", "--master-addr=127.0.0.1"]
        self.processes = [
            subprocess.Popen(
                [sys.executable, "-m", *torchrun, f"--master-port={port}", f"--node-rank={rank}",
                 str(PROJECT / "scripts" / "train.py"), *arguments],
                cwd=folder, env={**os.environ, "OMP_NUM_THREADS": "1"}, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )
            for rank in range(2)
        ]  # fmt: skip

    def ends(self) -> list[tuple[int, str]]:
        """Wait for both, and return their exit codes and what they printed."""
        printed = [process.communicate(timeout=300)[0] for process in self.processes]
        return [(process.returncode, text) for process, text in zip(self.processes, printed, strict=True)]

    def read_until(self, words: str) -> None:
        """Wait for the first to print ``words``."""
        output = self.processes[0].stdout
        assert output is not None
        assert any(words in line for line in output), f"it never printed {words}"

    def kill_worker(self, node: int) -> None:
        """Kill the process that trains on a node, not torchrun itself."""
        parent = self.processes[node].pid
        (child,) = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        os.kill(int(child), signal.SIGKILL)


def check_one_run(folder: Path, epochs: int) -> None:
    report = read_report(folder / "out")
    entry = report["models"]["MiniLM"]
    assert len(report["runs"]) == 1, "of two processes, one writes"
    assert [epoch["epoch"] for epoch in entry["history"]] == list(range(1, epochs + 1))
    assert sum(map(sum, entry["confusion_matrix"])) == 41, "each row once"
    best = entry["history"][entry["best_epoch"] - 1]
    assert best["val_macro_f1"] == pytest.approx(entry["macro_f1"]), "both processes' counts are one's"
    assert best["val_accuracy"] == pytest.approx(entry["accuracy"])
    assert (folder / "out" / "best_MiniLM.pt").is_file()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="processes are found as Linux lists them")
@pytest.mark.timeout(600)
def test_two_nodes_train_one_model_and_go_on_after_one_is_lost(backbones: dict[str, Path], data: Path) -> None:
    nodes = Nodes(backbones["minilm"], data, "trainer.max_epochs=3")
    nodes.read_until("epoch 2/3:")  # the first was saved
    nodes.kill_worker(1)
    killed = monotonic()
    ends = nodes.ends()
    assert monotonic() - killed < WITHIN_SECONDS
    assert all(code != 0 for code, _ in ends), ends
    assert "all 2 processes must go on, found that another one has ended" in ends[0][1]
    assert not (data / "out" / "best_MiniLM.pt").exists()

    state = data / "run" / "checkpoints" / "last.ckpt"
    again = Nodes(backbones["minilm"], data, "trainer.max_epochs=3", f"trainer.ckpt_path={state}")
    for code, printed in again.ends():
        assert code == 0, printed
    check_one_run(data, epochs=3)


def config(*overrides: str) -> TrainConfig:
    return resolve(compose_config("train", ["trainer.accelerator=cpu", *overrides]), TrainConfig)


def test_several_nodes_need_a_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOCAL_RANK", "WORLD_SIZE", "SLURM_NTASKS"):
        monkeypatch.delenv(name, raising=False)
    rule = r"trainer\.num_nodes: must be 1 unless torchrun or Slurm starts the command on each machine, found 2"
    with pytest.raises(UserError, match=rule):
        check_devices(config("trainer.num_nodes=2").trainer)


def test_processes_are_as_many_as_torchrun_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "8")
    check_devices(config("trainer.num_nodes=2", "trainer.devices=4").trainer)
    check_devices(config().trainer)  # one device is one process, whatever started it
    rule = r"must make the 8 processes that were started, found 2 on each of 2"
    with pytest.raises(UserError, match=rule):
        check_devices(config("trainer.num_nodes=2", "trainer.devices=2").trainer)
