"""The files under ``output_dir``: checkpoint, pictures and report of a model, replaced together."""

import shutil
from pathlib import Path

from emotion.checkpoint import content, is_checkpoint, write
from emotion.files import atomic, link_or_copy, require_ours, require_writable, sha256
from emotion.models import Predictor
from emotion.reporting import (
    ModelEntry,
    RowsFile,
    RunRecord,
    TrainingReport,
    confusion_matrix_figure,
    is_of_sweep,
    is_our_figure,
    is_rows,
    locked,
    merge_run,
    read_report,
    replaces,
    save_figure,
    sweep_rival,
    training_curves_figure,
    write_report,
    write_run,
)


class Deliverables:
    """The paths under ``output_dir`` that belong to one model."""

    def __init__(self, output_dir: Path, model_name: str) -> None:
        self.output_dir = output_dir
        self.checkpoint = output_dir / f"best_{model_name}.pt"
        self.previous = output_dir / f"best_{model_name}.previous.pt"
        self.confusion_matrix = output_dir / "visualizations" / f"{model_name}_confusion_matrix.png"
        self.training_curves = output_dir / "visualizations" / f"{model_name}_training_curves.png"
        self.predictions = output_dir / "predictions" / f"{model_name}_validation.csv"

    def require_free(self) -> None:
        """Make the folders, and refuse to replace a file that is not ours. Raises :class:`UserError`."""
        require_writable(self.output_dir, "output_dir")
        require_writable(self.confusion_matrix.parent, "output_dir")
        require_writable(self.predictions.parent, "output_dir")
        self.require_ours()
        with locked(self.output_dir):
            read_report(self.output_dir)

    def require_ours(self) -> None:
        """Refuse to replace a file that is not ours. Raises :class:`UserError`."""
        for path in (self.checkpoint, self.previous):
            require_ours(path, is_checkpoint, "output_dir")
        for path in (self.confusion_matrix, self.training_curves):
            require_ours(path, is_our_figure, "output_dir")
        require_ours(self.predictions, is_rows, "output_dir")

    def publish(self, deliverable: Predictor, entry: ModelEntry, run: RunRecord, rows: Path) -> TrainingReport:
        """Put a run's files in place where it is the one to keep, and merge it, while no other process does.

        Args:
            deliverable: The run's best epoch.
            entry: Its scores; digests of the files are filled in.
            run: Its record; whether it is kept is filled in.
            rows: Its row-level predictions of the validation CSV.

        Raises:
            UserError: A file that is not ours has appeared at one of the paths; nothing is replaced.
        """
        with locked(self.output_dir):
            report = read_report(self.output_dir)
            run.kept = replaces(run, sweep_rival(report, run))
            if run.kept:
                self.require_ours()
                for abandoned in self.output_dir.glob(f".{self.checkpoint.stem}.*.pt"):
                    abandoned.unlink()  # a killed process left it: nobody else writes while this one holds the lock
                keep_previous = not is_of_sweep(report, run.model_name, run.sweep)
                self._replace(deliverable, entry, rows, keep_previous)
            write_run(run, entry, self.output_dir)
            merge_run(report, run, entry if run.kept else None)
            write_report(report, self.output_dir)
        return report

    def _replace(self, deliverable: Predictor, entry: ModelEntry, rows: Path, keep_previous: bool) -> None:
        """Write the checkpoint, the pictures and the predictions; nothing is replaced before all are written."""
        name = deliverable.model_name
        title = f"{name} on validation: macro F1 {entry.macro_f1:.3f}, accuracy {entry.accuracy:.3f}"
        with (
            atomic(self.confusion_matrix) as matrix,
            atomic(self.training_curves) as curves,
            atomic(self.predictions) as predictions,
            atomic(self.checkpoint) as weights,
        ):
            save_figure(confusion_matrix_figure(entry.confusion_matrix, list(entry.per_class), title), matrix)
            save_figure(training_curves_figure(entry.history, entry.best_epoch, name), curves)
            shutil.copyfile(rows, predictions)
            file = self.predictions.relative_to(self.output_dir).as_posix()
            entry.predictions = RowsFile(file=file, sha256=sha256(predictions))
            write(content(deliverable), weights)
            entry.checkpoint_sha256 = sha256(weights)
            if keep_previous and self.checkpoint.exists():
                with atomic(self.previous) as previous:  # a second name, so that the first is never missing
                    link_or_copy(self.checkpoint, previous)
