"""Read CSVs as people really have them, in any common encoding and separator, in bounded chunks."""

import codecs
import csv
import gzip
import logging
import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import IO, TextIO, cast

import pandas as pd

from emotion.errors import UserError, first_line

log = logging.getLogger(__name__)

SEPARATORS = (",", ";", "\t")
CHUNK_ROWS = 65_536
_BLOCK = 1 << 20
_LONGEST_CELL = 10_000_000
"""Characters; the limit keeps a quote that is never closed from reading the whole file into memory."""
_LIMIT = Lock()
_UNREADABLE = (OSError, EOFError, zlib.error)
"""The last two are of compressed files that are truncated or damaged."""
_CHANGED = "must stay as it is while it is read, found that it has changed"
_END = 'end"of'
"""A line added after the last one: in an open quote, the reader takes its quote as the closing one and drops it."""


@dataclass(frozen=True, slots=True)
class CsvFile:
    """A CSV of known form; its cells stay strings and are never guessed to be numbers or missing values."""

    path: Path
    encoding: str
    separator: str
    columns: tuple[str, ...]
    lines: int
    """Line breaks in the file: at least the number of rows, more where texts hold line breaks."""
    version: tuple[int, ...]
    """Size, time of the last change and inode when the file was opened."""

    def chunks(self, rows: int = CHUNK_ROWS) -> Iterator[pd.DataFrame]:
        """Yield frames of up to ``rows`` rows under this file's column names, indexed from 0 through the file.

        Cells that a short row lacks are empty texts. Empty lines are skipped, but in a file of one column they are
        empty texts.

        Raises:
            UserError: The file changes meanwhile; or a row has more cells than the header, or a quote is never closed.
                The error names the row, counted as everywhere: the header is row 1, a row may span lines, skipped
                lines do not count.
        """
        records = self._records()
        start = 0
        while chunk := list(islice(records, rows)):
            index = pd.RangeIndex(start, start + len(chunk))
            yield pd.DataFrame(chunk, index=index, columns=list(self.columns), dtype=str)
            start += len(chunk)
        if _version(self.path) != self.version:
            raise UserError(f"{self.path}: {_CHANGED}")

    def _records(self) -> Iterator[list[str]]:
        """Yield the rows below the header, each with as many cells as the header has."""
        width = len(self.columns)
        records = _read(self.path, self.encoding, self.separator)
        row = 1
        try:
            next(filter(_holds_text, records))  # the header
            for record in records:
                if width > 1 and len(record) <= 1 and not _holds_text(record):
                    continue
                row += 1
                if _holds_text(record[width:]):
                    raise UserError(
                        f"{self.path}: every row must have at most {width} cells, as the header has,"
                        f" found {len(record)} in row {row} (the header is row 1);"
                        " put texts that hold separators between quotes"
                    )
                yield record[:width] + [""] * (width - len(record))
        except csv.Error as error:
            raise UserError(f"{self.path}: {error} in row {row + 1} (the header is row 1)") from error
        except _UNREADABLE as error:
            raise UserError(f"{self.path}: must be readable, found {_reason(error)}") from error
        except UnicodeDecodeError as error:  # the whole file had this encoding when it was opened
            raise UserError(f"{self.path}: {_CHANGED}") from error

    def column(self, frame: pd.DataFrame, name: str) -> list[str]:
        """Return the cells of the column ``name``."""
        cells: list[str] = frame.iloc[:, self.columns.index(name)].tolist()
        return cells


def open_csv(path: str | Path, required: Sequence[str] = (), key: str = "csv") -> CsvFile:
    """Detect a CSV's encoding, separator and columns.

    Encodings: UTF-8 with or without BOM, UTF-16 with BOM, else cp1252. Separators: comma, semicolon, tab; the one that
    yields the ``required`` columns, else the most columns.

    Raises:
        UserError: The file is missing, not text or empty, or a required column is missing or occurs twice.
    """
    path = Path(path)
    if not os.path.isfile(path):  # unlike Path.is_file, False for a name that no file can have
        found = "a folder" if os.path.isdir(path) else "a pipe or device" if os.path.exists(path) else "no file"
        raise UserError(f"{key}: must be a CSV file, found {found} at {path}")
    try:
        version = _version(path)
        encoding, lines = _detect_encoding(path)
        header_by_separator = _headers(path, encoding)
    except _UNREADABLE as error:
        raise UserError(f"{key}: must be readable, found {path} ({_reason(error)})") from error

    def fit(separator: str) -> tuple[int, int]:
        header = header_by_separator[separator]
        return sum(name in header for name in required), len(header)

    separator = max(header_by_separator, key=fit)
    columns = header_by_separator[separator]
    if not columns:
        raise UserError(f"{path}: must have a header and rows, found an empty file")
    for name in required:
        if columns.count(name) != 1:
            found = "it twice" if name in columns else ", ".join(map(repr, columns))[:200]
            raise UserError(f"{path}: must have one column {name!r}, found {found}")
    return CsvFile(path, encoding, separator, columns, lines, version)


def _open(path: Path) -> IO[bytes]:
    """Open a file that may be compressed, as its name says."""
    return cast(IO[bytes], gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or first_line(error)


def _version(path: Path) -> tuple[int, ...]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ino


def _holds_text(cells: Sequence[str]) -> bool:
    return any(cell.strip() for cell in cells)


def _read(path: Path, encoding: str, separator: str) -> Iterator[list[str]]:
    """Yield all records of the file, empty lines included.

    Raises:
        csv.Error: A quote is never closed, or a cell is longer than any text.
    """
    at_end = False

    def lines(file: TextIO) -> Iterator[str]:
        nonlocal at_end
        yield from file
        at_end = True
        yield _END

    with TextIOWrapper(_open(path), encoding=encoding, newline="") as file:
        records = csv.reader(lines(file), delimiter=separator)
        while True:
            with _LIMIT:
                limit = csv.field_size_limit(_LONGEST_CELL)  # of the whole process, so set it for one record at a time
                try:
                    csv.field_size_limit(max(limit, _LONGEST_CELL))
                    record = next(records)
                except csv.Error as error:
                    rule = f"every cell must have at most {_LONGEST_CELL:,} characters"
                    raise csv.Error(f"{rule}, found a longer one (or a quote that is never closed)") from error
                finally:
                    csv.field_size_limit(limit)
            if not at_end:
                yield record
            elif record == [_END]:
                return
            else:
                raise csv.Error("every quote must be closed, found an open one")


def _headers(path: Path, encoding: str) -> dict[str, tuple[str, ...]]:
    """Return the column names under each separator that can read the first record; () if there is no record."""
    headers: dict[str, tuple[str, ...]] = {}
    for separator in SEPARATORS:
        try:
            first = next(filter(_holds_text, _read(path, encoding, separator)), [])
        except csv.Error as error:
            failure = f"{path}: {error} in row 1, the header"
            continue
        headers[separator] = tuple(name.strip() for name in first)
    if not headers:
        raise UserError(failure)
    return headers


def _detect_encoding(path: Path) -> tuple[str, int]:
    """Return the encoding that decodes the whole file, and the number of line breaks; read in constant memory."""
    with _open(path) as file:
        start = file.read(4)
    is_utf16 = start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    for encoding in ("utf-16",) if is_utf16 else ("utf-8-sig", "cp1252"):
        decoder = codecs.getincrementaldecoder(encoding)()
        lines = 0
        try:
            with _open(path) as file:
                while block := file.read(_BLOCK):
                    text = decoder.decode(block)
                    if "\0" in text:
                        found = "a NUL character (binary, or UTF-16 without BOM)"
                        raise UserError(f"{path}: must be a text CSV, found {found}")
                    lines += text.count("\n")
                decoder.decode(b"", final=True)
            if encoding == "cp1252":
                log.warning(
                    "%s is not valid UTF-8, so it is read as cp1252 (Windows); save it as UTF-8 to be sure", path
                )
            return encoding, lines
        except UnicodeDecodeError:
            continue
    raise UserError(f"{path}: must be encoded in UTF-8, UTF-16 (with BOM) or cp1252, found none of them")
