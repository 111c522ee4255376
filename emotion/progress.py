"""Show progress: bars, log lines that do not run into them, and log lines instead of bars without a terminal."""

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
"""Seconds between two lines of progress."""


class CurrentStream:
    """A stream that looks up ``sys.stdout`` or ``sys.stderr`` at each write.

    While a bar is shown, it finds rich's stream, which writes above the bar; a handler that keeps the terminal's own
    stream would write behind it.

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
"""Streams for log lines: the scripts', as set in ``conf``, and the classic interface's."""


def shows_bars(console: Console | None = None) -> bool:
    """Return whether ``console``, stdout by default, can show a moving bar, as terminals and notebooks can."""
    console = console or Console()
    return console.is_terminal or console.is_jupyter


def as_time(seconds: float) -> str:
    """Format ``seconds``, >= 0, as hours, minutes and seconds: ``0:02:05``."""
    return str(timedelta(seconds=round(seconds)))


class LoggedProgress(Progress):
    """Shows rich's bars, or log lines where output goes to a file, in which a bar appears only at its end.

    Args:
        columns: What a bar shows.
        seconds: Seconds between two lines, > 0.
        clock: Returns the seconds since any fixed moment.
        options: Options of :class:`rich.progress.Progress`.
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
        """Add a task as rich does."""
        task = super().add_task(*arguments, **options)
        self._started[task] = self._clock()
        return task

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        """Advance a task as rich does, and log a line when one is due."""
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
    """Return a bar with the work done, the total, and both times; a ``transient`` bar vanishes at its end."""
    bar, times = BarColumn(), (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    return LoggedProgress(_description(), bar, MofNCompleteColumn(), *times, transient=transient)


@contextmanager
def working(description: str) -> Iterator[None]:
    """Show a moving bar and the time that has passed, for work of unknown length."""
    with Progress(_description(), BarColumn(), TimeElapsedColumn(), transient=True) as progress:
        progress.add_task(description, total=None)
        yield


def _description() -> TextColumn:
    """Show a task's description as it is: a name or path may look like rich's markup."""
    return TextColumn("{task.description}", markup=False)
