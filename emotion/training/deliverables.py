"""Replace a model's files under ``output_dir`` together: checkpoint, pictures, predictions and report.

The checkpoint's replacement decides: a process that is killed before it leaves the old state, one that is killed after
it leaves the new one, which the next process completes.
"""

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from emotion.checkpoint import content, is_checkpoint, write
from emotion.files import (
    atomic,
    link_or_copy,
    marked,
    require_ours,
    require_unchanged,
    require_writable,
    sha256,
)
from emotion.labels import LabelSet
from emotion.models import Predictor
from emotion.reporting import (
    VALIDATION,
    EvaluationRecord,
    ModelEntry,
    RowsFile,
    RunFile,
    RunRecord,
    TrainingReport,
    announce_run,
    announced_run,
    collect_report,
    complete_run,
    confusion_matrix_figure,
    is_our_figure,
    locked,
    merge_run,
    replaces,
    save_figure,
    succeeds_itself,
    sweep_rival,
    training_curves_figure,
    withdraw_run,
    write_report,
    write_run,
)


class Deliverables:
    """The paths under ``output_dir`` that belong to one model."""

    def __init__(self, output_dir: Path, model_name: str) -> None:
        self.output_dir, self.model_name = output_dir, model_name
        self.checkpoint = output_dir / f"best_{model_name}.pt"
        self.previous = output_dir / f"best_{model_name}.previous.pt"
        self.confusion_matrix = output_dir / "visualizations" / f"{model_name}_confusion_matrix.png"
        self.training_curves = output_dir / "visualizations" / f"{model_name}_training_curves.png"

    def predictions(self, data: str) -> Path:
        """Return the file of the row-level predictions of ``data``: ``validation`` or an evaluation set's name."""
        return self.output_dir / "predictions" / f"{self.model_name}_{data}.csv"

    def require_free(self, sets: Iterable[str] = ()) -> None:
        """Make the folders, and refuse to replace a file that is not ours.

        Args:
            sets: Names of the evaluation sets whose predictions will be written.

        Raises:
            UserError: A file is not ours, or a folder cannot be written.
        """
        require_writable(self.output_dir, "output_dir")
        require_writable(self.confusion_matrix.parent, "output_dir")
        require_writable(self.predictions("").parent, "output_dir")
        self.require_ours(sets)
        with locked(self.output_dir):
            settle(self.output_dir)

    def require_ours(self, sets: Iterable[str]) -> None:
        """Refuse to replace a file that is not ours. Raises :class:`UserError`."""
        for path in (self.checkpoint, self.previous):
            require_ours(path, is_checkpoint, "output_dir")
        for path in (self.confusion_matrix, self.training_curves):
            require_ours(path, is_our_figure, "output_dir")
        for data in (VALIDATION, *sets):
            require_unchanged(self.predictions(data), "output_dir")

    def publish(
        self, deliverable: Predictor, entry: ModelEntry, run: RunRecord, rows: Mapping[str, Path]
    ) -> TrainingReport:
        """Put a run's files in place if it is the one to keep, and merge it, while no other process does.

        Args:
            deliverable: The run's best epoch.
            entry: Its scores; digests of the files are filled in.
            run: Its record; whether it is kept, and its predictions, are filled in.
            rows: Its row-level predictions, all in one folder: of ``validation`` and of each evaluation set of ``run``.

        Raises:
            UserError: A file that is not ours has appeared at one of the paths; nothing is replaced.
        """
        with locked(self.output_dir):
            report = settle(self.output_dir)
            run.kept = replaces(run, sweep_rival(report, run))
            files = {data: RowsFile(file=path.name, sha256=sha256(path)) for data, path in rows.items()}
            run.predictions = files[VALIDATION]
            for data, scores in run.evaluations.items():
                scores.predictions = files[data]
            if run.kept:
                self.require_ours(run.evaluations)
                keep_previous = not succeeds_itself(report, run)
                self._replace(deliverable, entry, run, rows, keep_previous)
                complete_run(self.output_dir)
            else:
                write_run(run, entry, self.output_dir)
            merge_run(report, run, entry if run.kept else None)
            write_report(report, self.output_dir)
        return report

    def _replace(
        self,
        deliverable: Predictor,
        entry: ModelEntry,
        run: RunRecord,
        rows: Mapping[str, Path],
        keep_previous: bool,
    ) -> None:
        """Write all files, announce the run, and put the files in place, the checkpoint first."""
        with self._evidence(entry, rows), ExitStack() as pending:  # the file entered last comes into place first
            if keep_previous and self.checkpoint.exists():
                previous = pending.enter_context(atomic(self.previous))
                link_or_copy(self.checkpoint, previous)  # a second name, so that the first is never missing
            weights = pending.enter_context(atomic(self.checkpoint))
            write(content(deliverable), weights)
            entry.checkpoint_sha256 = sha256(weights)
            announce_run(run, entry, self.output_dir)

    @contextmanager
    def _evidence(self, entry: ModelEntry, rows: Mapping[str, Path]) -> Iterator[None]:
        """Write the pictures and the predictions; they come into place once the block ends without an error."""
        title = f"{self.model_name} on validation: macro F1 {entry.macro_f1:.3f}, accuracy {entry.accuracy:.3f}"
        with ExitStack() as pending:
            matrix = pending.enter_context(atomic(self.confusion_matrix))
            names = list(entry.per_class)
            colours = LabelSet.coloured(names, entry.config.get("labels", {}).get("colours")).colours
            save_figure(confusion_matrix_figure(entry.confusion_matrix, names, title, colours), matrix)
            curves = pending.enter_context(atomic(self.training_curves))
            save_figure(training_curves_figure(entry.history, entry.best_epoch, self.model_name), curves)
            records: dict[str, ModelEntry | EvaluationRecord] = {VALIDATION: entry, **entry.evaluations}
            for record in records.values():
                record.predictions = None
            for data, source in rows.items():
                published = self.predictions(data)
                shutil.copyfile(source, pending.enter_context(marked(published, "output_dir")))
                file = RowsFile(file=published.relative_to(self.output_dir).as_posix(), sha256=sha256(source))
                records[data].predictions = file
            yield

    def complete(self, interrupted: RunFile) -> None:
        """Put the other files of an interrupted run in place, now that its checkpoint is there."""
        run, entry = interrupted.run, interrupted.entry
        self.require_ours(run.evaluations)
        for replaced in self.output_dir.glob(f".{self.previous.stem}.*.pt"):
            os.replace(replaced, self.previous)
        files = {VALIDATION: run.predictions} | {data: each.predictions for data, each in run.evaluations.items()}
        rows = {}
        for data, file in files.items():
            copies = (Path(run.run_id) / file.file, self.predictions(data)) if file is not None else ()
            found = next((path for path in copies if file is not None and _has_digest(path, file.sha256)), None)
            if found is not None:
                rows[data] = found
        with self._evidence(entry, rows):
            announce_run(run, entry, self.output_dir)


def settle(output_dir: Path) -> TrainingReport:
    """Complete or undo what a process left when it was killed while publishing; return the report of all runs.

    The caller holds the lock.
    """
    interrupted = announced_run(output_dir)
    if interrupted is not None:
        deliverables = Deliverables(output_dir, interrupted.run.model_name)
        if _has_digest(deliverables.checkpoint, interrupted.entry.checkpoint_sha256):
            deliverables.complete(interrupted)
            complete_run(output_dir)
        else:
            withdraw_run(output_dir)
    return collect_report(output_dir)


def _has_digest(path: Path, digest: str) -> bool:
    return path.is_file() and sha256(path) == digest
