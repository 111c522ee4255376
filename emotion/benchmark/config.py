"""Schema of ``conf/benchmark.yaml`` and of its group ``benchmark``."""

from dataclasses import dataclass, replace
from typing import Any

from emotion.config.rules import bounded, checked
from emotion.training.config import TrainConfig

PARTS = ("train", "predict", "startup", "scaling", "devices", "compress")


def _is_parts(value: Any) -> bool:
    return bool(value) and len(set(value)) == len(value) and set(value) <= set(PARTS)


@dataclass(kw_only=True, slots=True)
class PartsConfig:
    parts: list[str] = checked(f"must be one or more of {', '.join(PARTS)}", _is_parts)
    """What is measured."""


@dataclass(kw_only=True, slots=True)
class BenchmarkConfig(TrainConfig):
    """Schema of ``conf/benchmark.yaml``: a training run's settings, which all sides share, and how to measure."""

    benchmark: PartsConfig
    weights: str | None
    """A ``.pt`` checkpoint to predict with; null = the backbone under a new head, which takes just as long."""
    random_weights: bool
    """Draw the backbone's weights at random, where they cannot be had: speed is the same, labels mean nothing."""
    rows: int = bounded(minimum=64)
    """Rows that each side trains on and predicts, drawn from ``data.train``; all where it has fewer."""
    rounds: int = bounded(minimum=1)
    """How often each side runs; the sides take turns. Scaling is measured once."""
    quick: bool
    """Within a minute a part: few rows, one round. Tells whether it runs, not how fast it is."""

    def quickened(self) -> "BenchmarkConfig":
        """Itself, or its small version where ``quick`` asks for one."""
        return replace(self, rows=min(self.rows, 64), rounds=1) if self.quick else self
