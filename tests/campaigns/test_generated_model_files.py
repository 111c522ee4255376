"""No file from a stranger runs code, takes the machine or gives a silent wrong answer, however it was made."""

import json
import math
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from emotion import checkpoint
from emotion.config import PROJECT
from support.campaigns import Campaign
from support.hostile_files import HostileFiles

EARLIER = PROJECT / "tests" / "support" / "earlier_version"
TEXTS = ["so happy to see the sea again " + "a" * 40 + "x" * 40, "that was sad"]
"""What patterns take long to match, and a text of another length."""
MOST_SECONDS, MOST_MB = 5, 1000


class Worker:
    """A process that loads files and is started again when it dies."""

    def __init__(self, scratch: Path, warm: list[Path]) -> None:
        self.scratch, self.warm = scratch, warm
        self.process: subprocess.Popen[str] | None = None

    def ask(self, path: Path) -> dict[str, Any]:
        """Return what came of a file."""
        process = self._running()
        assert process.stdin is not None
        process.stdin.write(json.dumps(str(path)) + "\n")
        process.stdin.flush()
        return json.loads(self._line(process, 4 * MOST_SECONDS))

    def _running(self) -> "subprocess.Popen[str]":
        if self.process is None:
            command = [sys.executable, "-m", "support.hostile_worker", str(self.scratch), json.dumps(TEXTS)]
            paths = os.pathsep.join([str(PROJECT), str(PROJECT / "tests")])
            folders = dict.fromkeys(("TMPDIR", "TORCHINDUCTOR_CACHE_DIR"), str(self.scratch))
            self.process = subprocess.Popen(
                [*command, *map(str, self.warm)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": paths, "RUST_BACKTRACE": "0", **folders},
            )
            assert self._line(self.process, 120) == "ready\n"
        return self.process

    def _line(self, process: "subprocess.Popen[str]", seconds: float) -> str:
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], seconds)
        line = process.stdout.readline() if ready else ""
        if not line:
            self.close()
            raise AssertionError(
                f"the process died with {process.returncode}" if ready else f"no answer in {seconds} s"
            )
        return line

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None


@pytest.fixture
def originals(tmp_path: Path) -> list[Path]:
    """Good checkpoints, with their digests."""
    checkpoint.save(checkpoint.load(EARLIER / "MiniLM_onnx_int8.onnx"), tmp_path / "whole.onnx")
    return [EARLIER / "best_MiniLM.pt", EARLIER / "MiniLM_prune.pt", tmp_path / "whole.onnx"]


@pytest.fixture
def worker(originals: list[Path], tmp_path: Path) -> Iterator[Worker]:
    (tmp_path / "scratch").mkdir()
    worker = Worker(tmp_path / "scratch", originals)
    yield worker
    worker.close()


def test_hostile_files(campaign: Campaign, worker: Worker, originals: list[Path], tmp_path: Path) -> None:
    mark = tmp_path / "it_ran"
    files = HostileFiles(originals, mark)
    expected = [worker.ask(path)["probabilities"] for path in originals]

    def case(random: Random, number: int) -> str:
        family, made = files.make(random, number)
        path = tmp_path / f"stranger{made.suffix}"
        path.write_bytes(made.content)
        found = worker.ask(path)
        label = f"{family}: {json.dumps(found)[:700]}"
        assert not mark.exists(), f"code ran: {label}"
        assert found["events"] == [], label
        assert found["failure"] is None, label
        assert found["seconds"] < MOST_SECONDS, label
        assert found["added_mb"] < MOST_MB, label
        if found["refusal"] is not None:
            assert found["refusal"].startswith((f"{path}: ", "weights: must ")), label  # on loading, or for a text
            assert found["refusal"].isprintable(), label
            return "refused"
        assert made.answers != "none", label
        rows = found["probabilities"]
        assert [len(row) for row in rows] == [6, 6], label
        assert all(math.isclose(sum(row), 1, rel_tol=1e-4) for row in rows), label
        same = rows in expected
        assert same or made.answers == "any", label
        return "as the original" if same else "another model"

    campaign.run(case, few=40, every=2000)
