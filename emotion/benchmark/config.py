"""Settings of a benchmark: ``conf/benchmark.yaml`` and its group ``benchmark``."""

from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from emotion.config import Config, Count, Rule, Text
from emotion.errors import UserError
from emotion.training import TrainConfig

Part = Literal["train", "predict", "startup", "scaling", "devices", "compress", "serve"]
PARTS: tuple[Part, ...] = get_args(Part)


class PartsConfig(Config):
    """The parts to measure."""

    parts: Annotated[list[Part], Field(min_length=1), Rule(f"one or more of {', '.join(PARTS)}")]

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len(set(self.parts)) < len(self.parts):
            raise UserError(f"benchmark.parts: must name each part once, found {self.parts}")
        return self


class BenchmarkConfig(TrainConfig):
    """Schema of ``conf/benchmark.yaml``: a training run's settings, which all sides share, and how to measure."""

    benchmark: PartsConfig
    weights: Text | None
    """A ``.pt`` checkpoint to predict with; null = the backbone under a new head, which takes just as long."""
    served: list[Text]
    """Further checkpoints of the part ``serve``, ``.pt`` or ``.onnx``."""
    random_weights: bool
    """Draw the backbone's weights at random if they are not available: speed is the same, labels mean nothing."""
    rows: Annotated[int, Field(ge=64)]
    """Rows that each side trains on and predicts, drawn from ``data.train``; all if it has fewer."""
    rounds: Count
    """How often each side runs; the sides take turns. Scaling is measured once."""
    quick: bool
    """Take at most a minute per part, with few rows and one round: shows whether it runs, not how fast it is."""

    def quickened(self) -> Self:
        """Return the small version if ``quick`` asks for one, else the config itself."""
        return self.updated(rows=min(self.rows, 64), rounds=1) if self.quick else self
