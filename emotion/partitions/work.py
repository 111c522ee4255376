"""Predict one file."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import pandas as pd

from emotion.checkpoint import load
from emotion.errors import UserError
from emotion.files import sha256
from emotion.models import NotFiniteError, Predictor, pick_device
from emotion.partitions.files import Part
from emotion.partitions.manifest import Entry, append
from emotion.partitions.storage import folder_of, name_of, storage_of
from emotion.partitions.tables import TableWriter, new_table, open_table
from emotion.prediction import AddedColumns, PredictConfig
from emotion.prediction.unfamiliar import UNFAMILIAR


class Task(NamedTuple):
    """A file to predict."""

    part: Part
    identity: str
    """Digest of all that its predictions depend on."""


@dataclass(frozen=True, slots=True)
class Work:
    """How each file is predicted, in whatever process."""

    config: PredictConfig
    columns: AddedColumns

    def load(self) -> Predictor:
        """Load the model. Raises :class:`UserError` if it cannot be used."""
        return load(self.config.weights, pick_device(self.config.accelerator), self.config.fast)

    def outcome(self, task: Task, model: Predictor) -> Entry | str:
        """Predict a file; return its entry, or why it could not be predicted."""
        try:
            return predict_part(*task, model, self.columns, self.config.text_column, self.config.batch_size)
        except (UserError, OSError) as error:
            return str(error)


def predict_part(
    part: Part, identity: str, model: Predictor, columns: AddedColumns, text_column: str, batch_size: int
) -> Entry:
    """Predict a file chunk by chunk; batches depend on the file and its rows alone.

    Raises:
        UserError: The file cannot be read, has no rows, or has a column of a name that is added.
    """
    started = perf_counter()
    source, target = storage_of(part.source), storage_of(part.target)
    with source.local(part.source) as read, target.written(part.target) as written:
        table = open_table(read, text_column)
        added = columns.names(model)
        if clash := next((name for name in added if name in table.columns), None):
            raise UserError(f"{part.source}: must not have a column {clash!r} yet, found it; predict the original file")
        with new_table(Path(name_of(part.target)), written) as writer:
            frames = ((frame, table.column(frame, text_column)) for frame in table.chunks())
            counts = _predict(part.source, frames, writer, model, columns, batch_size)
        if not counts.rows:
            raise UserError(f"{part.source}: must have at least one row, found none")
        entry = Entry(
            source=part.name,
            target=name_of(part.target),
            identity=identity,
            sha256=sha256(written),
            bytes=written.stat().st_size,
            **counts._asdict(),
            seconds=perf_counter() - started,
        )
        append(folder_of(part.target), entry)
    return entry


class _Counts(NamedTuple):
    rows: int
    empty_rows: int
    truncated_rows: int
    unfamiliar_rows: int | None


def _predict(
    source: str,
    frames: Iterable[tuple[pd.DataFrame, list[str]]],
    writer: TableWriter,
    model: Predictor,
    columns: AddedColumns,
    batch_size: int,
) -> _Counts:
    """Write each frame, given with its texts, with the columns of its predictions; count the rows."""
    rows = empty_rows = truncated_rows = unfamiliar_rows = 0
    knows_unfamiliar = UNFAMILIAR in columns.names(model)
    for frame, texts in frames:
        try:
            found = model.predict_texts(texts, batch_size)
        except NotFiniteError as error:
            raise error.in_csv(source, first_row=rows + 1) from error
        predicted = columns.add(frame, texts, found, model)
        writer.write(predicted)
        rows += len(texts)
        empty_rows += int(predicted["empty_text"].sum())
        truncated_rows += int(found.truncated.sum())
        unfamiliar_rows += int(predicted[UNFAMILIAR].sum()) if knows_unfamiliar else 0
    return _Counts(rows, empty_rows, truncated_rows, unfamiliar_rows if knows_unfamiliar else None)
