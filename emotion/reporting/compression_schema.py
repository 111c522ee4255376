"""Schema of ``compression_report.json``; a report is checked against it when read and when written."""

from typing import Any, Literal

from pydantic import Field

from emotion.evaluation import ClassScores
from emotion.reporting.schema import Environment, Report, RowsFile, Share, Strict

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


class Latency(Strict):
    """By texts a batch; batches of 32 are smaller where the CSV has fewer rows."""

    batch_1: Percentiles
    batch_32: Percentiles


class Variant(Strict):
    """A model in a file, measured by loading that file; ratios are to the original, measured in the same run."""

    file: str
    sha256: str
    steps: list[str]
    settings: dict[str, Any]
    """Of each step."""
    device: str
    """Where it ran."""
    size_mb: float = Field(gt=0)
    """The file, 1e6 bytes."""
    memory_mb: float = Field(gt=0)
    """Parameters and buffers in memory, 1e6 bytes."""
    size_ratio: float = Field(gt=0)
    """File over the original's file."""
    latency_ms_per_sample: float = Field(gt=0)
    """Median of batches of 32, a text."""
    speedup: float = Field(gt=0)
    """The original's median latency over this one's, in batches of 32."""
    speedup_batch_1: float = Field(gt=0)
    """The same, one text at a time."""
    latency: Latency
    accuracy: float = Share
    macro_f1: float = Share
    per_class: dict[str, ClassScores]
    sparsity: float | None = Share
    """Zeros over weights of the linear layers in scope: of the encoder, and of the head where it was pruned too;
    None for ONNX."""
    sparsity_total: float | None = Share
    """Zeros over all parameters; None for ONNX."""
    agreement_with_original: float = Share
    """Rows with the same label as the original gives."""
    mcnemar_p: float = Share
    """Exact McNemar test against the original: a small value says that one of the two is better."""
    measured: str
    """Time in UTC, ISO 8601."""
    predictions: RowsFile | None = None
    """Of the rows that it was measured on; None in reports of version 1."""


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
    """What it is the best in: ``size`` or ``speed``."""


class CompressionReport(Report):
    """``compression_report.json``."""

    schema_version: Literal[2] = 2
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
