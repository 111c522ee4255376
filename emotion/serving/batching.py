"""Compute texts together that wait for each other, and no text later because it would be faster together."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from emotion.errors import UserError
from emotion.models import Predictor


class Overloaded(Exception):
    """So many texts wait that another request would wait too long."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says of one text."""

    probabilities: np.ndarray
    """(classes,), float32, sums to 1."""
    truncated: bool
    """Whether the text had more tokens than the model reads."""
    unfamiliar: bool | None
    """Whether it is unlike the text that the model was fitted to; None if the model cannot tell."""


Outcome = Answer | UserError
"""An answer, or why there is none."""


def answer(predictor: Predictor, texts: Sequence[str], batch_size: int) -> list[Outcome]:
    """Answer each text; one that the model fails on fails alone."""
    try:
        found = predictor.predict_texts(texts, batch_size)
    except UserError as error:
        if len(texts) == 1:
            return [error]
        middle = len(texts) // 2
        return answer(predictor, texts[:middle], batch_size) + answer(predictor, texts[middle:], batch_size)
    strange = predictor.is_unfamiliar(found)
    return [
        Answer(
            probabilities,
            truncated=bool(found.truncated[place]),
            unfamiliar=None if strange is None else bool(strange[place]),
        )
        for place, probabilities in enumerate(found.probabilities.numpy())
    ]


@dataclass(slots=True)
class _Waiting:
    texts: Sequence[str]
    outcomes: asyncio.Future[list[Outcome]]


class Batcher:
    """Collects the texts of requests while the model computes, and computes them together next, in their order.

    Args:
        compute: Answers texts; called in a thread of its own, once at a time.
        most_texts: Most texts of a batch; a request of more is a batch by itself.
        most_waiting: Most texts that may wait.
        on_batch: Called with the number of texts of each batch.
    """

    def __init__(
        self,
        compute: Callable[[Sequence[str]], list[Outcome]],
        most_texts: int,
        most_waiting: int,
        on_batch: Callable[[int], object] = lambda _: None,
    ) -> None:
        self._compute, self._most_texts, self._most_waiting = compute, most_texts, most_waiting
        self._on_batch = on_batch
        self._queue: deque[_Waiting] = deque()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")
        self._worker: asyncio.Task[None] | None = None
        self.waiting = 0
        """Texts that wait for the model."""

    async def submit(self, texts: Sequence[str]) -> list[Outcome]:
        """Return the outcome of each text.

        Raises:
            Overloaded: Too many texts wait already; a request may wait alone, whatever its size.
        """
        if self._queue and self.waiting + len(texts) > self._most_waiting:
            raise Overloaded
        request = _Waiting(texts, asyncio.get_running_loop().create_future())
        self._queue.append(request)
        self.waiting += len(texts)
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        return await request.outcomes

    async def close(self) -> None:
        """Finish what was taken, and end the thread."""
        if self._worker is not None:
            await self._worker
        self._thread.shutdown()

    async def _work(self) -> None:
        """Compute until nothing waits."""
        loop = asyncio.get_running_loop()
        try:
            while batch := self._next_batch():
                texts = [text for request in batch for text in request.texts]
                try:
                    outcomes = await loop.run_in_executor(self._thread, self._compute, texts)
                except Exception as error:
                    for request in batch:
                        if not request.outcomes.done():
                            request.outcomes.set_exception(error)
                    continue
                start = 0
                for request in batch:
                    if not request.outcomes.done():
                        request.outcomes.set_result(outcomes[start : start + len(request.texts)])
                    start += len(request.texts)
        finally:
            self._worker = None

    def _next_batch(self) -> list[_Waiting]:
        """Take the requests that are computed together; those whose clients have gone are left out."""
        batch: list[_Waiting] = []
        count = 0
        while self._queue and (not batch or count + len(self._queue[0].texts) <= self._most_texts):
            request = self._queue.popleft()
            self.waiting -= len(request.texts)
            if not request.outcomes.done():
                batch.append(request)
                count += len(request.texts)
        if batch:
            self._on_batch(count)
        return batch
