"""The results that one side reports of one run."""

from dataclasses import dataclass, field


@dataclass(kw_only=True, slots=True)
class Measurement:
    """One side's run: its time, and what proves that it did the same work as the others."""

    seconds: float
    """Seconds of the work alone; loading and warming up come before."""
    rows: int
    tokens: int = 0
    """Tokens trained on, specials included, padding excluded."""
    updates: int = 0
    labels: list[int] = field(default_factory=list)
    """Predicted class index of each row."""
    single_ms: list[float] = field(default_factory=list)
    """Milliseconds of predictions of one text."""
    peak_flops: float = 0.0
    """Floating-point operations per second of a large matrix product, in the precision of training."""
