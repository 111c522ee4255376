"""A process that loads files from strangers and tells what came of each: ``python -m support.hostile_worker FOLDER``.

It reads a path a line and answers with JSON a line. An audit hook notes what no load may do; see ``sys.addaudithook``.
"""

import json
import os
import resource
import sys
import sysconfig
from pathlib import Path
from time import monotonic
from typing import Any

MOST_ADDED = 4 << 30
"""Bytes of address space beyond what the imports take, so that a bomb does not take the machine."""
_FORBIDDEN = (
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "os.forkpty",
    "os.kill",
    "os.startfile",
    "pty.spawn",
    "socket.",
    "urllib.Request",
    "webbrowser.open",
    "pickle.find_class",
    "input",
)
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC


class Watch:
    """Notes the audit events that no load of a file may cause.

    Args:
        folder: The only place where files may be written.
    """

    def __init__(self, folder: str) -> None:
        libraries = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
        import emotion

        self.roots = tuple(map(os.path.realpath, [*libraries, sys.base_prefix, Path(emotion.__file__).parent]))
        self.folder = os.path.realpath(folder)
        self.events: list[str] = []
        self.on = False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on:
            return
        self.on = False  # what follows must not watch itself
        try:
            if event.startswith(_FORBIDDEN) or self._is_odd(event, arguments):
                self.events.append(f"{event}{arguments!r}"[:300])
        finally:
            self.on = True

    def _is_odd(self, event: str, arguments: tuple[Any, ...]) -> bool:
        if event in ("exec", "compile", "marshal.loads", "code.__new__"):  # libraries make classes from strings
            return not self._is_library(sys._getframe(2).f_code.co_filename)
        if event == "ctypes.dlopen":
            return arguments[0] is not None and not self._is_library(str(arguments[0]))
        if event == "import":
            return arguments[1] is not None and not self._is_library(str(arguments[1]))
        if event == "open":
            path, mode, flags = arguments
            writes = (isinstance(mode, str) and set(mode) & set("wax+")) or flags & _WRITES
            return bool(writes) and isinstance(path, str | bytes | Path) and not self._may_be_changed(path)
        if event in ("os.remove", "os.rmdir", "os.mkdir", "os.chmod", "os.rename", "os.symlink", "shutil.rmtree"):
            place = arguments[-1]  # a folder that is open, from which the path is meant
            folder = f"/proc/self/fd/{place}" if isinstance(place, int) and place >= 0 and event != "os.mkdir" else ""
            return not self._may_be_changed(os.path.join(folder, os.fsdecode(arguments[0])))
        return False

    def _is_library(self, file: str) -> bool:
        return file.startswith("<frozen") or os.path.realpath(file).startswith(self.roots)

    def _may_be_changed(self, path: Any) -> bool:
        real = os.path.realpath(os.fsdecode(path))
        return real.startswith(self.folder) or real == os.devnull


def _memory(name: str) -> int:
    """Return ``VmRSS`` or ``VmHWM``, in kB."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1])


def main() -> None:
    """Answer until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(1, 2)
    scratch, texts, *warm = sys.argv[1:]
    import torch

    from emotion import checkpoint
    from emotion.errors import UserError

    torch.set_num_threads(1)
    words = json.loads(texts)
    for path in warm:
        checkpoint.load(path).predict_proba(words)
    watch = Watch(scratch)
    sys.addaudithook(watch)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MOST_ADDED, size + MOST_ADDED))
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        path = json.loads(line)
        answer: dict[str, Any] = {"refusal": None, "failure": None, "probabilities": None}
        Path("/proc/self/clear_refs").write_text("5")  # the peak of memory is counted from now on
        before, started, watch.events, watch.on = _memory("VmRSS"), monotonic(), [], True
        try:
            answer["probabilities"] = checkpoint.load(path).predict_proba(words).tolist()
        except UserError as error:
            answer["refusal"] = str(error)
        except BaseException as error:
            answer["failure"] = f"{type(error).__name__}: {error}"[:500]
        watch.on = False
        answer |= {"seconds": monotonic() - started, "added_mb": (_memory("VmHWM") - before) / 1000}
        print(json.dumps(answer | {"events": watch.events}), file=answers, flush=True)


if __name__ == "__main__":
    main()
