"""Evaluate checkpoints on labelled CSVs: ``scripts/evaluate.py``."""

import logging
from contextlib import ExitStack
from pathlib import Path

from emotion.checkpoint import load
from emotion.errors import UserError
from emotion.files import atomic, marked, require_ours, require_unchanged, require_writable, sha256
from emotion.isolation import isolated
from emotion.models import Predictor, pick_device
from emotion.progress import progress_bar
from emotion.reporting import (
    CheckpointEntry,
    Environment,
    EvaluationReport,
    FileRecord,
    RowsFile,
    confusion_matrix_figure,
    count_read,
    git_commit,
    hardware,
    is_our_figure,
    locked,
    merge_evaluation,
    read_evaluation_report,
    save_figure,
    versions,
    write_evaluation_report,
    write_rows,
)
from emotion.scoring.config import EvaluateConfig
from emotion.scoring.sets import Scored, read_sets, score_set

log = logging.getLogger(__name__)


@isolated()
def evaluate_checkpoints(config: EvaluateConfig) -> EvaluationReport:
    """Score each checkpoint on each CSV; write the report, the row-level predictions and the confusion matrices.

    Returns:
        The report, merged with earlier ones of the folder.

    Raises:
        UserError: A checkpoint or a CSV cannot be used, or a file that is not ours would be replaced.
    """
    device = pick_device(config.accelerator)
    models = {name: load(path, device, config.fast) for name, path in config.checkpoints.items()}
    labels = next(iter(models.values())).labels
    for name, model in models.items():
        if model.labels.names != labels.names:
            found = f"{', '.join(labels.names)} and, in {name}, {', '.join(model.labels.names)}"
            raise UserError(f"weights: must be checkpoints of the same classes, found {found}")
    sets = read_sets(config.sets, config.text_column, config.label_column, labels, "csv")
    folder = config.folder
    files = _Files(folder)
    files.require_free([(name, data) for name in models for data in sets])

    scored: dict[str, dict[str, Scored]] = {}
    with progress_bar() as progress:
        rows = sum(len(data.texts) for data in sets.values())
        task = progress.add_task("evaluating", total=len(models) * rows)
        for name, model in models.items():
            scored[name] = {}
            for each, data in sets.items():
                progress.update(task, description=f"{name} on {each}")
                reads = count_read(folder, model.model_name, data.sha256, "evaluate")
                scored[name][each] = score_set(model, data, reads, lambda done: progress.advance(task, done))
    report = EvaluationReport(
        environment=Environment(versions=versions(), hardware=hardware(), git_commit=git_commit()),
        checkpoints={name: _entry(config.checkpoints[name], models[name], found) for name, found in scored.items()},
    )
    return files.publish(report, scored, labels.colours)


def _entry(path: str, model: Predictor, scored: dict[str, Scored]) -> CheckpointEntry:
    return CheckpointEntry(
        weights=FileRecord(path=str(Path(path).resolve()), sha256=sha256(Path(path))),
        model_name=model.model_name,
        evaluations={name: each.record for name, each in scored.items()},
    )


class _Files:
    """The files of evaluations in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def rows(self, checkpoint: str, data: str) -> Path:
        return self.folder / "predictions" / f"{checkpoint}_on_{data}.csv"

    def confusion_matrix(self, checkpoint: str, data: str) -> Path:
        return self.folder / "visualizations" / f"{checkpoint}_on_{data}_confusion_matrix.png"

    def require_free(self, pairs: list[tuple[str, str]]) -> None:
        for path in (self.rows("", ""), self.confusion_matrix("", "")):
            require_writable(path.parent, "output_dir")
        for pair in pairs:
            require_unchanged(self.rows(*pair), "output_dir")
            require_ours(self.confusion_matrix(*pair), is_our_figure, "output_dir")
        read_evaluation_report(self.folder)

    def publish(
        self, report: EvaluationReport, scored: dict[str, dict[str, Scored]], colours: tuple[str, ...]
    ) -> EvaluationReport:
        """Put all files in place together."""
        with locked(self.folder), ExitStack() as pending:
            for name, by_set in scored.items():
                for data, found in by_set.items():
                    path, record = self.rows(name, data), report.checkpoints[name].evaluations[data]
                    temporary = pending.enter_context(marked(path, "output_dir"))
                    write_rows(found.rows, temporary)
                    record.predictions = RowsFile(
                        file=path.relative_to(self.folder).as_posix(), sha256=sha256(temporary)
                    )
                    title = f"{name} on {data}: macro F1 {record.macro_f1:.3f}, accuracy {record.accuracy:.3f}"
                    figure = confusion_matrix_figure(record.confusion_matrix, list(record.per_class), title, colours)
                    save_figure(figure, pending.enter_context(atomic(self.confusion_matrix(name, data))))
            merged = merge_evaluation(report, self.folder)
            pending.close()
            write_evaluation_report(merged, self.folder)
        return merged
