"""Let sides take turns, so that a slow moment of the machine hits all alike."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from emotion.progress import progress_bar

T = TypeVar("T")


def in_turns(
    title: str,
    tasks: Mapping[Any, Callable[[], T]],
    rounds: int,
    check: Callable[[str, dict[Any, list[T]]], None] = lambda *_: None,
) -> dict[Any, list[T]]:
    """Run each task once per round, and return what each returned in each round.

    After each round, ``check`` gets ``title`` and the results so far, so that it finds other work early.
    """
    results: dict[Any, list[T]] = {name: [] for name in tasks}
    with progress_bar() as progress:
        bar = progress.add_task(title, total=rounds * len(tasks))
        for number in range(rounds):
            for name, task in tasks.items():
                progress.update(bar, description=f"{title}, round {number + 1} of {rounds}: {name}")
                results[name].append(task())
                progress.advance(bar)
            check(title, results)
    return results
