"""Schema of ``conf/predict.yaml``."""

from dataclasses import dataclass

from emotion.config.rules import bounded, one_of


@dataclass(kw_only=True, slots=True)
class PredictConfig:
    """Schema of ``conf/predict.yaml``."""

    weights: str
    """A ``.pt`` or ``.onnx`` checkpoint."""
    csv: str
    """CSV with a text column."""
    output: str | None
    """Where to write; null = ``<input_name>_predictions.csv`` beside the input."""
    text_column: str
    label_column: str
    """Where the CSV has this column, the metrics are printed too."""
    batch_size: int = bounded(minimum=1)
    probabilities: bool
    """Add one column a class with its probability."""
    accelerator: str = one_of("auto", "cpu", "gpu", "mps")
    fast: bool
    """Let :mod:`emotion.models.fast` replace parts of other libraries: the same up to rounding, in less time."""
