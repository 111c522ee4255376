"""Reads, merges and writes ``emotion_classification_report.json``."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from emotion.reporting.json_file import read_json, write_json
from emotion.reporting.schema import ModelEntry, RunRecord, TrainingReport

REPORT_NAME = "emotion_classification_report.json"


def read_report(output_dir: Path) -> TrainingReport:
    """The report of ``output_dir``; an empty one where there is none yet.

    Raises:
        UserError: The file there is no report of this version.
    """
    path = output_dir / REPORT_NAME
    if not path.exists():
        return TrainingReport()
    return read_json(path, TrainingReport)


def write_report(report: TrainingReport, output_dir: Path) -> None:
    """Check and write the report, atomically."""
    write_json(report, output_dir / REPORT_NAME)


@contextmanager
def locked(output_dir: Path) -> Iterator[None]:
    """Hold ``output_dir`` for this process: nobody else's deliverables change meanwhile."""
    with FileLock(output_dir / ".emotion.lock"):
        yield


def sweep_rival(report: TrainingReport, run: RunRecord) -> RunRecord | None:
    """The best run before ``run`` of its sweep, its model and on its validation data."""
    if run.sweep is None:
        return None
    contest = (run.sweep, run.model_name, run.validation_sha256)
    rivals = [each for each in report.runs if (each.sweep, each.model_name, each.validation_sha256) == contest]
    return max(rivals, key=lambda each: each.macro_f1, default=None)


def replaces(run: RunRecord, rival: RunRecord | None) -> bool:
    """Whether ``run`` takes its model's place: always, but after a run of its sweep with a macro F1 as high."""
    return rival is None or run.macro_f1 > rival.macro_f1


def is_of_sweep(report: TrainingReport, model_name: str, sweep: str | None) -> bool:
    """Whether the model's entry comes from ``sweep``: a sweep's own weaker run is not worth keeping as `previous`."""
    entry = report.models.get(model_name)
    runs = {run.run_id for run in report.runs if sweep is not None and run.sweep == sweep}
    return entry is not None and entry.run_id in runs


def merge_run(report: TrainingReport, run: RunRecord, entry: ModelEntry | None) -> None:
    """Add ``run``, put ``entry`` in its model's place where it was kept, and name the best model anew."""
    report.runs.append(run)
    if entry is not None:
        report.models[run.model_name] = entry
    comparable = {
        name: each.macro_f1
        for name, each in report.models.items()
        if each.data.validation.sha256 == run.validation_sha256
    }
    report.best_model = max(comparable, key=comparable.__getitem__, default=None)
