"""Files that we write: replaced atomically, and only where they are ours."""

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import file_digest
from pathlib import Path

from emotion.errors import UserError


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of ``path``; it replaces ``path`` once the block ends without an error.

    Readers see the old file or the whole new one. The temporary name keeps the suffix, as writers that choose a format
    by it expect.
    """
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}{path.suffix}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name, or a copy where the file system has no hard links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def require_ours(path: Path, is_ours: Callable[[Path], bool], key: str) -> None:
    """Refuse to replace a file that we did not write.

    Raises:
        UserError: ``path`` exists and ``is_ours`` does not recognise it.
    """
    if path.exists() and not (path.is_file() and is_ours(path)):
        raise UserError(f"{key}: {path} exists and was not written by this program; move it or choose another place")


def require_writable(folder: Path, key: str) -> None:
    """Make ``folder`` and prove that a file can be written there.

    Raises:
        UserError: The folder cannot be made or written.
    """
    probe = folder / f".{uuid.uuid4().hex[:8]}.probe"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(f"{key}: must be a writable folder, found {folder} ({error.strerror})") from error
