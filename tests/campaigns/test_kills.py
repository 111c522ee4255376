"""Commands that die at any moment: the same command, started again, ends as an undisturbed one, and leaves nothing.

A command dies by a signal at a random moment, by SIGKILL just before a file comes into place, or as files may not grow
any more; its temporary files are on the disk of its outputs or in memory, or its outputs are in memory.
"""

import tempfile
from pathlib import Path
from random import Random
from time import monotonic

import pytest

from support.campaigns import Campaign
from support.command_server import Commands, Death
from support.training import same
from support.works import OUTPUTS, Work

MEMORY = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
LAYOUTS = ["one disk", "temporary files in memory", "outputs in memory"] if MEMORY else ["one disk"]


def work_on(layout: str, kind: str, disk: Path, inputs: Path) -> Work:
    """Make the folders of a command, on one disk or two."""
    folder, temporary = (Path(tempfile.mkdtemp(dir=disk)) for _ in range(2))
    if layout == "outputs in memory":
        folder = Path(tempfile.mkdtemp(dir=MEMORY))
    if layout == "temporary files in memory":
        temporary = Path(tempfile.mkdtemp(dir=MEMORY))
    return Work(kind, folder, temporary, inputs)


@pytest.mark.parametrize("kind", OUTPUTS)
def test_kills(campaign: Campaign, kind: str, commands: Commands, inputs: Path, tmp_path: Path) -> None:
    undisturbed = work_on("one disk", kind, tmp_path, inputs)
    started = monotonic()
    done = undisturbed.run(commands)
    seconds = monotonic() - started
    assert done.code == 0, done.err
    expected, expected_weights = undisturbed.state(), undisturbed.weights()
    assert undisturbed.left_over() == []

    def random_death(way: str, random: Random) -> Death:
        if way == "signal":
            return Death(seconds=random.uniform(0.05, 0.9 * seconds))
        if way == "file size":
            return Death(seconds=60, file_size=random.choice([1, 500, 5_000, 20_000, 50_000]))
        first = done.renames * 2 // 3 if kind == "publish" else 1
        return Death(seconds=60, rename=random.randint(first, done.renames))

    def case(random: Random, _number: int) -> str:
        work = work_on(random.choice(LAYOUTS), kind, tmp_path, inputs)
        how = "ended before it was to die"
        for _ in range(random.choice([1, 1, 2])):
            way = random.choice(["signal", "rename", "rename", "file size"] if kind != "publish" else ["rename"])
            death = random_death(way, random)
            died = work.run(commands, death)
            assert "Traceback" not in died.err, f"{death}: {died.err}"
            assert died.code in (0, 1, -9, -14), f"{death}: {died.code} {died.err}"
            work.require_whole()
            if died.code == 0 or work.is_finished():
                break
            how = f"died by {way}"
        if died.code != 0 and not work.is_finished():
            again = work.run(commands)
            assert again.code == 0, f"{death}: {again.err}"
            assert work.left_over() == [], str(death)
        assert work.state() == expected, str(death)
        assert all(same(*pair) for pair in zip(work.weights(), expected_weights, strict=True)), str(death)
        work.remove()
        return how

    campaign.run(case, few=1, every=30)
