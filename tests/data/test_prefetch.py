"""Items are made one ahead and in order, and no error is lost."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from emotion.data import mapped, prefetched


def test_the_next_item_is_made_while_this_one_is_used() -> None:
    made = [threading.Event() for _ in range(3)]

    def items() -> Iterator[int]:
        for number, event in enumerate(made):
            event.set()
            yield number

    seen = []
    for number in prefetched(items()):
        seen.append(number)
        assert all(event.wait(5) for event in made[: number + 2])  # nobody asked for the next one yet
    assert seen == [0, 1, 2]
    assert list(prefetched(iter(()))) == []


def test_an_error_comes_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("broken")

    stream = prefetched(items())
    assert next(stream) == 1
    with pytest.raises(OSError, match="broken"):
        next(stream)


def test_no_more_than_one_item_is_made_in_advance() -> None:
    made: list[int] = []
    stream = prefetched(iter(made.append(number) or number for number in range(100)))  # type: ignore[func-returns-value]
    assert next(stream) == 0
    stream.close()
    assert made in ([0], [0, 1])


def test_several_threads_work_at_once_and_keep_the_order() -> None:
    together = threading.Barrier(3, timeout=5)

    def work(number: int) -> int:
        together.wait()  # alone, no thread gets past it
        return 10 * number

    with ThreadPoolExecutor(3) as workers:
        assert list(mapped(work, range(9), workers, threads=3)) == [10 * number for number in range(9)]
        assert list(mapped(work, (), workers, threads=3)) == []


def test_items_are_taken_as_threads_need_them_and_errors_come_in_their_place() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    with ThreadPoolExecutor(2) as workers:
        stream = mapped(lambda number: 6 // (3 - number), items(), workers, threads=2)
        assert [next(stream) for _ in range(3)] == [2, 3, 6]
        assert len(taken) <= 6
        with pytest.raises(ZeroDivisionError):
            next(stream)
