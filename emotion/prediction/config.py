"""Settings of a prediction: ``conf/predict.yaml``."""

from emotion.config import Accelerator, Config, Count, Text


class PredictConfig(Config):
    """Schema of ``conf/predict.yaml``."""

    weights: Text
    """A ``.pt`` or ``.onnx`` checkpoint."""
    csv: Text
    """CSV with a text column, or a pipe."""
    output: Text | None
    """Where to write; null = ``<input_name>_predictions.csv`` in the input's folder. A pipe needs one."""
    text_column: Text
    label_column: Text
    """If the CSV has this column, the metrics are printed too."""
    batch_size: Count
    probabilities: bool
    """Add one column a class with its probability."""
    escape_formulas: bool
    """Put an apostrophe before cells of the input that a spreadsheet would run as a formula."""
    accelerator: Accelerator
    fast: bool
    """Let :mod:`emotion.models.fast` replace parts of other libraries: same results up to rounding, in less time."""
