"""Predictions of many files whose processes are killed: the same command ends with what an undisturbed one writes."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from random import Random

import pandas as pd
import pytest

from emotion.config import PROJECT
from support.campaigns import Campaign
from support.files import TEXTS
from support.serving import wait_until

FILES = 8
VICTIMS = {
    "driver": ("predict.py", []),
    "worker": ("spawn_main", []),
    "Ray's actor": ("ray::MapWorker", ["engine=ray"]),
    "Ray's raylet": ("raylet/raylet", ["engine=ray"]),
}
"""What is killed: a part of its command line, and the settings of the prediction that has such a process."""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found as Linux lists them")


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for number in range(FILES):
        frame = pd.DataFrame({"text": [f"{text} {number} {turn}" for turn in range(60) for text in TEXTS]})
        frame.to_csv(tmp_path / "in" / f"{number}.csv", index=False)
    return tmp_path / "in"


def start(weights: Path, inputs: Path, output: Path, mark: str, *settings: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(PROJECT / "scripts" / "predict.py"), f"weights={weights}", f"csv={inputs}"]
    return subprocess.Popen(
        [*command, f"output={output}", "workers=2", *settings],
        env=os.environ | {"EMOTION_CAMPAIGN": mark, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def victims(mark: str, name: str) -> list[int]:
    """Processes of a command, found by the mark that they inherited, whose command line holds ``name``."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            marked = entry.name.isdigit() and mark.encode() in (entry / "environ").read_bytes()
            if marked and name.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:  # it ended
            pass
    return sorted(found)


def end_all(mark: str) -> None:
    """Kill what a killed driver left: it would finish its file beside the next command."""
    for process in victims(mark, ""):
        os.kill(process, signal.SIGKILL)


def written(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.csv")}


@pytest.mark.parametrize(
    "victim",
    [pytest.param(victim, marks=() if victim == "driver" else pytest.mark.slow) for victim in VICTIMS],
)
def test_partition_kills(
    campaign: Campaign, victim: str, originals: dict[str, Path], inputs: Path, tmp_path: Path
) -> None:
    name, settings = VICTIMS[victim]
    weights, undisturbed = originals["minilm"], tmp_path / "undisturbed"
    process = start(weights, inputs, undisturbed, uuid.uuid4().hex)
    assert process.wait(300) == 0
    process.communicate()
    expected = written(undisturbed)
    assert len(expected) == FILES

    def case(random: Random, number: int) -> str:
        out, mark = tmp_path / f"out_{number}", uuid.uuid4().hex
        manifest = out / "_manifest.jsonl"
        process = start(weights, inputs, out, mark, *settings)
        finished = random.randrange(FILES - 1)
        wait_until(lambda: len(victims(mark, name)) > 0, seconds=200)
        lines = lambda: manifest.read_bytes().count(b"\n") if manifest.exists() else 0  # noqa: E731
        wait_until(lambda: lines() >= finished or process.poll() is not None, seconds=200)
        time.sleep(random.uniform(0, 0.3))
        alive = victims(mark, name)
        if alive:
            os.kill(random.choice(alive), signal.SIGKILL)
        out_text, err = process.communicate(timeout=300)
        assert "Traceback" not in err, err
        code = process.returncode
        if name in ("spawn_main", "ray::MapWorker"):
            assert code == 0, err
        end_all(mark)
        whole = {file: content for file, content in written(out).items() if file[0] != "."}
        assert whole.items() <= expected.items(), "no file is half written"
        again = start(weights, inputs, out, mark, *settings)
        told, err = again.communicate(timeout=300)
        assert again.returncode == 0, err
        assert written(out) == expected
        assert lines() >= FILES
        entries = [json.loads(line) for line in manifest.read_text().splitlines()]
        assert {entry["source"]: entry["rows"] for entry in entries} == dict.fromkeys(expected, 60 * len(TEXTS))
        if code == 0:
            assert f"0 files, 0 rows predicted; {FILES} files had been predicted before" in told, out_text
        return "went on by itself" if code == 0 else "went on by the same command"

    campaign.run(case, few=1, every=10)
