"""CSVs as people really have them: any common encoding and separator, read in bounded chunks."""

import codecs
import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from emotion.errors import UserError
from emotion.labels import EMOTIONS, parse_label

SEPARATORS = (",", ";", "\t")
CHUNK_ROWS = 65_536
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class CsvFile:
    """A CSV whose form is known; its cells are strings, never guessed into numbers or missing values."""

    path: Path
    encoding: str
    separator: str
    columns: tuple[str, ...]
    lines: int
    """Line breaks in the file: at least the number of rows, more where texts hold line breaks."""

    def chunks(self, rows: int = CHUNK_ROWS) -> Iterator[pd.DataFrame]:
        """Frames of up to ``rows`` rows under this file's column names, indexed from 0 through the file.

        Raises:
            UserError: A row has more cells than the header, or a quote is never closed.
        """
        try:
            with pd.read_csv(
                self.path,
                sep=self.separator,
                encoding=self.encoding,
                dtype=str,
                na_filter=False,
                index_col=False,
                # In a file of one column an empty line is an empty text, not a gap between rows.
                skip_blank_lines=len(self.columns) > 1,
                chunksize=rows,
            ) as reader:
                for frame in reader:
                    frame.columns = pd.Index(self.columns)  # undo pandas' renaming of repeated headers
                    yield frame.fillna("")  # cells that a short row lacks
        except pd.errors.ParserError as error:
            reason = str(error).strip().removeprefix("Error tokenizing data. C error: ")
            raise UserError(
                f"{self.path}: every row must have the header's {len(self.columns)} columns, found: {reason};"
                " put texts that hold separators or quotes between quotes"
            ) from error

    def column(self, frame: pd.DataFrame, name: str) -> list[str]:
        """The cells of the column ``name``."""
        cells: list[str] = frame.iloc[:, self.columns.index(name)].tolist()
        return cells


def open_csv(path: str | Path, required: Sequence[str] = (), key: str = "csv") -> CsvFile:
    """Find out a CSV's encoding, separator and columns.

    Encodings: UTF-8 with or without BOM, UTF-16 with BOM, else cp1252. Separators: comma, semicolon, tab; the one that
    yields the ``required`` columns, else the most columns.

    Raises:
        UserError: No such file, not text, empty, or a required column is missing or stands there twice.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{key}: must be a CSV file, found {'a folder' if path.is_dir() else 'no file'} at {path}")
    try:
        encoding, lines = _detect_encoding(path)
        header_by_separator = {separator: _header(path, encoding, separator) for separator in SEPARATORS}
    except OSError as error:
        raise UserError(f"{key}: must be readable, found {path} ({error.strerror})") from error
    except csv.Error as error:
        raise UserError(f"{path}: must be a text CSV, found an unreadable header ({error})") from error

    def fit(separator: str) -> tuple[int, int]:
        header = header_by_separator[separator]
        return sum(name in header for name in required), len(header)

    separator = max(SEPARATORS, key=fit)
    columns = header_by_separator[separator]
    if not any(columns):
        raise UserError(f"{path}: must have a header and rows, found an empty file")
    for name in required:
        if columns.count(name) != 1:
            found = "it twice" if name in columns else ", ".join(columns)[:200]
            raise UserError(f"{path}: must have one column {name!r}, found {found}")
    return CsvFile(path, encoding, separator, columns, lines)


def read_labelled(
    path: str | Path, text_column: str, label_column: str, key: str
) -> tuple[list[str], list[int]]:
    """Texts and class indices of a labelled CSV, in file order.

    Raises:
        UserError: As :func:`open_csv`; no rows; or a cell of the label column names no class.
    """
    file = open_csv(path, (text_column, label_column), key)
    texts: list[str] = []
    labels: list[int] = []
    for frame in file.chunks():
        texts += file.column(frame, text_column)
        for row, cell in enumerate(file.column(frame, label_column), start=len(labels) + 2):
            label = parse_label(cell)
            if label is None:
                raise UserError(
                    f"{path}: column {label_column!r} must hold 0-{len(EMOTIONS) - 1} or one of {', '.join(EMOTIONS)},"
                    f" found {cell!r} in row {row} (the header is row 1)"
                )
            labels.append(label)
    if not texts:
        raise UserError(f"{path}: must have at least one row, found only a header")
    return texts, labels


def _header(path: Path, encoding: str, separator: str) -> tuple[str, ...]:
    with path.open(encoding=encoding, newline="") as file:
        first = next(csv.reader(file, delimiter=separator), [])
    return tuple(name.strip() for name in first)


def _detect_encoding(path: Path) -> tuple[str, int]:
    """The encoding that decodes the whole file, and its number of line breaks; reads in constant memory."""
    with path.open("rb") as file:
        start = file.read(4)
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        candidates = ["utf-16"]
    else:
        candidates = ["utf-8-sig", "cp1252"]
    for encoding in candidates:
        decoder = codecs.getincrementaldecoder(encoding)()
        lines = 0
        try:
            with path.open("rb") as file:
                while block := file.read(_BLOCK):
                    text = decoder.decode(block)
                    if "\0" in text:
                        raise UserError(f"{path}: must be a text CSV, found binary content")
                    lines += text.count("\n")
                decoder.decode(b"", final=True)
            return encoding, lines
        except UnicodeDecodeError:
            continue
    raise UserError(f"{path}: must be encoded in UTF-8, UTF-16 (with BOM) or cp1252, found none of them")
