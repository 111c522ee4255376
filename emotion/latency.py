"""How long a prediction takes."""

from collections.abc import Sequence
from statistics import median
from time import perf_counter

import torch

from emotion.checkpoint import Checkpoint


def latency_ms_per_sample(
    checkpoint: Checkpoint, texts: Sequence[str], batch_size: int = 32, batches: int = 16
) -> float:
    """Median milliseconds a text, from strings to labels, over up to ``batches`` batches after one to warm up."""
    starts = range(0, min(len(texts), batches * batch_size), batch_size)
    samples = []
    checkpoint.predict(texts[:batch_size], batch_size)
    for start in starts:
        batch = texts[start : start + batch_size]
        _synchronise(checkpoint)
        begin = perf_counter()
        checkpoint.predict(batch, batch_size)
        _synchronise(checkpoint)
        samples.append((perf_counter() - begin) * 1000 / len(batch))
    return median(samples)


def _synchronise(checkpoint: Checkpoint) -> None:
    if checkpoint.model.device.type == "cuda":
        torch.cuda.synchronize()
