"""Compute texts together that wait for each other; a text that comes alone waits for no other."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from emotion.errors import UserError
from emotion.models import Predictor

log = logging.getLogger(__name__)


_QUIET_TURNS = 8
"""Turns of the event loop without a further request, after which the next batch is computed: a request takes several of
them from its first byte on. Together they take about a tenth of a millisecond."""


class Overloaded(Exception):
    """So many texts wait that another request would wait too long."""


CLIENT_GONE = 499
"""The status that nginx counts such requests under; nobody reads it."""


class ClientGone(Exception):
    """The client has closed its connection before its texts were computed."""


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
    except Exception as error:
        if len(texts) == 1:
            return [_told(error)]
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


def _told(error: Exception) -> UserError:
    """Return why there is no answer; what nobody foresaw goes to the log, where it can be looked into."""
    if isinstance(error, UserError):
        return error
    log.error("a text could not be answered", exc_info=error)
    return UserError(f"one that it fails on ({type(error).__name__})")


@dataclass(slots=True, eq=False)
class _Waiting:
    texts: Sequence[str]
    outcomes: asyncio.Future[list[Outcome]]
    has_gone: Callable[[], bool]


class Batcher:
    """Collects the texts of requests while the model computes, and computes them together next, in their order.

    Clients that were answered together ask again together. After a batch of several requests, the next one begins when
    no more of them come: otherwise the fastest client's text would be a batch by itself, which all others wait for.

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

    async def submit(self, texts: Sequence[str], has_gone: Callable[[], bool] = lambda: False) -> list[Outcome]:
        """Return the outcome of each text.

        Args:
            texts: At least one.
            has_gone: Tells whether nobody waits for the outcomes any more.

        Raises:
            Overloaded: Too many texts wait already; a request may wait alone, whatever its size.
            ClientGone: Nobody waits any more.
        """
        if self._is_too_much(len(texts)):
            self._forget_gone()
            if self._is_too_much(len(texts)):
                raise Overloaded
        request = _Waiting(texts, asyncio.get_running_loop().create_future(), has_gone)
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

    def _is_too_much(self, texts: int) -> bool:
        return bool(self._queue) and self.waiting + texts > self._most_waiting

    def _forget_gone(self) -> None:
        """Leave out the requests whose clients have gone."""
        for request in [each for each in self._queue if each.has_gone()]:
            self._queue.remove(request)
            self.waiting -= len(request.texts)
            _forget(request)

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
                if len(batch) > 1:
                    await self._until_quiet()
        finally:
            self._worker = None

    async def _until_quiet(self) -> None:
        """Let answers be sent and requests be read, until none comes or enough wait for a full batch."""
        quiet = 0
        while quiet < _QUIET_TURNS and self.waiting < self._most_texts:
            waiting = self.waiting
            await asyncio.sleep(0)
            quiet = 0 if self.waiting > waiting else quiet + 1

    def _next_batch(self) -> list[_Waiting]:
        """Take the requests that are computed together; those whose clients have gone are left out."""
        batch: list[_Waiting] = []
        count = 0
        while self._queue and (not batch or count + len(self._queue[0].texts) <= self._most_texts):
            request = self._queue.popleft()
            self.waiting -= len(request.texts)
            if request.has_gone():
                _forget(request)
            elif not request.outcomes.done():
                batch.append(request)
                count += len(request.texts)
        if batch:
            self._on_batch(count)
        return batch


def _forget(request: _Waiting) -> None:
    if not request.outcomes.done():
        request.outcomes.set_exception(ClientGone())
