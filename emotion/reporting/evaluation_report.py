"""Schema of ``evaluation_report.json``, and how it is read, merged and written."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from emotion.reporting.comparison import compare_rows
from emotion.reporting.compression_schema import FileRecord
from emotion.reporting.rows import intact_rows
from emotion.reporting.schema import Comparison, Environment, EvaluationRecord, Report, Strict
from emotion.reporting.store import read_json, write_json

EVALUATION_REPORT_NAME = "evaluation_report.json"


class CheckpointEntry(Strict):
    """A checkpoint and its scores."""

    weights: FileRecord
    model_name: str
    evaluations: dict[str, EvaluationRecord]
    """Scores by the name of the evaluation set."""


class EvaluationReport(Report):
    """``evaluation_report.json``."""

    schema_version: Literal[1] = 1
    environment: Environment
    checkpoints: dict[str, CheckpointEntry]
    """Checkpoints by the name of their file, without its suffix."""
    comparisons: list[Comparison] = Field(default_factory=list)
    """Pairs of checkpoints that were scored on the same rows."""


def read_evaluation_report(folder: Path) -> EvaluationReport | None:
    """Read the report of ``folder``; return None if there is none yet.

    Raises:
        UserError: The file there is no report of this version or an earlier one.
    """
    path = folder / EVALUATION_REPORT_NAME
    return read_json(path, EvaluationReport) if path.exists() else None


def merge_evaluation(new: EvaluationReport, folder: Path) -> EvaluationReport:
    """Add the other checkpoints and sets of the report in ``folder``; a checkpoint of other weights is replaced."""
    old = read_evaluation_report(folder)
    if old is None:
        return new
    merged = new.model_copy(update={"checkpoints": {**old.checkpoints, **new.checkpoints}})
    for name, entry in new.checkpoints.items():
        earlier = old.checkpoints.get(name)
        if earlier is not None and earlier.weights.sha256 == entry.weights.sha256:
            entry.evaluations = {**earlier.evaluations, **entry.evaluations}
    return merged


def write_evaluation_report(report: EvaluationReport, folder: Path) -> None:
    """Compare the checkpoints on each set that several were scored on, and write the report, atomically."""
    report.comparisons = _comparisons(report, folder)
    write_json(report, folder / EVALUATION_REPORT_NAME)


def _comparisons(report: EvaluationReport, folder: Path) -> list[Comparison]:
    by_content: dict[tuple[str, str], list[tuple[float, str, EvaluationRecord]]] = {}
    for name, entry in report.checkpoints.items():
        for data, record in entry.evaluations.items():
            by_content.setdefault((data, record.data.sha256), []).append((record.macro_f1, name, record))
    comparisons: list[Comparison] = []
    for (data, _), scored in by_content.items():
        scored.sort(key=lambda each: -each[0])
        found = {name: intact_rows(record.predictions, folder) for _, name, record in scored}
        rows = {name: each for name, each in found.items() if each is not None}
        if len(rows) > 1:
            comparisons += compare_rows(rows, data)
    return comparisons
