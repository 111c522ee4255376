"""Schema of ``ablation_report.json``, and how it is read and written."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from emotion.evaluation import MacroF1Difference
from emotion.reporting.schema import (
    SIGNIFICANCE,
    DataFile,
    Environment,
    Report,
    RowsFile,
    SetScores,
    Share,
    Strict,
)
from emotion.reporting.store import read_json, write_json

ABLATION_REPORT_NAME = "ablation_report.json"
BASE = "base"
"""Name of the recipe without any change."""
NOISE, BETTER, WORSE = "noise", "better", "worse"


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


class SwitchEffect(Strict):
    """What a change does to the macro F1 on some rows, over the seeds that it and the recipe as it is share."""

    switch: str
    seeds: list[int]
    difference: MacroF1Difference
    """Macro F1 with the change minus that of the recipe as it is: mean over the seeds, on the same rows."""
    by_seed: list[float]
    """The difference of each seed."""
    holm_p: float = Share
    """P-value of no difference, corrected for the number of changes."""

    @property
    def verdict(self) -> str:
        """``better`` or ``worse`` if neither other rows nor another seed would be likely to say otherwise."""
        interval = self.difference.interval
        if interval.low <= 0 <= interval.high or self.holm_p >= SIGNIFICANCE:
            return NOISE
        if min(self.by_seed) < 0 < max(self.by_seed):
            return NOISE
        return BETTER if self.difference.difference > 0 else WORSE


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
    effects: dict[str, list[SwitchEffect]] = Field(default_factory=dict)
    """What each change does, by ``validation`` (the rows set apart) or the name of the evaluation set."""


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
