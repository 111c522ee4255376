"""End a process when a signal asks it to, with the exit code that shells expect.

Entry points call :func:`stop_on_signals`; library calls leave a caller's signal handlers alone.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

_NAMES = ("SIGTERM", "SIGINT", "SIGHUP")


class Interrupted(SystemExit):
    """The process was asked to end; its exit code is 128 plus the signal's number, as shells report it.

    Args:
        number: Of the signal.
        state: The resume state that was written, if any.
    """

    def __init__(self, number: int, state: Path | None = None) -> None:
        super().__init__(128 + number)
        self.signal, self.state = signal.Signals(number).name, state


class StopRequest:
    """Remembers the first signal; a second SIGINT ends the process at once.

    Args:
        at_once: Raise :class:`Interrupted` in place of remembering.
    """

    def __init__(self, at_once: bool) -> None:
        self.at_once = at_once
        self.number: int | None = None
        self.replaced: dict[int, Any] = {}
        """The handlers that were there, by the signals that this one handles now."""

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        if self.at_once or (number == signal.SIGINT and self.number is not None):
            raise Interrupted(number)
        if self.number is None:
            self.number = number

    def install(self) -> None:
        """Handle the signals that nobody else handles or ignores."""
        for name in _NAMES:
            number = getattr(signal, name, None)  # Windows has no SIGHUP
            if number is not None and signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                self.replaced[number] = signal.signal(number, self)

    def restore(self) -> None:
        """Put the handlers back that were there."""
        for number, handler in self.replaced.items():
            signal.signal(number, handler)


_current: StopRequest | None = None


@contextmanager
def stop_on_signals(at_once: bool = False) -> Iterator[None]:
    """Stop the block on SIGTERM, SIGINT or SIGHUP, and restore the handlers at its end.

    Args:
        at_once: Whether the block ends at once; otherwise a training in it ends after the update under way.

    Signals that somebody else handles or ignores (``nohup``, a cluster's launcher) stay theirs.

    Raises:
        Interrupted: A signal came.
    """
    global _current
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    _current = StopRequest(at_once)
    _current.install()
    try:
        yield
    finally:
        _current.restore()
        _current = None


@contextmanager
def stop_after_update() -> Iterator[None]:
    """Let a training in the block end after the update under way, even where :func:`stop_on_signals` stops at once."""
    request = _current
    if request is None or not request.at_once:
        yield
        return
    request.at_once = False
    try:
        yield
    finally:
        request.at_once = True


def stop_request() -> StopRequest | None:
    """Return the handler of the surrounding :func:`stop_on_signals`, if there is one."""
    return _current
