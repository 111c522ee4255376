"""Choose the texts that are explained: the first of a CSV or of standard input, or a CSV's worst mistakes."""

import logging
import sys
from dataclasses import dataclass
from heapq import nlargest

from emotion.data import CsvFile
from emotion.errors import UserError
from emotion.labels import LabelSet
from emotion.models import NotFiniteError, Predictor
from emotion.progress import progress_bar

log = logging.getLogger(__name__)

WORST = 10
"""Mistakes that ``rows=worst`` explains."""


@dataclass(frozen=True, slots=True)
class ChosenRow:
    """A text that is explained."""

    number: int
    """Its row in the CSV, whose header is row 1; or its line of standard input, from 1."""
    text: str
    true_label: int | None = None
    """Class index; None where there is no valid label."""


def first_lines(rows: int) -> list[ChosenRow]:
    """Read the first lines of standard input that hold a text.

    Raises:
        UserError: It is not UTF-8, or holds no text.
    """
    if sys.stdin.isatty():
        log.info("type a text in each line; end with Ctrl-D")
    try:
        lines = sys.stdin.buffer.read().decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise UserError("standard input: must be text in UTF-8, found something else") from error
    chosen = [ChosenRow(number, line.strip()) for number, line in enumerate(lines, start=1) if line.strip()]
    if not chosen:
        raise UserError("standard input: must hold a text in a line, found none; or give csv=FILE")
    _say_if_more(len(chosen), rows)
    return chosen[:rows]


def first_rows(file: CsvFile, text_column: str, label_column: str, labels: LabelSet, rows: int) -> list[ChosenRow]:
    """Read the first rows of a CSV. Raises :class:`UserError` if it has none."""
    frame = next(file.chunks(rows + 1), None)
    if frame is None:
        raise UserError(f"{file.path}: must have at least one row, found only a header")
    texts = file.column(frame, text_column)
    truth: list[int | None] = [None] * len(texts)
    if label_column in file.columns:
        truth = [labels.parse(cell) for cell in file.column(frame, label_column)]
    _say_if_more(len(texts), rows)
    cells = zip(texts[:rows], truth, strict=False)
    return [ChosenRow(number, text, label) for number, (text, label) in enumerate(cells, start=2)]


def worst_rows(
    file: CsvFile, text_column: str, label_column: str, predictor: Predictor, batch_size: int
) -> list[ChosenRow]:
    """Predict a labelled CSV and choose up to :data:`WORST` mistakes, those with the highest confidence first.

    Rows without a valid label are left out.

    Raises:
        UserError: The model makes no mistake, or gives no finite logits.
    """
    worst: list[tuple[float, int, ChosenRow]] = []
    row = 2
    with progress_bar(transient=True) as progress:
        task = progress.add_task(f"{predictor.model_name} predicts", total=max(file.lines - 1, 1))
        for frame in file.chunks():
            texts = file.column(frame, text_column)
            truth = [predictor.labels.parse(cell) for cell in file.column(frame, label_column)]
            try:
                found = predictor.predict_proba(texts, batch_size, lambda done: progress.advance(task, done))
            except NotFiniteError as error:
                raise error.in_csv(file.path, row) from error
            confidence, predicted = (each.tolist() for each in found.max(dim=-1))
            mistakes = [
                (confidence[place], -row - place, ChosenRow(row + place, texts[place], label))
                for place, label in enumerate(truth)
                if label is not None and label != predicted[place]
            ]
            worst = nlargest(WORST, worst + mistakes)
            row += len(texts)
    if not worst:
        raise UserError(f"rows: worst needs a labelled row that is predicted wrongly, found none in {file.path}")
    return [chosen for _, _, chosen in worst]


def _say_if_more(found: int, rows: int) -> None:
    if found > rows:
        log.info("the first %d texts are explained; rows=N explains more", rows)
