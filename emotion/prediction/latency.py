"""How long predictions take, from strings to labels."""

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from time import perf_counter

import torch

from emotion.models import Predictor


def latency_ms_per_sample(checkpoint: Predictor, texts: Sequence[str], batch_size: int = 32) -> float:
    """Median milliseconds a text over up to 16 batches, after one to warm up."""
    batches = spread_batches(texts, batch_size, 16)
    return median(latencies_ms({"": checkpoint}, batches)[""]) / len(batches[0])


def spread_batches(texts: Sequence[str], batch_size: int, batches: int) -> list[list[str]]:
    """Up to ``batches`` full batches of texts, evenly spread over ``texts``; one smaller where there are too few."""
    batches = min(batches, max(len(texts) // batch_size, 1))
    wanted = min(batches * batch_size, len(texts))
    chosen = [texts[index * len(texts) // wanted] for index in range(wanted)]
    return [chosen[start : start + batch_size] for start in range(0, wanted, batch_size)]


def latencies_ms(
    checkpoints: Mapping[str, Predictor],
    batches: Sequence[Sequence[str]],
    rounds: int = 1,
    advance: Callable[[], object] | None = None,
) -> dict[str, list[float]]:
    """Milliseconds of each prediction of a batch, by checkpoint.

    The checkpoints take turns, so that whatever slows the machine for a while slows all of them; in its turn each
    predicts all batches, after one that is not counted, as its weights have left the processor's caches meanwhile.

    Args:
        checkpoints: By name.
        batches: Texts; each batch is predicted at once.
        rounds: Turns of each checkpoint, >= 1.
        advance: Called after each turn.
    """
    samples: dict[str, list[float]] = {name: [] for name in checkpoints}
    for _ in range(rounds):
        for name, checkpoint in checkpoints.items():
            _milliseconds(checkpoint, batches[0])
            samples[name] += [_milliseconds(checkpoint, batch) for batch in batches]
            if advance is not None:
                advance()
    return samples


def _milliseconds(checkpoint: Predictor, batch: Sequence[str]) -> float:
    _synchronise(checkpoint)
    start = perf_counter()
    checkpoint.predict(batch, len(batch))
    _synchronise(checkpoint)
    return (perf_counter() - start) * 1000


def _synchronise(checkpoint: Predictor) -> None:
    if checkpoint.model.device.type == "cuda":
        torch.cuda.synchronize()
