"""Time predictions, from strings to labels."""

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from time import perf_counter

import torch

from emotion.models import Predictor


def latency_ms_per_sample(predictor: Predictor, texts: Sequence[str], batch_size: int = 32) -> float:
    """Return the median milliseconds per text over up to 16 batches, after one to warm up."""
    batches = spread_batches(texts, batch_size, 16)
    return median(latencies_ms({"": predictor}, batches)[""]) / len(batches[0])


def spread_batches(texts: Sequence[str], batch_size: int, batches: int) -> list[list[str]]:
    """Return up to ``batches`` full batches, evenly spread over ``texts``, or one smaller if there are too few."""
    batches = min(batches, max(len(texts) // batch_size, 1))
    wanted = min(batches * batch_size, len(texts))
    chosen = [texts[index * len(texts) // wanted] for index in range(wanted)]
    return [chosen[start : start + batch_size] for start in range(0, wanted, batch_size)]


def latencies_ms(
    predictors: Mapping[str, Predictor],
    batches: Sequence[Sequence[str]],
    rounds: int = 1,
    advance: Callable[[], object] | None = None,
) -> dict[str, list[float]]:
    """Measure the milliseconds of each prediction of a batch, by predictor.

    The predictors take turns, so that a slow moment of the machine slows all of them. In its turn, each predicts all
    batches, after one that is not counted, because the others have pushed its weights out of the processor's caches.

    Args:
        predictors: Predictors by name.
        batches: Texts; each batch is predicted at once.
        rounds: Turns of each predictor, >= 1.
        advance: Called after each turn.
    """
    samples: dict[str, list[float]] = {name: [] for name in predictors}
    for _ in range(rounds):
        for name, predictor in predictors.items():
            _milliseconds(predictor, batches[0])
            samples[name] += [_milliseconds(predictor, batch) for batch in batches]
            if advance is not None:
                advance()
    return samples


def _milliseconds(predictor: Predictor, batch: Sequence[str]) -> float:
    _synchronise(predictor)
    start = perf_counter()
    predictor.predict(batch, len(batch))
    _synchronise(predictor)
    return (perf_counter() - start) * 1000


def _synchronise(predictor: Predictor) -> None:
    if predictor.model.device.type == "cuda":
        torch.cuda.synchronize()
