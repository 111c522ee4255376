"""Progress bars, and log lines that do not run into them."""

import sys

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class CurrentStdout:
    """What ``sys.stdout`` is whenever something is written.

    While a bar is shown that is rich's, which writes above the bar; a handler that keeps the terminal's own would write
    behind it.
    """

    def write(self, text: str) -> int:
        return sys.stdout.write(text)

    def flush(self) -> None:
        sys.stdout.flush()


stdout = CurrentStdout()
"""Where ``conf`` lets log lines go."""


def progress_bar(*, transient: bool = False) -> Progress:
    """A bar with what is done, what there is, and both times; ``transient`` ones vanish at their end.

    A task whose ``total`` is None moves to and fro.
    """
    bar, times = BarColumn(), (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    return Progress(TextColumn("{task.description}"), bar, MofNCompleteColumn(), *times, transient=transient)
