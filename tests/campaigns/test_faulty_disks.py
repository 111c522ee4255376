"""Disks that are full, read-only, without locks, or lose a folder: one line, and afterwards all goes on."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from support.campaigns import Campaign
from support.command_server import Commands, Death, command_server
from support.training import same
from support.works import Work

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("gcc") is None, reason="the faults are made by a C library under Linux"
)

KINDS = ["train", "compress", "predict"]
FAULTS = ["quota", "read-only", "folder removed", "no locks", "no locks and killed"]


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    library = tmp_path_factory.mktemp("library") / "faulty_disk.so"
    source = Path(__file__).parents[1] / "support" / "faulty_disk.c"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    with command_server(LD_PRELOAD=str(library)) as found:
        yield found


def test_faulty_disks(campaign: Campaign, commands: Commands, inputs: Path, tmp_path: Path) -> None:
    undisturbed = {}

    def expected(kind: str) -> Work:
        if kind not in undisturbed:
            undisturbed[kind] = Work(kind, tmp_path / kind, tmp_path / "temporary", inputs)
            done = undisturbed[kind].run(commands)
            assert done.code == 0, done.err
        return undisturbed[kind]

    def case(random: Random, number: int) -> str:
        kind, fault = random.choice(KINDS), random.choice(FAULTS)
        work = Work(kind, tmp_path / f"work{number}", tmp_path / f"temporary{number}", inputs)
        death, environment = Death(seconds=60), {"FAULT_FOLDER": str(work.folder)}
        if fault == "quota":
            environment["FAULT_QUOTA"] = str(int(10 ** random.uniform(0, 6)))
        elif fault == "read-only":
            environment["FAULT_READ_ONLY"] = "1"
            environment["FAULT_FOLDER"] += random.choice(["", "/out", "/outputs", "/texts_predictions", "/.texts"])
        elif fault == "folder removed":
            gone = work.folder if kind == "predict" else random.choice([work.folder / "out", work.folder / "outputs"])
            death = Death(seconds=60, rename=random.randint(1, 20), removed=str(gone))
        else:
            environment["FAULT_NO_LOCKS"] = "1"
            death = Death(seconds=60, rename=random.randint(1, 20)) if "killed" in fault else death
        found = work.run(commands, death, **environment)
        told = f"{kind}, {fault}, {death}, {environment}: {found.code} {found.err} {found.out[-500:]}"
        assert "Traceback" not in found.err, told
        assert found.code in ((0, -9) if "locks" in fault else (0, 1)), told
        if found.code == 1:
            assert [line.startswith("error: ") for line in found.err.splitlines()].count(True) == 1, told
        if kind == "predict" and fault == "folder removed":
            work = Work(kind, work.folder, work.temporary, inputs)
        if found.code != 0 or fault == "folder removed":
            again = work.run(commands, **(environment if "locks" in fault else {}))
            assert again.code == 0, f"{told}; then {again.err}"
        if fault != "folder removed":
            assert work.state() == expected(kind).state(), told
            pairs = zip(work.weights(), expected(kind).weights(), strict=True)
            assert all(same(*pair) for pair in pairs), told
        work.remove()
        return f"{fault} ({'done' if found.code == 0 else 'killed' if found.code < 0 else 'refused in one line'})"

    campaign.run(case, few=2, every=150)
