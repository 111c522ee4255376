"""Make the next items while the current one is used."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def prefetched(items: Iterator[T]) -> Iterator[T]:
    """Yield the same items, each made by another thread while the one before is used; raise errors in their place."""
    end = object()
    with ThreadPoolExecutor(max_workers=1) as worker:
        following = worker.submit(next, items, end)
        while (item := following.result()) is not end:
            following = worker.submit(next, items, end)
            yield item  # type: ignore[misc]


def mapped(function: Callable[[T], R], items: Iterable[T], workers: Executor, threads: int) -> Iterator[R]:
    """Yield ``function`` of each item, in order, computed by ``workers``; raise errors in their place.

    Items are taken as they are needed: at most one more than there are threads waits for its turn.
    """
    pending: deque[Future[R]] = deque()
    try:
        for item in items:
            pending.append(workers.submit(function, item))
            if len(pending) > threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()
