"""Temporary files and folders, which a later process removes where their own was killed.

A process holds a lock on each of its own; the operating system lifts it however the process ends. Where there are no
such locks, on Windows and on some network file systems, nothing is removed.
"""

import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_PREFIX = "emotion-classifier-"
_LOCK = ".lock"
_own: set[Path] = set()
"""Of this process: some file systems let a process take a lock that it holds already."""


@contextmanager
def temporary_file(path: Path) -> Iterator[Path]:
    """Yield an empty file in the folder of ``path``, hidden, of the same suffix; remove it at the end of the block.

    Files that killed processes left for the same ``path`` are removed first.
    """
    left = re.compile(rf"\.{re.escape(path.stem)}\.[0-9a-f]{{8}}{re.escape(path.suffix)}")
    for name in os.listdir(path.parent):
        if left.fullmatch(name) and _is_dead(path.with_name(name)):
            path.with_name(name).unlink(missing_ok=True)
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}{path.suffix}")
    unlocked = path.with_name(f".{uuid.uuid4().hex}")
    with _held(temporary, unlocked):
        try:
            os.rename(unlocked, temporary)
            yield temporary
        finally:
            unlocked.unlink(missing_ok=True)
            temporary.unlink(missing_ok=True)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield an empty folder among the system's temporary files; remove it at the end of the block.

    Those that killed processes left are removed first.
    """
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        if _is_dead(left / _LOCK):
            shutil.rmtree(left, ignore_errors=True)
    unlocked = Path(tempfile.mkdtemp())
    temporary = unlocked.with_name(_PREFIX + uuid.uuid4().hex[:8])
    with _held(temporary / _LOCK, unlocked / _LOCK):
        try:
            os.rename(unlocked, temporary)
            files = temporary / "files"
            files.mkdir()
            yield files
        finally:
            shutil.rmtree(unlocked, ignore_errors=True)
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _held(path: Path, unlocked: Path) -> Iterator[None]:
    """Make the file ``unlocked`` and hold its lock; the block renames it to ``path``, where others may look for it."""
    _own.add(path)
    descriptor = os.open(unlocked, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        _lock(descriptor)
        yield
    finally:
        os.close(descriptor)
        _own.discard(path)


def _is_dead(path: Path) -> bool:
    """Return whether the file is there and no process holds its lock."""
    if fcntl is None or path in _own:
        return False
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return False  # gone meanwhile, or another user's
    try:
        return _lock(descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Lock an open file; return False if somebody else holds it, or it cannot be locked."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
