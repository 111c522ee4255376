"""Store row-level predictions, from which later questions are answered without the model.

A CSV with the columns ``row`` (in the labelled CSV, whose header is row 1), ``label``, ``predicted_label`` and
``probability_<name>`` of each class. It holds no texts.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from emotion.data import VALIDATION as VALIDATION  # its name among those of the evaluation sets
from emotion.errors import UserError
from emotion.files import sha256
from emotion.reporting.schema import RowsFile

_COLUMNS = ["row", "label", "predicted_label"]
_PREFIX = "probability_"


@dataclass(frozen=True, slots=True)
class Rows:
    """Predictions of the rows of a labelled CSV."""

    labels: np.ndarray
    """(rows,), int64: true class indices."""
    probabilities: np.ndarray
    """(rows, classes), float: rows sum to 1 up to rounding."""
    names: tuple[str, ...]
    """The classes' names, in order."""


def write_rows(rows: Rows, path: Path) -> None:
    """Write predictions row by row; ``path`` is a temporary file, as of :func:`emotion.files.atomic`."""
    numbers = range(2, len(rows.labels) + 2)
    first = {"row": numbers, "label": rows.labels, "predicted_label": rows.probabilities.argmax(axis=1)}
    columns = [f"{_PREFIX}{name}" for name in rows.names]
    frame = pd.concat([pd.DataFrame(first), pd.DataFrame(rows.probabilities, columns=columns)], axis=1)
    frame.to_csv(path, index=False, lineterminator="\n", float_format="%.9g")


def read_rows(path: Path) -> Rows:
    """Read predictions that :func:`write_rows` wrote.

    Raises:
        UserError: The file is missing or is something else.
    """
    if not is_rows(path):
        raise UserError(f"{path}: must be row-level predictions of this program, found something else")
    frame = pd.read_csv(path, keep_default_na=False)
    columns = frame.columns[len(_COLUMNS) :]
    names = tuple(column.removeprefix(_PREFIX) for column in columns)
    return Rows(frame["label"].to_numpy(), frame[columns].to_numpy(dtype=np.float64), names)


def intact_rows(file: RowsFile | None, folder: Path) -> Rows | None:
    """Read the predictions that a report in ``folder`` names; return None if they are gone or have changed."""
    if file is None or not (folder / file.file).is_file() or sha256(folder / file.file) != file.sha256:
        return None
    return read_rows(folder / file.file)


def is_rows(path: Path) -> bool:
    """Return whether :func:`write_rows` may have written the file, by its header."""
    try:
        header = pd.read_csv(path, nrows=0).columns.tolist()
    except (OSError, ValueError):
        return False
    classes = header[len(_COLUMNS) :]
    return header[: len(_COLUMNS)] == _COLUMNS and bool(classes) and all(name.startswith(_PREFIX) for name in classes)
