"""Read and write tables of each format, in chunks, so that memory is bounded by a chunk."""

import gzip
import json
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from csv import QUOTE_NONNUMERIC
from importlib import import_module
from pathlib import Path
from typing import IO, Any, Protocol, Self

import pandas as pd

from emotion.data import open_csv
from emotion.errors import UserError, first_line
from emotion.partitions.files import format_of

CHUNK_ROWS = 65_536


class Table(Protocol):
    """A file of rows."""

    @property
    def columns(self) -> Sequence[str]:
        """Names of its columns."""

    def chunks(self) -> Iterator[pd.DataFrame]:
        """Yield its rows in order, indexed from 0 through the file."""

    def column(self, frame: pd.DataFrame, name: str) -> list[str]:
        """Return the texts of a column; what is missing is an empty text."""


def open_table(path: Path, text_column: str) -> Table:
    """Open a file of a known format.

    Raises:
        UserError: It cannot be read, or has no such column.
    """
    match format_of(path.name):
        case "csv":
            return open_csv(path, (text_column,))
        case "parquet":
            return _Parquet(path, text_column)
        case _:
            return _JsonLines(path, text_column)


def _require_column(path: Path, columns: Sequence[str], name: str) -> None:
    if name not in columns:
        raise UserError(f"{path}: must have a column {name!r}, found {', '.join(map(repr, columns)) or 'none'}")


def _texts(path: Path, frame: pd.DataFrame, name: str) -> list[str]:
    values = ["" if value is None else value for value in frame[name].tolist()]
    wrong = next((place for place, value in enumerate(values) if not isinstance(value, str)), None)
    if wrong is not None:
        raise UserError(f"{path}: {name} must be text, found {values[wrong]!r} in row {frame.index[wrong] + 1}")
    return values


class _Parquet:
    def __init__(self, path: Path, text_column: str) -> None:
        self.path = path
        parquet = _pyarrow("pyarrow.parquet")
        try:
            self._file = parquet.ParquetFile(path)
        except Exception as error:  # pyarrow's own kinds, and the system's
            raise UserError(f"{path}: must be a Parquet file, found {first_line(error)}") from error
        self.columns = tuple(self._file.schema_arrow.names)
        _require_column(path, self.columns, text_column)

    def chunks(self) -> Iterator[pd.DataFrame]:
        start = 0
        try:
            for batch in self._file.iter_batches(batch_size=CHUNK_ROWS):
                # Python's own objects, as numbers with gaps would become floats.
                rows = {name: pd.Series(batch.column(name).to_pylist(), dtype=object) for name in self.columns}
                frame = pd.DataFrame(rows)
                frame.index += start
                start += len(frame)
                yield frame
        except (OSError, ValueError) as error:
            raise UserError(f"{self.path}: must be a whole Parquet file, found {first_line(error)}") from error

    def column(self, frame: pd.DataFrame, name: str) -> list[str]:
        return _texts(self.path, frame, name)


class _JsonLines:
    def __init__(self, path: Path, text_column: str) -> None:
        self.path = path
        first = next(self._rows(), None)
        self.columns = tuple(first or ())
        _require_column(path, self.columns, text_column)

    def _rows(self) -> Iterator[dict[str, Any]]:
        opened = gzip.open if self.path.suffix == ".gz" else open
        try:
            with opened(self.path, "rt", encoding="utf-8-sig") as file:  # type: ignore[operator]
                for number, line in enumerate(file, start=1):
                    if line.strip():
                        yield self._row(line, number)
        except (OSError, EOFError, UnicodeDecodeError) as error:
            raise UserError(f"{self.path}: must be lines of JSON in UTF-8, found {first_line(error)}") from error

    def _row(self, line: str, number: int) -> dict[str, Any]:
        try:
            row = json.loads(line)
        except ValueError as error:
            raise UserError(
                f"{self.path}: must be lines of JSON, found {first_line(error)} in line {number}"
            ) from error
        if not isinstance(row, dict):
            raise UserError(f"{self.path}: must be lines of JSON objects, found another in line {number}")
        return row

    def chunks(self) -> Iterator[pd.DataFrame]:
        rows: list[dict[str, Any]] = []
        start = 0
        for number, row in enumerate(self._rows(), start=1):
            if surplus := [name for name in row if name not in self.columns]:
                found = f"{surplus[0]!r} in row {number}"
                raise UserError(f"{self.path}: must have the keys of its first line in all, found {found}")
            rows.append(row)
            if len(rows) == CHUNK_ROWS:
                yield self._frame(rows, start)
                start += len(rows)
                rows = []
        if rows:
            yield self._frame(rows, start)

    def _frame(self, rows: list[dict[str, Any]], start: int) -> pd.DataFrame:
        columns = {name: pd.Series([row.get(name) for row in rows], dtype=object) for name in self.columns}
        frame = pd.DataFrame(columns)
        frame.index += start
        return frame

    def column(self, frame: pd.DataFrame, name: str) -> list[str]:
        return _texts(self.path, frame, name)


class TableWriter(AbstractContextManager["TableWriter"]):
    """Writes frames of the same columns, one after the other; the same frames give the same bytes."""

    def __enter__(self) -> Self:
        return self

    @abstractmethod
    def write(self, frame: pd.DataFrame) -> None:
        """Append rows."""


def new_table(path: Path, written: Path) -> TableWriter:
    """Begin a table in the format that ``path`` names, in the file ``written``."""
    match format_of(path.name):
        case "csv":
            return _CsvWriter(written, path.suffix == ".gz")
        case "parquet":
            return _ParquetWriter(written)
        case _:
            return _JsonLinesWriter(written, path.suffix == ".gz")


class _TextWriter(TableWriter):
    """Writes text, perhaps compressed, without the time of writing."""

    def __init__(self, path: Path, compressed: bool) -> None:
        with ExitStack() as files:
            raw = files.enter_context(path.open("wb"))
            self.file: IO[bytes] | gzip.GzipFile = raw
            if compressed:
                self.file = gzip.GzipFile("", "wb", fileobj=raw, mtime=0)
                files.callback(self.file.close)
            self._files = files.pop_all()

    def __exit__(self, *_: object) -> None:
        self._files.close()


class _CsvWriter(_TextWriter):
    def __init__(self, path: Path, compressed: bool) -> None:
        super().__init__(path, compressed)
        self._header = True

    def write(self, frame: pd.DataFrame) -> None:
        text = frame.to_csv(header=self._header, index=False, lineterminator="\n", quoting=QUOTE_NONNUMERIC)
        self.file.write(text.encode())
        self._header = False


class _JsonLinesWriter(_TextWriter):
    def write(self, frame: pd.DataFrame) -> None:
        names = frame.columns.tolist()
        columns = [frame[name].tolist() for name in names]  # of Python's own kinds
        for cells in zip(*columns, strict=True):
            row = json.dumps(dict(zip(names, cells, strict=True)), ensure_ascii=False)
            self.file.write(f"{row}\n".encode())


class _ParquetWriter(TableWriter):
    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: Any = None
        self._arrow, self._parquet = _pyarrow("pyarrow"), _pyarrow("pyarrow.parquet")

    def write(self, frame: pd.DataFrame) -> None:
        columns = {name: frame[name].tolist() for name in frame.columns}
        try:
            if self._writer is None:
                table = self._arrow.table(columns)
                self._writer = self._parquet.ParquetWriter(self._path, table.schema)
            else:
                table = self._arrow.table(columns, schema=self._writer.schema)
        except (self._arrow.ArrowInvalid, self._arrow.ArrowTypeError) as error:
            found = first_line(error)
            raise UserError(f"format: must be csv or jsonl for columns of several kinds, found {found}") from error
        self._writer.write_table(table)

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()


def _pyarrow(name: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise UserError(f'a .parquet file needs pyarrow, found no {error.name}: pip install -e ".[parquet]"') from error
