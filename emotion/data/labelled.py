"""Labelled CSVs: texts and class indices."""

import csv
import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from emotion.config import SAMPLE
from emotion.data.csv_files import CsvFile, open_csv
from emotion.errors import UserError, listed
from emotion.labels import LabelSet, class_counts, find_labels

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Corpus:
    """One of several CSVs whose rows are held together."""

    name: str
    path: str
    sha256: str


@dataclass(frozen=True, slots=True)
class LabelledTexts:
    """The rows of a labelled CSV, or of several, in memory."""

    path: str
    """Of the CSV; of several, all paths, with commas."""
    sha256: str
    """Digest of the CSV; of several, of their digests."""
    texts: list[str]
    labels: list[int]
    """Class indices in [0, len(label_set))."""
    label_set: LabelSet
    rows: Sequence[int] | None = None
    """Rows of the CSV that are held, if some are left out; the header is row 1."""
    corpora: tuple[Corpus, ...] = ()
    """The CSVs that the rows come from, if they are several."""
    corpus_of: Sequence[int] = ()
    """Index in ``corpora`` of each row; empty for one CSV."""

    @classmethod
    def read(
        cls,
        path: str,
        text_column: str,
        label_column: str,
        label_set: LabelSet | None,
        key: str,
        renamed: Mapping[str, str] | None = None,
    ) -> "LabelledTexts":
        """Read and check a CSV or a pipe, as :func:`emotion.data.labelled.read_labelled` does.

        Args:
            path, text_column, label_column, label_set, key: As there.
            renamed: Names of classes by what the column calls them, if that is something else, in any case.
        """
        file = open_csv(path, (text_column, label_column), key, pipe=True)
        texts, labels, label_set = _labelled(file, text_column, label_column, label_set, renamed)
        empty = [row for row, text in enumerate(texts, start=2) if not text.strip()]
        if empty:
            log.warning(
                "%s: %d rows have no text, the first is row %d (the header is row 1)", path, len(empty), empty[0]
            )
        return cls(path, file.source.sha256(), texts, labels, label_set)

    @classmethod
    def joined(cls, parts: Mapping[str, "LabelledTexts"]) -> "LabelledTexts":
        """Hold the rows of several CSVs of the same classes together, in the order of ``parts``; one stays as it is."""
        if len(parts) == 1:
            return next(iter(parts.values()))
        each = list(parts.values())
        return cls(
            path=", ".join(part.path for part in each),
            sha256=hashlib.sha256("".join(part.sha256 for part in each).encode()).hexdigest(),
            texts=[text for part in each for text in part.texts],
            labels=[label for part in each for label in part.labels],
            label_set=each[0].label_set,
            rows=[row for part in each for row in part.csv_rows(range(len(part.texts)))],
            corpora=tuple(Corpus(name, part.path, part.sha256) for name, part in parts.items()),
            corpus_of=[place for place, part in enumerate(each) for _ in part.texts],
        )

    def parts(self) -> dict[str, "LabelledTexts"]:
        """Return the rows of each of several CSVs by its name; nothing for one CSV."""
        found = {}
        for place, corpus in enumerate(self.corpora):
            part = self.chosen([index for index, each in enumerate(self.corpus_of) if each == place])
            found[corpus.name] = replace(part, path=corpus.path, sha256=corpus.sha256, corpora=(), corpus_of=())
        return found

    def chosen(self, indices: Sequence[int]) -> "LabelledTexts":
        """Return the rows at ``indices``, in [0, rows), alone; the digest stays that of the whole CSV."""
        return replace(
            self,
            texts=[self.texts[index] for index in indices],
            labels=[self.labels[index] for index in indices],
            rows=self.csv_rows(indices),
            corpus_of=[self.corpus_of[index] for index in indices] if self.corpora else (),
        )

    def write(self, path: Path, text_column: str = "text", label_column: str = "label") -> str:
        """Write the rows as a CSV with class indices for labels, and return its path."""
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, quoting=csv.QUOTE_ALL)
            writer.writerow((text_column, label_column))
            writer.writerows(zip(self.texts, self.labels, strict=True))
        return str(path)

    def csv_rows(self, indices: Iterable[int]) -> list[int]:
        """Return the rows of the CSV that are at ``indices``; the header is row 1."""
        rows = self.rows
        return [index + 2 for index in indices] if rows is None else [rows[index] for index in indices]

    def places(self, indices: Sequence[int]) -> str:
        """Say in words in which rows of which CSVs ``indices`` are, for messages."""
        if not indices:
            return f"no row of {self.path}"
        by_path: dict[str, list[int]] = {}
        for index, row in zip(indices, self.csv_rows(indices), strict=True):
            path = self.corpora[self.corpus_of[index]].path if self.corpora else self.path
            by_path.setdefault(path, []).append(row)
        each = (f"{listed('row', rows)} of {path}" for path, rows in by_path.items())
        return f"{' and '.join(each)} (the header is row 1)"

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
    file: CsvFile,
    text_column: str,
    label_column: str,
    labels: LabelSet | None,
    renamed: Mapping[str, str] | None = None,
) -> tuple[list[str], list[int], LabelSet]:
    texts: list[str] = []
    cells: list[str] = []
    for frame in file.chunks():
        texts += file.column(frame, text_column)
        cells += file.column(frame, label_column)
    if not texts:
        raise UserError(f"{file.path}: must have at least one row, found only a header")
    if renamed:
        if labels is not None and (unknown := [new for new in renamed.values() if labels.parse(new) is None]):
            raise UserError(f"data.map: must lead to {labels.rule}, found {_brief(unknown[0])}")
        names = {old.strip().casefold(): new for old, new in renamed.items()}
        cells = [names.get(cell.strip().casefold(), cell) for cell in cells]
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
