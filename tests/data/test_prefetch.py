"""Items are made one ahead and in order, and no error is lost."""

import threading
from collections.abc import Iterator

import pytest

from emotion.data import prefetched


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
