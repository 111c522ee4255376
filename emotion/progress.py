"""Progress bars, and log lines that do not run into them."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class CurrentStream:
    """What ``sys.stdout`` or ``sys.stderr`` is whenever something is written.

    While a bar is shown that is rich's, which writes above the bar; a handler that keeps the terminal's own would write
    behind it.

    Args:
        name: ``stdout`` or ``stderr``.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def write(self, text: str) -> int:
        written: int = getattr(sys, self.name).write(text)
        return written

    def flush(self) -> None:
        getattr(sys, self.name).flush()


stdout, stderr = CurrentStream("stdout"), CurrentStream("stderr")
"""Where log lines go: the scripts', as ``conf`` says, and the classic interface's."""


def progress_bar(*, transient: bool = False) -> Progress:
    """A bar with what is done, what there is, and both times; ``transient`` ones vanish at their end."""
    bar, times = BarColumn(), (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    return Progress(TextColumn("{task.description}"), bar, MofNCompleteColumn(), *times, transient=transient)


@contextmanager
def working(description: str) -> Iterator[None]:
    """A bar that moves to and fro beside the time that has passed, while something takes as long as it takes."""
    with Progress(TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), transient=True) as progress:
        progress.add_task(description, total=None)
        yield
