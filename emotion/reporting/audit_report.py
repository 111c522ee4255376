"""Schema of ``audit_report.json``, and how it is read and written."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from emotion.data import Audit
from emotion.reporting.schema import DataFile, Environment, Report, Share, Strict
from emotion.reporting.store import read_json, write_json

AUDIT_REPORT_NAME = "audit_report.json"
SUSPECTS_NAME = "suspect_labels.csv"


class SuspectPair(Strict):
    """Suspect rows of one label for which the model suggests the same other one."""

    label: str
    suggested: str
    rows: int = Field(ge=1)


class Suspects(Strict):
    """Training rows whose label is probably wrong."""

    model: str
    """What judged them: ``tfidf_svm``, or the name of a backbone that was fine-tuned."""
    folds: int = Field(ge=2)
    seed: int
    temperature: float = Field(gt=0)
    """Divided the logits, as fitted on all rows out of fold."""
    accuracy: float = Share
    """Of the model out of fold, against the labels as they are."""
    macro_f1: float = Share
    rows: list[int]
    """The lowest self-confidence first; the header is row 1. The texts are in ``suspect_labels.csv``."""
    pairs: list[SuspectPair]
    """The most frequent first."""


class AuditReport(Report):
    """``audit_report.json``."""

    schema_version: Literal[1] = 1
    environment: Environment
    files: dict[str, DataFile]
    """The CSVs by the name of the split."""
    audit: Audit
    suspects: Suspects


def read_audit_report(folder: Path) -> AuditReport | None:
    """Read the report of ``folder``; return None if there is none yet.

    Raises:
        UserError: The file there is no report of this version or an earlier one.
    """
    path = folder / AUDIT_REPORT_NAME
    return read_json(path, AuditReport) if path.exists() else None


def write_audit_report(report: AuditReport, folder: Path) -> None:
    """Write the report in place of an earlier one, atomically."""
    write_json(report, folder / AUDIT_REPORT_NAME)
