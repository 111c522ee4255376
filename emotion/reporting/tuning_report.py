"""Schema of ``tuning_report.json``, and how it is read and written."""

from pathlib import Path
from typing import Any, Literal

from emotion.reporting.schema import Environment, Report, Strict
from emotion.reporting.store import read_json, write_json

TUNING_REPORT_NAME = "tuning_report.json"
DONE, PRUNED, FAILED, UNFINISHED = "done", "pruned", "failed", "unfinished"


class TuningTrial(Strict):
    """One training of a search."""

    number: int
    """From 0, in the order in which trials began."""
    state: Literal["done", "pruned", "failed", "unfinished"]
    settings: dict[str, float | int | bool | str | None]
    """By key."""
    macro_f1: float | None
    """On validation, of the best epoch; of a training that is not done, the best so far. None before the first."""
    validations: list[float]
    """Macro F1 of each validation, in order."""


class TuningReport(Report):
    """``tuning_report.json``."""

    schema_version: Literal[1] = 1
    environment: Environment
    model_name: str
    search: dict[str, Any]
    """What was searched for, by key, as the user gave it."""
    trials: list[TuningTrial]
    importance: dict[str, float]
    """Share of the variance of macro F1 that each setting explains, by fANOVA; empty if too few trials tell."""

    @property
    def best(self) -> TuningTrial | None:
        """The trial of the highest macro F1; of equal ones, the first."""
        done = [trial for trial in self.trials if trial.state == DONE]
        return max(done, key=lambda trial: (trial.macro_f1 or 0, -trial.number), default=None)


def read_tuning_report(folder: Path) -> TuningReport | None:
    """Read the report of ``folder``; return None if there is none yet.

    Raises:
        UserError: The file there is no report of this version or an earlier one.
    """
    path = folder / TUNING_REPORT_NAME
    return read_json(path, TuningReport) if path.exists() else None


def write_tuning_report(report: TuningReport, folder: Path) -> None:
    """Write the report in place of an earlier one, atomically."""
    write_json(report, folder / TUNING_REPORT_NAME)
