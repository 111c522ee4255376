"""Progress bars, log lines that do not run into them, and lines in their place where there is no terminal."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from time import monotonic
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

log = logging.getLogger(__name__)

LOG_EVERY_SECONDS = 60.0
"""Between two lines of progress."""


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


def shows_bars(console: Console | None = None) -> bool:
    """Whether a bar moves where ``console`` writes, stdout by default: in a terminal and in a notebook."""
    console = console or Console()
    return console.is_terminal or console.is_jupyter


def as_time(seconds: float) -> str:
    """``seconds``, >= 0, as hours, minutes and seconds: ``0:02:05``."""
    return str(timedelta(seconds=round(seconds)))


class LoggedProgress(Progress):
    """rich's bars; in a file, where they show nothing before their end, lines of the log in their place.

    Args:
        columns: What a bar shows.
        seconds: Between two lines, > 0.
        clock: Seconds since any fixed moment.
        options: Of :class:`rich.progress.Progress`.
    """

    def __init__(
        self, *columns: Any, seconds: float = LOG_EVERY_SECONDS, clock: Callable[[], float] = monotonic, **options: Any
    ) -> None:
        super().__init__(*columns, **options)
        self._seconds, self._clock = seconds, clock
        self._logs = not shows_bars(self.console)
        self._started: dict[TaskID, float] = {}
        self._last_line = clock()

    def add_task(self, *arguments: Any, **options: Any) -> TaskID:
        """As rich's."""
        task = super().add_task(*arguments, **options)
        self._started[task] = self._clock()
        return task

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        """As rich's."""
        super().advance(task_id, advance)
        self._log(task_id)

    def _log(self, task_id: TaskID) -> None:
        now = self._clock()
        if not self._logs or now - self._last_line < self._seconds:
            return
        self._last_line = now
        (task,) = (each for each in self.tasks if each.id == task_id)
        speed = task.completed / max(now - self._started[task_id], 1e-9)
        if task.total and speed:
            left = as_time(max(task.total - task.completed, 0) / speed)
            log.info("%s: %d/%d, %.3g/s, %s left", task.description, task.completed, task.total, speed, left)


def progress_bar(*, transient: bool = False) -> LoggedProgress:
    """A bar with what is done, what there is, and both times; ``transient`` ones vanish at their end."""
    bar, times = BarColumn(), (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    return LoggedProgress(TextColumn("{task.description}"), bar, MofNCompleteColumn(), *times, transient=transient)


@contextmanager
def working(description: str) -> Iterator[None]:
    """Show a moving bar and the time that has passed, for work of unknown length."""
    with Progress(TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), transient=True) as progress:
        progress.add_task(description, total=None)
        yield
