"""Temporary files and folders, which a later process removes where their own was killed.

A process holds a lock on each of its own; the operating system lifts it however the process ends. Where there are no
such locks, on Windows and on some network file systems, nothing is removed.
"""

import errno
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_PREFIX = "emotion-classifier-"
_LOCK = ".lock"
_own: set[Path] = set()
"""Locked files of this process: some file systems let a process take a lock that it holds already."""


@contextmanager
def temporary_file(path: Path) -> Iterator[Path]:
    """Yield an empty file in the folder of ``path``, hidden, of the same suffix; remove it at the end of the block.

    Files that killed processes left for the same ``path`` are removed first.
    """
    left = re.compile(rf"\.{re.escape(path.stem)}\.[0-9a-f]{{8}}{re.escape(path.suffix)}")
    for name in os.listdir(path.parent):
        if left.fullmatch(name):
            _remove_dead(path.with_name(name))
    with _locked(lambda: path.with_name(f".{path.stem}.{_random_name()}{path.suffix}")) as temporary:
        try:
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def temporary_folder(beside: Path | None = None) -> Iterator[Path]:
    """Yield an empty folder; remove it at the end of the block, if it is still there.

    Those that killed processes left are removed first.

    Args:
        beside: The path that the folder will be moved to: it is made, hidden, on the same file system. None = among the
            system's temporary files.
    """
    parent = Path(tempfile.gettempdir()) if beside is None else beside.parent
    prefix = _PREFIX if beside is None else f".{beside.name}."
    ours = re.compile(rf"{re.escape(prefix)}[0-9a-f]{{8}}")
    for name in os.listdir(parent):
        left = parent / name
        if not ours.fullmatch(name) or not left.is_dir():
            continue
        with suppress(OSError):
            if _remove_dead(left / _LOCK):
                shutil.rmtree(left, ignore_errors=True)
            left.rmdir()  # an empty one: its process died, or tries again, before it had a lock

    def make() -> Path:
        folder = parent / f"{prefix}{_random_name()}"
        folder.mkdir(mode=0o700)
        return folder / _LOCK

    with _locked(make) as lock:
        try:
            files = lock.parent / "files"
            files.mkdir()
            yield files
        finally:
            shutil.rmtree(lock.parent, ignore_errors=True)


def _random_name() -> str:
    return uuid.uuid4().hex[:8]


@contextmanager
def _locked(new_path: Callable[[], Path]) -> Iterator[Path]:
    """Make an empty file and hold its lock; another path is taken if another process removes it before it is locked."""
    for attempts_left in reversed(range(10)):
        path = new_path()
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        except FileNotFoundError:  # its folder is gone, maybe removed before it had a lock
            if attempts_left:
                continue
            raise
        _own.add(path)
        try:
            if _lock(descriptor) is not False and os.fstat(descriptor).st_nlink:
                yield path
                return
        finally:
            os.close(descriptor)
            _own.discard(path)
    raise BlockingIOError(errno.EAGAIN, "other processes remove it", str(path))


def _remove_dead(path: Path) -> bool:
    """Remove a file whose lock no process holds, and return whether that was so."""
    if path in _own:
        return False
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return False  # gone meanwhile, or another user's
    try:
        if not _lock(descriptor):
            return False
        path.unlink(missing_ok=True)  # under the lock: its process may be about to ask for it
        return True
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool | None:
    """Lock an open file; return False if another process holds the lock, None where there are no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True
