"""Schema of ``compression_report.json``; a report is checked against it when read and when written."""

from typing import Any, Literal

from pydantic import Field

from emotion.evaluation import Calibration, ClassScores, MacroF1Difference, ScoreIntervals
from emotion.reporting.schema import Environment, EvaluationRecord, Report, RowsFile, Share, Strict

BASELINE = "original"


class FileRecord(Strict):
    """A file as it was when the run read it."""

    path: str
    sha256: str


class EvaluationData(FileRecord):
    """The labelled CSV that quality was measured on."""

    rows: int


class Percentiles(Strict):
    """Milliseconds from strings to labels of one batch."""

    p50_ms: float
    p90_ms: float
    p99_ms: float
    tokenise_p50_ms: float | None = None
    """Median of the part from strings to padded token ids; None in reports of earlier versions."""
    forward_p50_ms: float | None = None
    """Median of the part from token ids to logits; None in reports of earlier versions."""
    calls: int | None = None
    """Predictions that were timed, after those to warm up; None in reports of earlier versions."""


class Latency(Strict):
    """Latency by texts per batch; batches are smaller if the CSV has fewer rows."""

    batch_1: Percentiles
    batch_8: Percentiles | None = None
    """None in reports of earlier versions."""
    batch_32: Percentiles


class Variant(Strict):
    """A model in a file, measured by loading that file; ratios are to the original, measured in the same run."""

    file: str
    sha256: str
    steps: list[str]
    settings: dict[str, Any]
    """Settings of each step."""
    device: str
    """Where it ran."""
    size_mb: float = Field(gt=0)
    """Size of the file, 1e6 bytes."""
    memory_mb: float = Field(gt=0)
    """Parameters and buffers in memory, 1e6 bytes; for an ONNX model, its graph."""
    size_ratio: float = Field(gt=0)
    """Size of the file over that of the original's."""
    latency_ms_per_sample: float = Field(gt=0)
    """Median of batches of 32, per text."""
    speedup: float = Field(gt=0)
    """The original's median latency over this one's, in batches of 32."""
    speedup_batch_1: float = Field(gt=0)
    """The same, one text at a time."""
    latency: Latency
    accuracy: float = Share
    macro_f1: float = Share
    per_class: dict[str, ClassScores]
    sparsity: float | None = Share
    """Share of zeros in the linear layers in scope: of the encoder, and of the head if it was pruned too;
    None for ONNX."""
    sparsity_total: float | None = Share
    """Share of zeros in all parameters; None for ONNX."""
    agreement_with_original: float = Share
    """Share of rows with the same label as from the original."""
    mcnemar_p: float = Share
    """P-value of McNemar's exact test against the original: a small value says that one of the two is better."""
    mcnemar_holm_p: float | None = Field(default=None, ge=0, le=1)
    """The same, corrected for all compressed variants of the report; None in reports of earlier versions."""
    difference: MacroF1Difference | None = None
    """Macro F1 minus the original's, on the same rows; None in reports of earlier versions."""
    intervals: ScoreIntervals | None = None
    """95 % bootstrap intervals over rows; None in reports of earlier versions."""
    calibration: Calibration | None = None
    """None in reports of earlier versions."""
    evaluations: dict[str, EvaluationRecord] = Field(default_factory=dict)
    """Scores on the evaluation sets, by name."""
    measured: str
    """Time in UTC, ISO 8601."""
    predictions: RowsFile | None = None
    """Predictions of the rows that it was measured on; None in reports of version 1."""


class Ranking(Strict):
    """Names of the variants, best first."""

    by_size: list[str]
    by_speed: list[str]
    by_macro_f1: list[str]


class Choice(Strict):
    """The compressed model that was published in the folder of the original's checkpoint."""

    variant: str
    file: str
    max_drop: float
    """Macro F1 that it was allowed to lose."""
    prefer: str
    """What it is best in: ``size`` or ``speed``."""


class CompressionReport(Report):
    """``compression_report.json``."""

    schema_version: Literal[3] = 3
    model_name: str
    weights: FileRecord
    data: EvaluationData
    environment: Environment
    baseline: Literal["original"] = "original"
    variants: dict[str, Variant]
    failed: dict[str, str]
    """Why a technique of the latest runs gave no variant."""
    ranking: Ranking
    chosen: Choice | None = None

    @property
    def evaluation_sets(self) -> list[str]:
        """The names of all evaluation sets that a variant was scored on."""
        return list(dict.fromkeys(data for each in self.variants.values() for data in each.evaluations))

    def points(self, name: str) -> float:
        """Return a variant's macro F1 minus the original's, times 100."""
        return 100 * (self.variants[name].macro_f1 - self.variants[BASELINE].macro_f1)
