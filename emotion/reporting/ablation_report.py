"""Schema of ``ablation_report.json``, and how it is read and written."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from emotion.reporting.schema import DataFile, Environment, Report, RowsFile, SetScores, Share, Strict
from emotion.reporting.store import read_json, write_json

ABLATION_REPORT_NAME = "ablation_report.json"


class AblationRun(Strict):
    """A training with a change of the recipe, or with none."""

    switch: str
    seed: int
    identity: str
    """Digest of all that the result depends on; the same training is not done again."""
    accuracy: float = Share
    """On the rows that the changes are compared on, as ``macro_f1``."""
    macro_f1: float = Share
    best_epoch: int | float = Field(gt=0)
    train_seconds: float = Field(ge=0)
    rows: RowsFile
    evaluations: dict[str, SetScores]
    """By the name of the evaluation set."""


class AblationReport(Report):
    """``ablation_report.json``."""

    schema_version: Literal[1] = 1
    environment: Environment
    model_name: str
    recipe: dict[str, Any]
    """Settings of the recipe that is changed."""
    switches: dict[str, list[str]]
    """The settings that each change gives."""
    train: DataFile
    """The rows that were learned from."""
    compared_on: DataFile
    """The rows that chose the epochs and that the changes are compared on."""
    runs: list[AblationRun]


def read_ablation_report(folder: Path) -> AblationReport | None:
    """Read the report of ``folder``; return None if there is none yet.

    Raises:
        UserError: The file there is no report of this version or an earlier one.
    """
    path = folder / ABLATION_REPORT_NAME
    return read_json(path, AblationReport) if path.exists() else None


def write_ablation_report(report: AblationReport, folder: Path) -> None:
    """Write the report in place of an earlier one, atomically."""
    write_json(report, folder / ABLATION_REPORT_NAME)
