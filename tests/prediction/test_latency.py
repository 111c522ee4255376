"""What is timed, in which order, and how the time per text is computed, on a simulated clock."""

from collections.abc import Iterator, Sequence
from types import SimpleNamespace

import pytest
import torch

from emotion.prediction import Timing, latency, latency_ms_per_sample, spread_batches, time_batches


class Clock:
    """Time that passes only during predictions."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[tuple[str, tuple[str, ...], int]] = []

    def predictor(self, name: str, seconds: Sequence[float]) -> SimpleNamespace:
        """Replaces a checkpoint; tokenising takes a quarter of the times in ``seconds``, the model the rest."""
        waits: Iterator[float] = iter(seconds)
        model_seconds = [0.0]

        def encode_unique(texts: Sequence[str]) -> SimpleNamespace:
            self.calls.append((name, tuple(texts), len(texts)))
            wait = next(waits)
            self.now += 0.25 * wait
            model_seconds[0] = 0.75 * wait
            return SimpleNamespace(rows=list(texts))

        def logits(rows: Sequence[str], batch_size: int) -> torch.Tensor:
            assert batch_size >= len(rows), "a batch is predicted at once"
            self.now += model_seconds[0]
            return torch.zeros(len(rows), 2)

        encoder, model = SimpleNamespace(encode_unique=encode_unique), SimpleNamespace(device=torch.device("cpu"))
        return SimpleNamespace(encoder=encoder, logits=logits, model=model)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(latency, "perf_counter", lambda: clock.now)
    return clock


def test_checkpoints_take_turns_and_the_first_call_of_a_turn_is_not_counted(clock: Clock) -> None:
    checkpoints = {
        "a": clock.predictor("a", [100, 0.25, 0.5, 100, 0.75, 1.0]),
        "b": clock.predictor("b", [100, 2.0, 3.0, 100, 4.0, 5.0]),
    }
    turns: list[int] = []
    timings = time_batches(checkpoints, [["x", "y"], ["z"]], rounds=2, advance=lambda: turns.append(len(clock.calls)))
    totals = {name: [timing.total_ms for timing in each] for name, each in timings.items()}
    assert totals == {"a": [250, 500, 750, 1000], "b": [2000, 3000, 4000, 5000]}
    assert timings["b"][0] == Timing(tokenise_ms=500, forward_ms=1500)
    turn = [(("x", "y"), 2), (("x", "y"), 2), (("z",), 1)]  # each batch is predicted at once
    assert clock.calls == [(name, *call) for name in ("a", "b", "a", "b") for call in turn]
    assert turns == [3, 6, 9, 12]


def test_latency_is_the_median_time_of_a_batch_divided_by_its_texts(clock: Clock) -> None:
    texts = [str(number) for number in range(12)]
    predictor = clock.predictor("", [100, 0.25, 9.0, 0.5])
    assert latency_ms_per_sample(predictor, texts, batch_size=4) == 500 / 4
    assert [len(batch) for _, batch, _ in clock.calls] == [4, 4, 4, 4]


@pytest.mark.parametrize(
    ("rows", "batch_size", "batches", "expected"),
    [
        (3, 1, 3, [[0], [1], [2]]),
        (10, 1, 2, [[0], [5]]),
        (24, 2, 3, [[0, 4], [8, 12], [16, 20]]),
        (5, 2, 16, [[0, 1], [2, 3]]),  # full batches only
        (3, 32, 8, [[0, 1, 2]]),  # unless there is no full one
        (1, 1, 64, [[0]]),
    ],
)
def test_batches_are_full_and_spread_over_all_texts(
    rows: int, batch_size: int, batches: int, expected: list[list[int]]
) -> None:
    texts = [f"text {number}" for number in range(rows)]
    assert spread_batches(texts, batch_size, batches) == [[f"text {number}" for number in batch] for batch in expected]
