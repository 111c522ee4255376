"""Read CSVs as people really have them, in any common encoding and separator, in bounded chunks."""

import codecs
import csv
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import TextIOWrapper
from itertools import islice
from operator import itemgetter
from pathlib import Path
from threading import Lock
from typing import TextIO

import pandas as pd

from emotion.data.backslashes import NOT_DOUBLED, without_doubt
from emotion.data.source import Source, find_source
from emotion.errors import UserError

log = logging.getLogger(__name__)

SEPARATORS = (",", ";", "\t")
CHUNK_ROWS = 65_536
_BLOCK = 1 << 20
_SEPARATOR_LINE = re.compile(r"""("?)sep=("?)([^"\r\n])\2\1\s*""", re.IGNORECASE)
"""Excel's first line, such as ``sep=;``."""
_LONGEST_CELL = 10_000_000
"""Characters; the limit keeps a quote that is never closed from reading the whole file into memory."""
_LONGEST_LINE = 5 * _LONGEST_CELL
"""Characters; a file without line breaks would be read whole otherwise."""
_LIMIT = Lock()
_RULES = {
    "field larger": f"every cell must have at most {_LONGEST_CELL:,} characters, found a longer one"
    " (or a quote that is never closed)",
    "expected after": NOT_DOUBLED,
    "end of data": "every quote must be closed, found an open one",
}
"""Our words for those of Python's csv module."""


@dataclass(frozen=True, slots=True)
class CsvFile:
    """A CSV of known form; its cells stay strings and are never guessed to be numbers or missing values."""

    source: Source
    encoding: str
    separator: str
    columns: tuple[str, ...]
    lines: int
    """Line breaks in the file: at least the number of rows, more where texts hold line breaks."""

    @property
    def path(self) -> Path:
        """The file's name."""
        return self.source.path

    def chunks(self, rows: int = CHUNK_ROWS) -> Iterator[pd.DataFrame]:
        """Yield frames of up to ``rows`` rows under this file's column names, indexed from 0 through the file.

        Cells that a short row lacks are empty texts. Empty lines are skipped, but in a file of one column they are
        empty texts. Separators at the end of a row, with nothing after them, are dropped if all rows have as many
        and the header has several columns.

        Raises:
            UserError: The file changes meanwhile; or a row has more cells than the header; or a quote is never closed,
                or not doubled within a text. The error names the row, counted as everywhere: the header is row 1, a
                row may span lines, skipped lines do not count.
        """
        records = self._records()
        start = 0
        while chunk := list(islice(records, rows)):
            index = pd.RangeIndex(start, start + len(chunk))
            yield pd.DataFrame(chunk, index=index, columns=list(self.columns), dtype=str)
            start += len(chunk)

    def _records(self) -> Iterator[list[str]]:
        """Yield the rows below the header, each with as many cells as the header has."""
        width = len(self.columns)
        row, first = 1, None
        with self.source.reading():
            records = _read(self.source, self.encoding, self.separator)
            try:
                next(filter(_holds_text, records))  # the header
                for record in records:
                    holds_text = _holds_text(record)
                    if width > 1 and len(record) <= 1 and not holds_text:
                        continue
                    row += 1
                    if holds_text or width == 1:
                        found = row, max(len(record), width)
                        # The separator of a single column is a guess, so each may be a part of the text.
                        first = first or (found if width > 1 else (row, width))
                        # Where a text holds a separator, its row's last cell may be empty and hide the surplus.
                        if found[1] != first[1] or _holds_text(record[width:]):
                            raise self._surplus(*max(found, first, key=itemgetter(1)))
                    yield record[:width] + [""] * (width - len(record))
            except csv.Error as error:
                raise UserError(f"{self.path}: {error} in row {row + 1} (the header is row 1)") from error

    def _surplus(self, row: int, cells: int) -> UserError:
        return UserError(
            f"{self.path}: every row must have at most {len(self.columns)} cells, as the header has,"
            f" found {cells} in row {row} (the header is row 1); put texts that hold separators between quotes"
        )

    def column(self, frame: pd.DataFrame, name: str) -> list[str]:
        """Return the cells of the column ``name``."""
        cells: list[str] = frame.iloc[:, self.columns.index(name)].tolist()
        return cells

    def texts(self, column: str) -> list[str]:
        """Read the cells of ``column`` in all rows, without those that are blank."""
        return [text for frame in self.chunks() for text in self.column(frame, column) if text.strip()]


def open_csv(path: str | Path, required: Sequence[str] = (), key: str = "csv", pipe: bool = False) -> CsvFile:
    """Detect a CSV's encoding, separator and columns.

    Encodings: UTF-8 with or without BOM, UTF-16 with BOM, else cp1252. Separators: the one that a first line such as
    ``sep=;`` names; else comma, semicolon or tab: the one that yields the ``required`` columns, else the most columns.

    Args:
        path: The CSV.
        required: Columns that must be there, once.
        key: The config key of ``path``, for errors.
        pipe: Whether a pipe will do. It can be opened once: to read it again, keep what is returned.

    Raises:
        UserError: The file is missing, not text or empty, or a required column is missing or occurs twice.
    """
    source = find_source(Path(path), key, pipe)
    path = source.path
    with source.reading():
        encoding, lines = _detect_encoding(source)
        header_by_separator = _headers(source, encoding)

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
    return CsvFile(source, encoding, separator, columns, lines)


def _holds_text(cells: Sequence[str]) -> bool:
    return any(cell.strip() for cell in cells)


def _read(source: Source, encoding: str, separator: str) -> Iterator[list[str]]:
    """Yield all records of the file, empty lines included.

    Raises:
        csv.Error: The file breaks one of :data:`_RULES`, or its quotes seem to be escaped.
    """
    with TextIOWrapper(source.open(), encoding=encoding, newline="") as file:
        records = csv.reader(without_doubt(_table(file), separator), delimiter=separator, strict=True)
        while True:
            with _LIMIT:
                limit = csv.field_size_limit(_LONGEST_CELL)  # of the whole process, so set it for one record at a time
                try:
                    csv.field_size_limit(max(limit, _LONGEST_CELL))
                    record = next(records, None)
                except csv.Error as error:
                    rule = next((rule for words, rule in _RULES.items() if words in str(error)), str(error))
                    raise csv.Error(rule) from error
                finally:
                    csv.field_size_limit(limit)
            if record is None:
                return
            yield record


def _table(file: TextIO) -> Iterator[str]:
    """Yield the lines, without a first one that names the separator."""
    is_first = True
    while line := file.readline(_LONGEST_LINE):
        if len(line) == _LONGEST_LINE:
            raise csv.Error(f"every line must have less than {_LONGEST_LINE:,} characters, found a longer one")
        if not (is_first and _SEPARATOR_LINE.fullmatch(line)):
            yield line
        is_first = False


def _headers(source: Source, encoding: str) -> dict[str, tuple[str, ...]]:
    """Return the column names under each separator that can read the first record; () if there is no record."""
    with TextIOWrapper(source.open(), encoding=encoding, newline="") as file:
        named = _SEPARATOR_LINE.fullmatch(file.readline(_LONGEST_LINE))
    headers: dict[str, tuple[str, ...]] = {}
    for separator in [named[3]] if named else SEPARATORS:
        try:
            first = next(filter(_holds_text, _read(source, encoding, separator)), [])
        except csv.Error as error:
            failure = f"{source.path}: {error} in row 1, the header"
            continue
        headers[separator] = tuple(name.strip() for name in first)
    if not headers:
        raise UserError(failure)
    return headers


def _detect_encoding(source: Source) -> tuple[str, int]:
    """Return the encoding that decodes the whole file, and the number of line breaks; read in constant memory."""
    with source.open() as file:
        start = file.read(4)
    is_utf16 = start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    for encoding in ("utf-16",) if is_utf16 else ("utf-8-sig", "cp1252"):
        decoder = codecs.getincrementaldecoder(encoding)()
        lines = 0
        try:
            with source.open() as file:
                while block := file.read(_BLOCK):
                    text = decoder.decode(block)
                    if "\0" in text:
                        found = "a NUL character (binary, or UTF-16 without BOM)"
                        raise UserError(f"{source.path}: must be a text CSV, found {found}")
                    lines += text.count("\n")
                decoder.decode(b"", final=True)
            if encoding == "cp1252":
                log.warning(
                    "%s is not valid UTF-8, so it is read as cp1252 (Windows); save it as UTF-8 to be sure",
                    source.path,
                )
            return encoding, lines
        except UnicodeDecodeError:
            continue
    raise UserError(f"{source.path}: must be encoded in UTF-8, UTF-16 (with BOM) or cp1252, found none of them")
