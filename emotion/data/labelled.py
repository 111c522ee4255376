"""Labelled CSVs: texts and class indices."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from emotion.config import SAMPLE
from emotion.data.csv_files import CsvFile, open_csv
from emotion.errors import UserError
from emotion.labels import LabelSet, class_counts, find_labels

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LabelledTexts:
    """A labelled CSV in memory."""

    path: str
    sha256: str
    texts: list[str]
    labels: list[int]
    """Class indices in [0, len(label_set))."""
    label_set: LabelSet
    rows: Sequence[int] | None = None
    """Rows of the CSV that are held, if some are left out; the header is row 1."""

    @classmethod
    def read(
        cls, path: str, text_column: str, label_column: str, label_set: LabelSet | None, key: str
    ) -> "LabelledTexts":
        """Read and check a CSV or a pipe, as :func:`emotion.data.labelled.read_labelled` does."""
        file = open_csv(path, (text_column, label_column), key, pipe=True)
        texts, labels, label_set = _labelled(file, text_column, label_column, label_set)
        empty = [row for row, text in enumerate(texts, start=2) if not text.strip()]
        if empty:
            log.warning(
                "%s: %d rows have no text, the first is row %d (the header is row 1)", path, len(empty), empty[0]
            )
        return cls(path, file.source.sha256(), texts, labels, label_set)

    def chosen(self, indices: Sequence[int]) -> "LabelledTexts":
        """Return the rows at ``indices``, in [0, rows), alone; the digest stays that of the whole CSV."""
        texts, labels = [self.texts[index] for index in indices], [self.labels[index] for index in indices]
        return replace(self, texts=texts, labels=labels, rows=self.csv_rows(indices))

    def csv_rows(self, indices: Iterable[int]) -> list[int]:
        """Return the rows of the CSV that are at ``indices``; the header is row 1."""
        rows = self.rows
        return [index + 2 for index in indices] if rows is None else [rows[index] for index in indices]

    def label_names(self, indices: Iterable[int]) -> list[str]:
        """Return the names of the classes at ``indices``."""
        return [self.label_set.names[self.labels[index]] for index in indices]

    def counts(self) -> list[int]:
        """Count the rows of each class, in the order of the classes."""
        return list(self.label_counts().values())

    def label_counts(self) -> dict[str, int]:
        """Count the rows of each class, by its name."""
        return class_counts(self.labels, self.label_set.names)


def read_labelled(
    path: str | Path, text_column: str, label_column: str, labels: LabelSet | None, key: str
) -> tuple[list[str], list[int], LabelSet]:
    """Read texts and class indices of a labelled CSV, in file order.

    Args:
        path: The CSV.
        text_column: Name of the column of texts.
        label_column: Name of the column of labels.
        labels: The classes; None = those that the column holds (:func:`emotion.labels.find_labels`).
        key: The config key of ``path``, for errors.

    Returns:
        The texts, a class index for each, and the classes.

    Raises:
        UserError: As :func:`open_csv`; no rows; or a cell of the label column names no class, or several.
    """
    return _labelled(open_csv(path, (text_column, label_column), key), text_column, label_column, labels)


def _labelled(
    file: CsvFile, text_column: str, label_column: str, labels: LabelSet | None
) -> tuple[list[str], list[int], LabelSet]:
    texts: list[str] = []
    cells: list[str] = []
    for frame in file.chunks():
        texts += file.column(frame, text_column)
        cells += file.column(frame, label_column)
    if not texts:
        raise UserError(f"{file.path}: must have at least one row, found only a header")
    if labels is None:
        try:
            labels = find_labels(cells)
        except UserError as error:
            raise UserError(f"{file.path}: column {label_column!r}: {error}") from error
    indices = []
    for row, cell in enumerate(cells, start=2):
        index = labels.parse(cell)
        if index is None:
            rule = f"must hold one label, {labels.rule}" if labels.holds_several(cell) else f"must hold {labels.rule}"
            raise UserError(
                f"{file.path}: column {label_column!r} {rule}, found {_brief(cell)} in row {row} (the header is row 1)"
            )
        indices.append(index)
    return texts, indices, labels


def sample_texts() -> list[str]:
    """Read the training texts of the sample corpus."""
    texts, _, _ = read_labelled(SAMPLE / "train.csv", "text", "label", None, "data.train")
    return texts


def _brief(cell: str) -> str:
    return repr(cell if len(cell) <= 60 else f"{cell[:60]}...")
