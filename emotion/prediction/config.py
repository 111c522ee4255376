"""Settings of a prediction, ``conf/predict.yaml``, and of an explanation, ``conf/explain.yaml``."""

from typing import Annotated, Literal, Self

from pydantic import model_validator

from emotion.config import Accelerator, Config, Count, Rule, Share, Text
from emotion.errors import UserError


class PredictConfig(Config):
    """Schema of ``conf/predict.yaml``."""

    weights: Text
    """A ``.pt`` or ``.onnx`` checkpoint."""
    csv: Text
    """CSV with a text column, or a pipe; a folder, a pattern like ``data/*.csv``, a ``.parquet`` or ``.jsonl`` file."""
    output: Text | None
    """Where to write; null = ``<input_name>_predictions.csv`` in the input's folder. A pipe needs one, and several
    files need a folder."""
    format: Literal["csv", "parquet", "jsonl"] | None
    """Of the predictions of several files; null = that of each file."""
    engine: Literal["local", "ray"]
    """What runs the processes that predict several files: this program, or Ray."""
    workers: Count
    """Processes that predict several files."""
    address: Text | None
    """Of a Ray cluster; null = an instance of Ray on this machine."""
    text_column: Text
    label_column: Text
    """If the CSV has this column, the metrics are printed too."""
    batch_size: Count
    probabilities: bool
    """Add one column a class with its probability."""
    min_confidence: Share | None
    """Mark rows with a lower confidence in the column ``abstained``; null = no such column."""
    escape_formulas: bool
    """Put an apostrophe before cells of the input that a spreadsheet would run as a formula."""
    accelerator: Accelerator
    fast: bool
    """Let :mod:`emotion.models.fast` replace parts of other libraries: same results up to rounding, in less time."""

    @model_validator(mode="after")
    def _address_is_of_ray(self) -> Self:
        if self.address is not None and self.engine != "ray":
            raise UserError(f"address: must be null unless engine=ray, found {self.address}")
        return self


class ExplainConfig(Config):
    """Schema of ``conf/explain.yaml``."""

    weights: Text
    """A ``.pt`` or ``.onnx`` checkpoint."""
    csv: Text | None
    """CSV with a text column, or a pipe; null = a text in each line of standard input, in UTF-8."""
    text_column: Text
    label_column: Text
    """If the CSV has this column, the true labels are shown."""
    rows: Annotated[Count | Literal["worst"], Rule("a whole number >= 1 or worst")]
    """How many texts to explain, from the first; ``worst`` = the ten mistakes with the highest confidence."""
    method: Literal["occlusion", "integrated_gradients"]
    output: Text | None
    """Folder of ``attributions.json`` and ``explanation.png``; null = none."""
    batch_size: Count
    accelerator: Accelerator
    fast: bool
    """As of a prediction."""
