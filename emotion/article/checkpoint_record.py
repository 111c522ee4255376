"""Check what a checkpoint's metadata says of its training: the file may be a stranger's, or an earlier version's."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from emotion.errors import UserError, quoted
from emotion.evaluation import Calibration, ClassScores, ScoreIntervals
from emotion.models import Predictor
from emotion.reporting import DataRecord, Environment, EvaluationRecord


class CompressionRecord(BaseModel):
    """How a compressed model was made."""

    model_config = ConfigDict(extra="ignore")

    technique: str
    settings: dict[str, dict[str, Any]] = {}
    """Of each step, in order."""


class CheckpointRecord(BaseModel):
    """What is known of a checkpoint; None or empty where it says nothing.

    The scores are those on validation. Those of a compressed model's file are the original's.
    """

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    accuracy: float | None = Field(None, ge=0, le=1)
    macro_f1: float | None = Field(None, ge=0, le=1)
    per_class: dict[str, ClassScores] = {}
    intervals: ScoreIntervals | None = None
    calibration: Calibration | None = None
    evaluations: dict[str, EvaluationRecord] = {}
    """Scores on the evaluation sets, by name."""
    best_epoch: int | float | None = None
    run_id: str | None = None
    config: dict[str, Any] = {}
    data: DataRecord | None = None
    environment: Environment | None = None
    compression: CompressionRecord | None = None

    @classmethod
    def of(cls, predictor: Predictor) -> "CheckpointRecord":
        """Read a predictor's metadata.

        Raises:
            UserError: A value is of another kind than this program writes.
        """
        try:
            return cls.model_validate(predictor.metadata)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(["metadata", *map(str, first["loc"])])
            rule = f"must be as training records it ({first['msg']})"
            raise UserError(f"weights: {key} {rule}, found {quoted(first['input'])}") from error


def file_name(path: str) -> str:
    """Return the last part of a path of any system: where a file lay is nobody's business."""
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2]
