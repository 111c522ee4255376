"""Start a server as a process of its own, and end it with all the processes that it started."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from tempfile import TemporaryFile
from time import monotonic, sleep
from typing import IO

from emotion.benchmark.http_load import HOST, ask
from emotion.errors import UserError

START_SECONDS, ANSWER_SECONDS, STOP_SECONDS = 120, 10, 20


@contextmanager
def running_server(command: Sequence[str], label: str) -> Iterator[int]:
    """Start a server, wait until it answers, yield its port, and stop it.

    Args:
        command: What starts it; the port follows as the last argument.
        label: Its name in errors.

    Raises:
        UserError: It does not start.
    """
    with socket.create_server((HOST, 0)) as free:
        port: int = free.getsockname()[1]
    # A server may have processes of its own, which end with its group, and which would keep a pipe open.
    with (
        TemporaryFile("w+", encoding="utf-8", errors="replace") as errors,
        subprocess.Popen(
            [*command, str(port)], stdout=subprocess.DEVNULL, stderr=errors, start_new_session=True
        ) as process,
    ):
        try:
            _wait(process, label, port, errors)
            yield port
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=STOP_SECONDS)
            _kill_group(process)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    if not hasattr(os, "killpg"):  # Windows has no groups of this kind
        process.kill()
        return
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _wait(process: subprocess.Popen[bytes], label: str, port: int, errors: IO[str]) -> None:
    end = monotonic() + START_SECONDS
    while True:
        if process.poll() is not None or monotonic() > end:
            errors.seek(0)
            found = "no answer" if process.poll() is None else last_line(errors.read())
            raise UserError(f"serve: {label} must start, found {found}")
        try:
            ask(port, ["is anybody there"], 1, within=ANSWER_SECONDS)
        except (OSError, EOFError):  # which TimeoutError is, too
            sleep(0.2)
        else:
            return


def last_line(text: str) -> str:
    """Return the last line of a process' messages that says something."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "nothing")
