"""Reads, merges and writes ``emotion_classification_report.json``."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock
from pydantic import ValidationError

from emotion.artifacts import atomic
from emotion.errors import UserError
from emotion.report.schema import SCHEMA_VERSION, ModelEntry, RunRecord, TrainingReport

REPORT_NAME = "emotion_classification_report.json"


def read_report(output_dir: Path) -> TrainingReport:
    """The report of ``output_dir``; an empty one where there is none yet.

    Raises:
        UserError: The file there is no report of this version.
    """
    path = output_dir / REPORT_NAME
    if not path.exists():
        return TrainingReport()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: must be a JSON report of this program, found something else; move it away") from error
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != SCHEMA_VERSION:
        raise UserError(f"{path}: must have schema_version {SCHEMA_VERSION}, found {version!r}; move it away")
    try:
        return TrainingReport.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(f"{path}: {where}: {first['msg']}, found {str(first['input'])[:60]!r}; move it away") from error


def write_report(report: TrainingReport, output_dir: Path) -> None:
    """Check and write the report, atomically."""
    checked = TrainingReport.model_validate(report.model_dump())
    with atomic(output_dir / REPORT_NAME) as temporary:
        temporary.write_text(checked.model_dump_json(indent=2) + "\n", encoding="utf-8")


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


def merge(report: TrainingReport, run: RunRecord, entry: ModelEntry | None) -> None:
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
