"""Run the commands many times without the second that their imports take: one process imports, and forks for each run.

``python command_server.py`` reads a line of JSON for each run, ``[command, folder, arguments, environment, death]``,
and answers with ``[exit code, stdout, stderr, renames]``; a run that is over its limit ends with -SIGALRM.
"""

import gc
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins

from emotion.config import PROJECT

LIMIT_S = 120
_RENAMES = 100
"""File descriptor that gets a byte for each rename."""


@dataclass
class Finished:
    """How a command ended."""

    code: int
    """Exit code, or minus the signal that ended it."""
    out: str
    err: str
    renames: int
    """Files that came into place."""


@dataclass(frozen=True)
class Death:
    """What ends a command's process, if it is not done before."""

    seconds: float = LIMIT_S
    """Seconds until a signal that nobody handles."""
    rename: int = 0
    """SIGKILL before this rename of a file, counted from 1; 0 = none."""
    removed: str = ""
    """A folder that somebody removes at that moment, in place of SIGKILL."""
    file_size: int = 0
    """Bytes that a file may have, as where a disk is full; 0 = any."""


_ALIVE = Death()


class Commands:
    """The commands of :mod:`emotion.cli`."""

    def __init__(self, server: subprocess.Popen[str]) -> None:
        self._server = server

    def run(self, command: str, folder: Path, *arguments: str, death: Death = _ALIVE, **environment: str) -> Finished:
        """Run a command with ``arguments`` and further variables of the environment in ``folder``."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps([command, str(folder), arguments, environment, asdict(death)]) + "\n")
        self._server.stdin.flush()
        return Finished(*json.loads(self._server.stdout.readline()))


@contextmanager
def command_server(**more: str) -> Iterator[Commands]:
    """Start the process that runs commands, with ``more`` environment variables; end it at the end."""
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", **more}
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, __file__], env=environment, **pipes) as server:
        assert server.stdin is not None
        yield Commands(server)
        server.stdin.close()


def _serve() -> None:
    commands = import_module("emotion.cli")
    for package in ("training", "compression", "prediction", "benchmark", "reporting", "article", "serving", "tuning"):
        names = import_module(f"emotion.{package}")
        for name in dir(names):
            getattr(names, name)  # imports what a command would import on first use
    import_module("optuna")  # likewise
    OverridesParser.create().parse_overrides(["warm.up=[1,{a:b}]"])
    Plugins.instance()  # looks for Hydra's plugins once, not in each run
    gc.freeze()  # otherwise each run looks for garbage in all that was imported, and copies the pages
    output = Path(tempfile.mkdtemp())  # not where the command works: that disk may be full
    files = [output / name for name in ("stdout", "stderr", "renames")]
    for line in sys.stdin:
        command, folder, arguments, environment, death = json.loads(line)
        process = os.fork()
        if process == 0:
            os.environ.update(environment)
            os.chdir(folder)
            _become(getattr(commands, command), command, arguments, files, Death(**death))
        _, status = os.waitpid(process, 0)
        out, err, renames = (path.read_bytes().decode(errors="replace") for path in files)
        print(json.dumps([os.waitstatus_to_exitcode(status), out, err, len(renames)]), flush=True)
    shutil.rmtree(output)


def _become(command: Any, name: str, arguments: list[str], files: list[Path], death: Death) -> None:
    """Run a command in this process, in place of the server, and end."""
    signal.setitimer(signal.ITIMER_REAL, death.seconds)  # its signal ends the process, whatever it is doing
    tempfile.tempdir = None  # asks the environment again
    for number, path in enumerate(files, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number if number < 3 else _RENAMES)
    renames = count(1)

    def watch(event: str, _arguments: Any) -> None:
        if event == "os.rename":
            if next(renames) == death.rename:
                if not death.removed:
                    os.kill(os.getpid(), signal.SIGKILL)
                shutil.rmtree(death.removed)
            os.write(_RENAMES, b".")

    sys.addaudithook(watch)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    if death.file_size:
        resource.setrlimit(resource.RLIMIT_FSIZE, (death.file_size, death.file_size))
    sys.argv = [f"{name}.py", *arguments]
    try:
        command()
        code = 0
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    _serve()
