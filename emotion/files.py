"""Write files: replace them atomically, and only those that are ours.

Checkpoints, pictures and reports carry a mark inside. CSVs cannot, so :func:`marked` notes a digest in a hidden file.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import file_digest
from pathlib import Path

from emotion.errors import UserError
from emotion.temporaries import temporary_file


def sha256(path: Path) -> str:
    """Return the hex digest of a file's bytes."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield an empty temporary file in the folder of ``path``; it replaces ``path`` if the block ends without an error.

    Readers see the old file or the whole new one. The temporary name keeps the suffix, because some writers
    choose the format by it.
    """
    with temporary_file(path) as temporary:
        try:
            yield temporary
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
            _sync_folder(path.parent)
        except OSError as error:
            # A full disk names no file, and people know nothing of ours.
            if error.errno is not None and error.filename in (None, str(temporary)):
                error.filename = str(path)
            raise


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder outlast a power failure, on systems that can sync folders."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return  # Windows opens no folders
    try:
        os.fsync(descriptor)
    except OSError:
        pass  # neither can some network file systems
    finally:
        os.close(descriptor)


@contextmanager
def marked(path: Path, key: str, is_earlier: Callable[[Path], bool] = lambda _: False) -> Iterator[Path]:
    """Write like :func:`atomic`, and note the digest by which :func:`require_unchanged` recognises the file.

    A file that somebody else put at ``path`` meanwhile is not replaced either: the arguments are those of
    :func:`require_unchanged`, which is asked again at the end.

    The note is ``.emotion.<name>.sha256`` in the same folder: one digest a line, the new content's first, then the one
    before it. It is written before ``path`` is replaced, so that a crash leaves no file unrecognised.
    """
    note = _note(path)
    with atomic(path) as temporary:
        yield temporary
        require_unchanged(path, key, is_earlier)
        written = sha256(temporary)
        digests = [written, *(each for each in _noted(note) if each != written)]
        with atomic(note) as new_note:
            new_note.write_text("\n".join(digests[:2]) + "\n", encoding="utf-8")


def require_unchanged(path: Path, key: str, is_earlier: Callable[[Path], bool] = lambda _: False) -> None:
    """Refuse to replace a file unless it is, byte for byte, what :func:`marked` wrote.

    Args:
        path: The file to replace.
        key: Key of the setting that names it.
        is_earlier: Recognises outputs of versions that wrote no note; called only if there is none.

    Raises:
        UserError: ``path`` was changed, or written by something else.
    """
    note = _note(path)
    if not note.exists():
        require_ours(path, is_earlier, key)
    elif path.exists() and not (path.is_file() and sha256(path) in _noted(note)):
        raise UserError(
            f"{key}: {path} was changed or replaced since this program wrote it; move it or choose another place"
        )


def remove_marked(path: Path) -> None:
    """Remove a file that :func:`marked` wrote, and its note; the caller has asked :func:`require_unchanged`."""
    path.unlink(missing_ok=True)
    _note(path).unlink(missing_ok=True)


def _note(path: Path) -> Path:
    return path.with_name(f".emotion.{path.name}.sha256")


def _noted(note: Path) -> list[str]:
    return note.read_text(encoding="utf-8", errors="replace").split() if note.is_file() else []


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name, or a copy where the file system has no hard links; ``target`` is replaced."""
    target.unlink(missing_ok=True)
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
    """Make ``folder`` and check that a file can be written there.

    Raises:
        UserError: The folder cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with temporary_file(folder / "probe"):
            pass
    except OSError as error:
        raise UserError(f"{key}: must be a writable folder, found {folder} ({error.strerror})") from error
