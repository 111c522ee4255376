"""Commands that die at any moment: the same command, started again, ends as an undisturbed one, and leaves nothing.

A command dies by a signal at a random moment, by SIGKILL just before a file comes into place, or as files may not grow
any more; its temporary files are on the disk of its outputs or in memory, or its outputs are in memory.
"""

import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any

import pytest
import torch

from support.campaigns import Campaign
from support.command_server import Commands, Death, Finished, command_server
from support.files import sample_rows, write_csv
from support.training import same, weights_of

MEMORY = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
UNHARMED = Death(seconds=60)
OUTPUTS = {"train": "out", "publish": "out", "sweep": "out", "compress": "out/compression_results", "predict": "."}
"""What is done, and where its deliverables go; ``publish`` is a training that takes the place of an earlier one."""


@pytest.fixture(scope="module")
def commands() -> Iterator[Commands]:
    with command_server() as found:
        yield found


@dataclass
class Places:
    """Where a command works."""

    work: Path
    temporary: Path


def arguments(kind: str, inputs: Path) -> list[str]:
    if kind == "predict":
        return [f"weights={inputs / 'model.pt'}", "csv=texts.csv", "accelerator=cpu"]
    data = [f"data.train={inputs / 'train.csv'}", f"data.validation={inputs / 'validation.csv'}"]
    if kind == "compress":
        steps = ["technique.techniques=[prune,distill]", "distill.batch_size=8", "distill.max_epochs=2", "rounds=1"]
        return [*data, *steps, f"weights={inputs / 'model.pt'}", "output_dir=out", "accelerator=cpu"]
    settings = ["trainer.max_epochs=2", "data.batch_size=8", "trainer.enable_progress_bar=false", "output_dir=out"]
    seeds = {"sweep": ["-m", "seed=1,2"], "publish": ["seed=2"], "train": []}[kind]
    return [*seeds, f"model.backbone={inputs / 'minilm'}", *data, *settings, "save_every_minutes=0.001"]


def run(commands: Commands, kind: str, places: Places, inputs: Path, death: Death = UNHARMED) -> Finished:
    command = kind if kind in ("compress", "predict") else "train"
    return commands.run(command, places.work, *arguments(kind, inputs), death=death, TMPDIR=str(places.temporary))


@pytest.fixture(scope="module")
def inputs(
    backbones: dict[str, Path],
    originals: dict[str, Path],
    commands: Commands,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Backbone, checkpoint, CSVs, and what a training left."""
    folder = tmp_path_factory.mktemp("inputs")
    shutil.copytree(backbones["minilm"], folder / "minilm")
    shutil.copy(originals["minilm"], folder / "model.pt")
    write_csv(folder / "train.csv", sample_rows("train", 200))
    write_csv(folder / "validation.csv", sample_rows("validation", 40))
    write_csv(folder / "texts.csv", sample_rows("test"))
    (folder / "earlier").mkdir()
    trained = run(commands, "train", Places(folder / "earlier", folder), folder)
    assert trained.code == 0, trained.err
    return folder


def places(layout: str, tmp_path: Path, kind: str, inputs: Path) -> Places:
    """Make the folders of a command, on one disk or two."""
    memory = Path(tempfile.mkdtemp(dir=MEMORY)) if layout != "one disk" else tmp_path
    disk = Path(tempfile.mkdtemp(dir=tmp_path))
    found = {
        "one disk": Places(disk / "work", disk / "temporary"),
        "temporary files in memory": Places(disk, memory),
        "outputs in memory": Places(memory, disk),
    }[layout]
    found.work.mkdir(exist_ok=True)
    found.temporary.mkdir(exist_ok=True)
    if kind == "predict":
        shutil.copy(inputs / "texts.csv", found.work)
    if kind == "publish":
        shutil.copytree(inputs / "earlier" / "out", found.work / "out")
    return found


def state(kind: str, work: Path) -> dict[str, Any]:
    """Return all that must be as an undisturbed command leaves it."""
    out = work / OUTPUTS[kind]
    if kind == "predict":
        return {"predictions": (out / "texts_predictions.csv").read_bytes()}
    if kind == "compress":
        report = json.loads((out / "compression_report.json").read_text())
        scores = {name: variant["macro_f1"] for name, variant in report["variants"].items()}
        return {
            "scores": scores,
            "failed": report["failed"],
            "rows": sorted(p.name for p in out.glob("predictions/*.csv")),
        }
    report = json.loads((out / "emotion_classification_report.json").read_text())
    entry = report["models"]["MiniLM"]
    runs = [(run["seed"], run["macro_f1"], run["kept"]) for run in report["runs"]]
    return {"history": entry["history"], "best epoch": entry["best_epoch"], "runs": runs,
            "pictures": sorted(path.name for path in out.glob("visualizations/*.png"))}  # fmt: skip


def weights(kind: str, work: Path) -> list[dict[str, torch.Tensor]]:
    return [weights_of(path) for path in sorted((work / OUTPUTS[kind]).glob("*.pt"))] if kind != "predict" else []


def require_whole(kind: str, work: Path) -> None:
    """Check what another process may read now: each deliverable is the old or the new one, and whole."""
    for path in (work / OUTPUTS[kind]).glob("[!.]*"):
        if path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".pt":
            weights_of(path)


def left_over(places: Places) -> list[str]:
    """List temporary files, but for those in the dated folder of a job that died before it was recorded."""
    hidden = [path for path in places.work.rglob(".*.????????.*") if not path.name.startswith(".emotion.")]
    unrecorded = {path for path in places.work.glob("[mo]u*/*/*") if not (path / "job.json").exists()}
    left = [path for path in hidden if unrecorded.isdisjoint(path.parents)]
    return [str(path) for path in (*left, *places.temporary.iterdir())]


def is_finished(work: Path) -> bool:
    """Return whether a job ended before the signal came."""
    records = [json.loads(path.read_text()) for path in work.glob("[mo]u*/*/*/job.json")]
    return any(record["finished"] for record in records)


@pytest.mark.parametrize("kind", OUTPUTS)
def test_kills(campaign: Campaign, kind: str, commands: Commands, inputs: Path, tmp_path: Path) -> None:
    undisturbed = places("one disk", tmp_path, kind, inputs)
    started = monotonic()
    done = run(commands, kind, undisturbed, inputs)
    seconds = monotonic() - started
    assert done.code == 0, done.err
    expected, expected_weights = state(kind, undisturbed.work), weights(kind, undisturbed.work)
    assert left_over(undisturbed) == []

    def case(random: Random, _number: int) -> str:
        layouts = ["one disk", "temporary files in memory", "outputs in memory"] if MEMORY else ["one disk"]
        found = places(random.choice(layouts), tmp_path, kind, inputs)
        how = ""
        for _ in range(random.choice([1, 1, 2])):
            way = random.choice(["signal", "rename", "rename", "file size"] if kind != "publish" else ["rename"])
            first = done.renames * 2 // 3 if kind == "publish" else 1
            death = {
                "signal": Death(seconds=random.uniform(0.05, 0.9 * seconds)),
                "rename": Death(seconds=60, rename=random.randint(first, done.renames)),
                "file size": Death(seconds=60, file_size=random.choice([1, 500, 5_000, 20_000, 50_000])),
            }[way]
            died = run(commands, kind, found, inputs, death)
            assert "Traceback" not in died.err, f"{death}: {died.err}"
            assert died.code in (0, 1, -9, -14), f"{death}: {died.code} {died.err}"
            require_whole(kind, found.work)
            if died.code == 0 or is_finished(found.work):
                how = how or "ended before it was to die"
                break
            how = f"died by {way}"
        died_after_end = is_finished(found.work)
        if died.code != 0 and not died_after_end:
            again = run(commands, kind, found, inputs)
            assert again.code == 0, f"{death}: {again.err}"
        assert state(kind, found.work) == expected, str(death)
        pairs = zip(weights(kind, found.work), expected_weights, strict=True)
        assert all(same(*pair) for pair in pairs), str(death)
        if died.code != 0 and not died_after_end:
            assert left_over(found) == [], str(death)
        shutil.rmtree(found.work)
        shutil.rmtree(found.temporary, ignore_errors=True)
        return how

    campaign.run(case, few=1, every=30)
