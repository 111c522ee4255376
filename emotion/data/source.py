"""Where the bytes of a CSV come from: a file, or a pipe, which can be read only once and so is copied first."""

import gzip
import os
import re
import shutil
import stat
import tempfile
import weakref
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import file_digest
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import IO, Any, cast

from emotion.errors import UserError, first_line

_BLOCK = 1 << 20
_STREAMS = re.compile(r"/dev/(stdin|fd/\d+)|/proc/(self|\d+)/fd/\d+")
"""Names of open files. On some systems, opening one twice does not start from the beginning again."""
_UNREADABLE = (OSError, EOFError, zlib.error)
"""The last two are of compressed files that are truncated or damaged."""


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Source:
    """Bytes that can be read several times."""

    path: Path
    key: str
    """Config key of the path, for errors."""
    version: tuple[int, ...]
    """Size, time of the last change and inode of the file when it was found."""
    copy: IO[bytes] | None = None
    """What came out of a pipe: a file without a name, which vanishes with this object or the process."""

    def open(self) -> IO[bytes]:
        """Return the bytes from the first one on, decompressed if the name ends in ``.gz``."""
        if self.path.suffix != ".gz":
            return self._raw()
        return cast(IO[bytes], gzip.open(self.path if self.copy is None else self._raw()))

    def sha256(self) -> str:
        """Return the hex digest of the bytes, as they are in the file."""
        with self._raw() as file:
            return file_digest(cast(Any, file), "sha256").hexdigest()

    def has_changed(self) -> bool:
        """Return whether the file is no longer the one that was found."""
        return self.copy is None and _version(self.path) != self.version

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Tell in one line why the bytes cannot be read, or that they have changed meanwhile, which comes first.

        Raises:
            UserError: The file has changed, or cannot be read.
        """
        try:
            yield
        except UnicodeDecodeError as error:  # the whole file had its encoding when that was detected
            raise self._change() from error
        except (UserError, *_UNREADABLE) as error:
            if self.has_changed():
                raise self._change() from error
            if isinstance(error, UserError):
                raise
            reason = (error.strerror if isinstance(error, OSError) else None) or first_line(error)
            raise UserError(f"{self.key}: must be readable, found {self.path} ({reason})") from error
        if self.has_changed():
            raise self._change()

    def _change(self) -> UserError:
        return UserError(f"{self.path}: must stay as it is while it is read, found that it has changed")

    def _raw(self) -> IO[bytes]:
        if self.copy is None:
            return self.path.open("rb")
        return cast(IO[bytes], BufferedReader(_FromStart(self.copy), _BLOCK))


def is_stream(path: str | Path) -> bool:
    """Return whether ``path`` is a pipe or ``/dev/stdin``, which can be read once."""
    return bool(_STREAMS.fullmatch(str(path))) or stat.S_ISFIFO(_mode(Path(path)))


def find_source(path: Path, key: str, pipe: bool) -> Source:
    """Find a file, or read a pipe to its end.

    Args:
        path: The file.
        key: The config key of ``path``, for errors.
        pipe: Whether a pipe or ``/dev/stdin`` may be read. It is copied to a temporary file.

    Raises:
        UserError: There is no file; it is a folder or a device, such as a terminal; or the copy has no room.
    """
    mode = _mode(path)
    stream = is_stream(path)
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)) or (stream and not pipe):
        raise UserError(f"{key}: must be a CSV file, found {_kind(mode)} at {path}")
    if not stream:
        return Source(path, key, _version(path))
    copy = _copied(path, key)
    source = Source(path, key, (), copy)
    weakref.finalize(source, copy.close)
    return source


def _kind(mode: int) -> str:
    if not mode:
        return "no file"
    if stat.S_ISDIR(mode):
        return "a folder"
    return "a pipe" if stat.S_ISFIFO(mode) or stat.S_ISREG(mode) else "a terminal or other device"


def _mode(path: Path) -> int:
    """Return the type of a file as the operating system numbers it; 0 where no file is or can be."""
    try:
        return path.stat().st_mode
    except (OSError, ValueError):
        return 0


def _version(path: Path) -> tuple[int, ...]:
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_size, status.st_mtime_ns, status.st_ino


def _copied(path: Path, key: str) -> IO[bytes]:
    """Read a pipe to its end, into a temporary file that may take nine tenths of the free space."""
    folder = tempfile.gettempdir()
    room = shutil.disk_usage(folder).free * 9 // 10
    rule = f"{key}: must fit into {folder}, where a pipe is kept while it is used"
    with ExitStack() as stack:
        try:
            copy = stack.enter_context(tempfile.TemporaryFile(dir=folder))
            with path.open("rb") as pipe:
                while block := pipe.read(_BLOCK):
                    room -= len(block)
                    if room < 0:
                        raise UserError(f"{rule}, found more than nine tenths of its free space")
                    copy.write(block)
            copy.flush()
        except OSError as error:
            raise UserError(f"{rule}, found: {error.strerror or error}") from error
        stack.pop_all()
        return copy


class _FromStart(RawIOBase):
    """Reads an open file from its first byte on, whatever else reads it.

    Args:
        file: The file, which is left open.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._place = file, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = os.pread(self._file.fileno(), len(buffer), self._place)
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)
