"""Where files lie: on this machine, or behind a URL such as ``s3://bucket/folder``, by whatever fsspec knows."""

import glob
import posixpath
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

from emotion.errors import UserError, first_line
from emotion.files import atomic, require_writable, sha256
from emotion.temporaries import temporary_folder


class Storage(Protocol):
    """What the work on a file needs of the place where it lies."""

    def is_folder(self, path: str) -> bool:
        """Return whether ``path`` is a folder."""

    def files(self, pattern: str) -> list[str]:
        """Return the files that a folder holds, or that a pattern or a name means, sorted."""

    def identity(self, path: str) -> str:
        """Return what changes with the content of a file: its digest, or what the other side says in its place."""

    def local(self, path: str) -> AbstractContextManager[Path]:
        """Give a file to read."""

    def written(self, path: str) -> AbstractContextManager[Path]:
        """Give a file to write, which takes the place of ``path`` whole, once the block has ended without an error."""

    def read(self, path: str) -> bytes | None:
        """Return the content of a small file; None if there is none."""

    def exists(self, path: str) -> bool:
        """Return whether there is a file."""

    def is_as_written(self, path: str, digest: str, size: int | None) -> bool:
        """Return whether a file is there as it was written, by its SHA-256 or, where that is far away, by its size."""

    def require_writable(self, folder: str) -> None:
        """Make a folder. Raises :class:`UserError` if it cannot be written into."""


def is_remote(path: str) -> bool:
    """Return whether ``path`` is a URL."""
    return "://" in path


def storage_of(path: str) -> Storage:
    """Return what reads and writes ``path``.

    Raises:
        UserError: It is a URL whose protocol is unknown, or needs a package that is missing.
    """
    return _Remote(path) if is_remote(path) else _Local()


def resolved(path: str) -> str:
    """Return the one name of a file that has several, such as by links; a URL as it is."""
    return path if is_remote(path) else str(Path(path).resolve())


def name_of(path: str) -> str:
    """Return the last part of a path or URL."""
    return posixpath.basename(path) if is_remote(path) else Path(path).name


def folder_of(path: str) -> str:
    """Return the folder of a path or URL."""
    return path.rpartition("/")[0] if is_remote(path) else str(Path(path).parent)


def joined(folder: str, name: str) -> str:
    """Return the path or URL of ``name`` in ``folder``."""
    return f"{folder.rstrip('/')}/{name}" if is_remote(folder) else str(Path(folder) / name)


class _Local:
    def is_folder(self, path: str) -> bool:
        return Path(path).is_dir()

    def files(self, pattern: str) -> list[str]:
        folder = Path(pattern)
        found = folder.iterdir() if folder.is_dir() else map(Path, glob.glob(pattern, recursive=True))
        return sorted(str(each) for each in found if each.is_file())

    def identity(self, path: str) -> str:
        return sha256(Path(path))

    @contextmanager
    def local(self, path: str) -> Iterator[Path]:
        yield Path(path)

    def written(self, path: str) -> AbstractContextManager[Path]:
        return atomic(Path(path))

    def read(self, path: str) -> bytes | None:
        return Path(path).read_bytes() if Path(path).exists() else None

    def exists(self, path: str) -> bool:
        return Path(path).exists()

    def is_as_written(self, path: str, digest: str, _size: int | None) -> bool:
        return Path(path).is_file() and sha256(Path(path)) == digest

    def require_writable(self, folder: str) -> None:
        require_writable(Path(folder), "output")


class _Remote:
    """Files are fetched whole before they are read, and sent whole once they are written."""

    def __init__(self, url: str) -> None:
        import fsspec

        self._protocol = url.partition("://")[0]
        with _told(url):
            try:
                # Listings that are remembered would be those of before this program wrote.
                self._system: Any = fsspec.core.url_to_fs(url, use_listings_cache=False)[0]
            except (ValueError, ImportError) as error:  # fsspec says which package is missing
                raise UserError(f"{url}: must be of a known kind of storage, found {first_line(error)}") from error

    def is_folder(self, path: str) -> bool:
        with _told(path):
            return bool(self._system.isdir(path))

    def files(self, pattern: str) -> list[str]:
        with _told(pattern):
            if self._system.isdir(pattern):
                found = self._system.find(pattern, maxdepth=1)
            else:
                found = [path for path in self._system.glob(pattern) if self._system.isfile(path)]
            return sorted(self._system.unstrip_protocol(path) for path in found)

    def identity(self, path: str) -> str:
        with _told(path):
            return str(self._system.ukey(path))

    @contextmanager
    def local(self, path: str) -> Iterator[Path]:
        with temporary_folder() as folder:
            copy = folder / name_of(path)
            with _told(path):
                self._system.get_file(path, str(copy))
            try:
                yield copy
            except UserError as error:
                raise UserError(str(error).replace(str(copy), path)) from error

    @contextmanager
    def written(self, path: str) -> Iterator[Path]:
        with temporary_folder() as folder:
            copy = folder / name_of(path)
            yield copy
            with _told(path):
                self._system.put_file(str(copy), path)

    def read(self, path: str) -> bytes | None:
        with _told(path):
            try:
                return bytes(self._system.cat_file(path))
            except FileNotFoundError:
                return None

    def exists(self, path: str) -> bool:
        with _told(path):
            return bool(self._system.exists(path))

    def is_as_written(self, path: str, _digest: str, size: int | None) -> bool:
        with _told(path):
            return bool(self._system.exists(path)) and self._system.size(path) == size

    def require_writable(self, folder: str) -> None:
        with _told(folder):
            bucket = self._system.split_path(folder)[0] if hasattr(self._system, "split_path") else ""
            if bucket and not self._system.exists(bucket):  # makedirs would make one, which costs money
                raise UserError(f"output: must be in a bucket that exists, found no {bucket} for {folder}")
            self._system.makedirs(folder, exist_ok=True)


@contextmanager
def _told(url: str) -> Iterator[None]:
    """Turn whatever a storage's own package raises into one line."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # each package has its own kinds
        raise UserError(f"{url}: must be reachable, found {type(error).__name__}: {first_line(error)}") from error
