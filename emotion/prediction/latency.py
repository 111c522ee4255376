"""Time predictions, from strings to labels."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter

import torch
from scipy.special import softmax

from emotion.models import Predictor


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds of one prediction of a batch."""

    tokenise_ms: float
    """From strings to token ids."""
    forward_ms: float
    """From token ids to labels."""

    @property
    def total_ms(self) -> float:
        """From strings to labels."""
        return self.tokenise_ms + self.forward_ms


def latency_ms_per_sample(predictor: Predictor, texts: Sequence[str], batch_size: int = 32) -> float:
    """Return the median milliseconds per text over up to 16 batches, after one to warm up."""
    batches = spread_batches(texts, batch_size, 16)
    return median_ms(time_batches({"": predictor}, batches)[""]) / len(batches[0])


def median_ms(timings: Sequence[Timing]) -> float:
    """Return the median milliseconds from strings to labels."""
    return median(timing.total_ms for timing in timings)


def spread_batches(texts: Sequence[str], batch_size: int, batches: int) -> list[list[str]]:
    """Return up to ``batches`` full batches, evenly spread over ``texts``, or one smaller if there are too few."""
    batches = min(batches, max(len(texts) // batch_size, 1))
    wanted = min(batches * batch_size, len(texts))
    chosen = [texts[index * len(texts) // wanted] for index in range(wanted)]
    return [chosen[start : start + batch_size] for start in range(0, wanted, batch_size)]


def time_batches(
    predictors: Mapping[str, Predictor],
    batches: Sequence[Sequence[str]],
    rounds: int = 1,
    advance: Callable[[], object] | None = None,
) -> dict[str, list[Timing]]:
    """Time each prediction of a batch, by predictor.

    The predictors take turns, so that a slow moment of the machine slows all of them. In its turn, each predicts all
    batches, after one that is not counted, because the others have pushed its weights out of the processor's caches.

    Args:
        predictors: Predictors by name.
        batches: Texts; each batch is predicted at once.
        rounds: Turns of each predictor, >= 1.
        advance: Called after each turn.
    """
    timings: dict[str, list[Timing]] = {name: [] for name in predictors}
    for _ in range(rounds):
        for name, predictor in predictors.items():
            _time(predictor, batches[0])
            timings[name] += [_time(predictor, batch) for batch in batches]
            if advance is not None:
                advance()
    return timings


@torch.inference_mode()
def _time(predictor: Predictor, batch: Sequence[str]) -> Timing:
    _synchronise(predictor)
    start = perf_counter()
    encoded = predictor.encoder.encode_unique(batch)
    middle = perf_counter()
    softmax(predictor.logits(encoded.rows, len(batch)).numpy(), axis=-1).argmax(axis=-1).tolist()
    _synchronise(predictor)
    return Timing(1000 * (middle - start), 1000 * (perf_counter() - middle))


def _synchronise(predictor: Predictor) -> None:
    if predictor.model.device.type == "cuda":
        torch.cuda.synchronize()
