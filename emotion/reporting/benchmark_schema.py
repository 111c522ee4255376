"""Schema of ``benchmark_report.json``; a report is checked against it when written."""

from collections.abc import Sequence
from statistics import median
from typing import Literal, Self

from pydantic import Field

from emotion.reporting.schema import Environment, Report, Share, Strict


class Spread(Strict):
    """A figure of several rounds."""

    median: float
    minimum: float
    maximum: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        return cls(median=median(values), minimum=min(values), maximum=max(values))


class Side(Strict):
    """One of the programs that did the same work."""

    label: str
    rows_per_second: Spread
    speedup_of_ours: Spread
    """This project's rows per second over this side's, in each round."""


class TrainingSpeed(Strict):
    """One epoch of fine-tuning."""

    rows: int
    tokens: int
    """Tokens trained on, specials included, padding excluded."""
    updates: int
    sides: dict[str, Side]
    flops_per_token: float
    """6 per parameter outside the embeddings, as in Kaplan et al. 2020, arXiv:2001.08361; attention's own products,
    a few per cent at these lengths, are left out. This is what the whole model takes: leaving out most of the last
    layer, as this project does, counts as speed."""
    peak_flops_per_second: float
    """Peak of a large matrix product in the precision of training, measured in the same run."""
    utilisation: float
    """Share of that peak that this project reaches: ``flops_per_token`` times its tokens per second."""


class PredictionSide(Side):
    """Predictions of all rows, warm, and of single texts."""

    single_ms: Spread
    """Median of single texts, in each round."""
    agreement: float = Share
    """Share of rows with the same label as from the plain loop in FP32."""


class PredictionSpeed(Strict):
    """Predicting a CSV."""

    rows: int
    sides: dict[str, PredictionSide]
    file_rows_per_second: Spread
    """This project from a CSV to a CSV, loading included."""


class Scaling(Strict):
    """Seconds against the size of the work."""

    sizes: list[float]
    seconds: list[float]
    slope: float
    """Slope of the logarithms: 1 = proportional."""


class DeviceScaling(Strict):
    """Training in two processes of one thread each, compared with one such process; the same updates."""

    rows: int
    """Rows that all processes trained on together, in one epoch."""
    one_process_seconds: Spread
    two_processes_seconds: Spread
    speedup: Spread


class CompressedSide(Strict):
    """A model in its form on disk; speeds are ratios to transformers' FP32, in each round."""

    label: str
    device: str
    """ONNX Runtime's models run on the CPU."""
    size_mb: float
    """Size of the file, or of the folder; 1e6 bytes."""
    size_ratio: float
    """Size relative to this project's FP32 file."""
    single_ms: Spread
    """Median of single texts, in each round."""
    speedup_batch_1: Spread
    speedup: Spread
    """Speedup in batches of the batch size."""


class CompressionSpeed(Strict):
    """Size and speed of compressed models; what they lose is measured by ``scripts/compress.py``."""

    tokens: float
    """Mean tokens per text, specials included."""
    sides: dict[str, CompressedSide]


class ServingSide(Strict):
    """A server with a model."""

    label: str
    p50_ms: Spread
    """Median of a request with one text, for one client."""
    p99_ms: Spread
    rows_per_second: Spread
    """Texts of all clients, each with one text a request."""
    added_p50_ms: Spread | None
    """``p50_ms`` minus that of the model without a server; None where that was not measured."""
    added_p99_ms: Spread | None
    share_of_model: Spread | None
    """``rows_per_second`` over those of the model given all texts at once, without a server."""
    share_of_batches: Spread | None = None
    """The same, over those of the model given as many texts at a time as there are clients: the largest batches that a
    server can make. None also in reports of earlier versions."""


class ServingSpeed(Strict):
    """Servers, one text a request."""

    rows: int
    clients: int
    """At once, for ``rows_per_second``."""
    sides: dict[str, ServingSide]


PARTS = ("training", "prediction", "startup_seconds", "scaling", "devices", "compression", "serving")
"""Fields of the report; each is measured by itself."""


class BenchmarkReport(Report):
    """The whole file; a part that was not measured is null."""

    schema_version: Literal[1] = 1
    model_name: str
    data_sha256: str
    batch_size: int
    max_length: int
    precision: str
    compiled: bool = False
    weights_sha256: str | None = None
    """Digest of the file that predicts; null = the backbone under a new head."""
    random_weights: bool = False
    device: str
    rounds: int = Field(ge=1)
    quick: bool
    environment: Environment
    measured: str
    """Time in UTC, ISO 8601."""
    training: TrainingSpeed | None = None
    prediction: PredictionSpeed | None = None
    startup_seconds: dict[str, Spread] | None = None
    scaling: dict[str, Scaling] | None = None
    """``train_rows`` and ``predict_rows`` against rows, ``train_words`` and ``predict_words`` against words per row."""
    devices: DeviceScaling | None = None
    compression: CompressionSpeed | None = None
    serving: ServingSpeed | None = None
