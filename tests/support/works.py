"""Short works of the commands, and all that they must leave: for campaigns in which something goes wrong."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch

from support.command_server import Commands, Death, Finished
from support.files import sample_rows, write_csv
from support.training import weights_of

OUTPUTS = {
    "train": "out",
    "publish": "out",
    "sweep": "out",
    "tune": "out",
    "compress": "out/compression_results",
    "predict": ".",
}
"""What is done, and where its deliverables go; ``publish`` is a training that takes the place of an earlier one."""
UNHARMED = Death(seconds=60)


class Work:
    """A command that works in a folder.

    Args:
        kind: One of :data:`OUTPUTS`.
        folder: Where it works.
        temporary: For temporary files.
        inputs: From :func:`make_inputs`.
    """

    def __init__(self, kind: str, folder: Path, temporary: Path, inputs: Path) -> None:
        self.kind, self.folder, self.temporary, self.inputs = kind, folder, temporary, inputs
        self.outputs = folder / OUTPUTS[kind]
        for each in (folder, temporary):
            each.mkdir(parents=True, exist_ok=True)
        if kind == "predict":
            shutil.copy(inputs / "texts.csv", folder)
        if kind == "publish":
            shutil.copytree(inputs / "earlier" / "out", folder / "out")

    def run(self, commands: Commands, death: Death = UNHARMED, **environment: str) -> Finished:
        command = self.kind if self.kind in ("compress", "predict", "tune") else "train"
        environment["TMPDIR"] = str(self.temporary)
        return commands.run(command, self.folder, *self._arguments(), death=death, **environment)

    def _arguments(self) -> list[str]:
        inputs = self.inputs
        if self.kind == "predict":
            return [f"weights={inputs / 'model.pt'}", "csv=texts.csv", "accelerator=cpu"]
        data = [f"data.train={inputs / 'train.csv'}", f"data.validation={inputs / 'validation.csv'}", "output_dir=out"]
        if self.kind == "compress":
            steps = ["technique.techniques=[prune,distill]", "distill.batch_size=8", "distill.max_epochs=2"]
            return [*data, *steps, "rounds=1", f"weights={inputs / 'model.pt'}", "accelerator=cpu"]
        settings = ["trainer.max_epochs=2", "data.batch_size=8", "trainer.enable_progress_bar=false"]
        if self.kind == "tune":
            search = "search={model.learning_rate: [1e-4, 1e-2, log], optimizer.weight_decay: [0, 0.1]}"
            return ["data=csv", f"model.backbone={inputs / 'minilm'}", *data, *settings, search, "trials=3"]
        seeds = {"sweep": ["-m", "seed=1,2"], "publish": ["seed=2"], "train": []}[self.kind]
        return [*seeds, f"model.backbone={inputs / 'minilm'}", *data, *settings, "save_every_minutes=0.001"]

    def state(self) -> dict[str, Any]:
        """Return all but weights that must be as an undisturbed command leaves it."""
        if self.kind == "predict":
            return {"predictions": (self.outputs / "texts_predictions.csv").read_bytes()}
        if self.kind == "compress":
            report = json.loads((self.outputs / "compression_report.json").read_text())
            scores = {name: variant["macro_f1"] for name, variant in report["variants"].items()}
            rows = sorted(path.name for path in self.outputs.glob("predictions/[!.]*.csv"))
            return {"scores": scores, "failed": report["failed"], "rows": rows}
        report = json.loads((self.outputs / "emotion_classification_report.json").read_text())
        if self.kind == "tune":
            runs = sorted((Path(run["run_id"]).name, run["macro_f1"]) for run in report["runs"])
            return {"trials": json.loads((self.outputs / "tuning_report.json").read_text())["trials"], "runs": runs}
        entry = report["models"]["MiniLM"]
        return {
            "history": entry["history"],
            "best epoch": entry["best_epoch"],
            "runs": [(run["seed"], run["macro_f1"], run["kept"]) for run in report["runs"]],
            "pictures": sorted(path.name for path in self.outputs.glob("visualizations/[!.]*.png")),
        }

    def weights(self) -> list[dict[str, torch.Tensor]]:
        return [weights_of(path) for path in sorted(self.outputs.glob("[!.]*.pt"))] if self.kind != "predict" else []

    def require_whole(self) -> None:
        """Check what another process may read now: each deliverable is the old or the new one, and whole."""
        for path in self.outputs.glob("[!.]*"):
            if path.suffix == ".json":
                json.loads(path.read_text())
            elif path.suffix == ".pt":
                weights_of(path)

    def left_over(self) -> list[str]:
        """List temporary files, but for those in the dated folder of a job that died before it was recorded."""
        hidden = [path for path in self.folder.rglob(".*.????????.*") if not path.name.startswith(".emotion.")]
        unrecorded = {path for path in self.folder.glob("[mo]u*/*/*") if not (path / "job.json").exists()}
        left = [path for path in hidden if unrecorded.isdisjoint(path.parents)]
        return [str(path) for path in (*left, *self.temporary.iterdir())]

    def is_finished(self) -> bool:
        """Return whether a job ended before the command died."""
        if self.kind == "tune":  # its trainings have records of their own
            return False
        records = [json.loads(path.read_text()) for path in self.folder.glob("[mo]u*/*/*/job.json")]
        return any(record["finished"] for record in records)

    def remove(self) -> None:
        for each in (self.folder, self.temporary):
            shutil.rmtree(each, ignore_errors=True)


def make_inputs(folder: Path, backbone: Path, checkpoint: Path, commands: Commands) -> Path:
    """Put a backbone, a checkpoint, CSVs, and what a training left into ``folder``, and return it."""
    shutil.copytree(backbone, folder / "minilm")
    shutil.copy(checkpoint, folder / "model.pt")
    write_csv(folder / "train.csv", sample_rows("train", 200))
    write_csv(folder / "validation.csv", sample_rows("validation", 40))
    write_csv(folder / "texts.csv", sample_rows("test"))
    trained = Work("train", folder / "earlier", folder / "temporary", folder).run(commands)
    assert trained.code == 0, trained.err
    return folder
