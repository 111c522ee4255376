"""Settings of a soup: ``conf/soup.yaml``."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from emotion.config import Accelerator, Config, Rule, Text
from emotion.data import Csvs, EvaluationSetsConfig
from emotion.errors import UserError


class SoupDataConfig(EvaluationSetsConfig):
    """The labelled CSVs that choose the members and score the soup."""

    validation: Csvs
    text_column: Text
    label_column: Text
    map: dict[Text, Text] | None
    """Names of classes by what a CSV calls them, such as {happiness: joy}."""


class SoupConfig(Config):
    """Schema of ``conf/soup.yaml``."""

    weights: Annotated[list[Text], Field(min_length=2), Rule("a list of two or more checkpoints")]
    """Fine-tuned ``.pt`` checkpoints of one backbone and the same classes."""
    output: Text
    """The ``.pt`` to write."""
    method: Literal["greedy", "uniform"]
    """``uniform`` averages all; ``greedy`` adds one after the other, the best first, and keeps those that do not lower
    macro F1 on validation."""
    data: SoupDataConfig
    calibrate: bool
    """Fit the soup's temperature and distances on validation; labels stay as they are."""
    accelerator: Accelerator

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len({Path(path).resolve() for path in self.weights}) < len(self.weights):
            raise UserError(f"weights: must name each checkpoint once, found {', '.join(self.weights)}")
        if not self.output.endswith(".pt"):
            raise UserError(f"output: must end in .pt, found {self.output}")
        return self
