"""Campaigns: the same check on many generated cases; the default tests run a few of them, ``-m campaign`` all.

A full campaign notes each case that it has finished, so it goes on where it was stopped, and prints its figures.
"""

import json
import re
import subprocess
from pathlib import Path

import pytest

from emotion.config import PROJECT
from support.campaigns import Campaign
from support.command_server import Commands
from support.works import make_inputs


@pytest.fixture(
    params=["few cases", pytest.param("all cases", marks=[pytest.mark.campaign, pytest.mark.timeout(1800)])]
)
def campaign(request: pytest.FixtureRequest) -> Campaign:
    """The campaign of the test module that asks for it."""
    full = request.param == "all cases"
    test = re.sub(r"\W+", "-", request.node.name.replace("all cases", "")).strip("-")
    commit = _commit()
    notes = _folder(request.config) / f"{test}-{commit}.jsonl"
    if not full or commit.endswith("changed"):
        notes.unlink(missing_ok=True)
    return Campaign(test.removeprefix("test_").replace("-", ", "), full, commit, notes if full else None)


@pytest.fixture(scope="module")
def inputs(
    backbones: dict[str, Path],
    originals: dict[str, Path],
    commands: Commands,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """What the short works of :mod:`support.works` start from."""
    return make_inputs(tmp_path_factory.mktemp("inputs"), backbones["minilm"], originals["minilm"], commands)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if "campaign" not in config.option.markexpr or "not campaign" in config.option.markexpr:
        return
    for path in sorted(_folder(config).glob(f"*-{_commit()}.json")):
        terminalreporter.write_line(json.loads(path.read_text(encoding="utf-8"))["figures"])


def _folder(config: pytest.Config) -> Path:
    folder: Path = config.cache.mkdir("campaigns")
    return folder


def _commit() -> str:
    """Name the commit that is tried, and whether files differ from it."""
    git = ["git", "-C", str(PROJECT), "describe", "--always", "--dirty=-changed", "--exclude=*"]
    found = subprocess.run(git, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "no commit"
