"""Predict one file."""

from dataclasses import dataclass
from time import perf_counter
from typing import NamedTuple

from emotion.checkpoint import load
from emotion.errors import UserError
from emotion.files import atomic, sha256
from emotion.models import NotFiniteError, Predictor, pick_device
from emotion.partitions.files import Part
from emotion.partitions.manifest import Entry, append
from emotion.partitions.tables import new_table, open_table
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
    table = open_table(part.source, text_column)
    added = columns.names(model)
    if clash := next((name for name in added if name in table.columns), None):
        raise UserError(f"{part.source}: must not have a column {clash!r} yet, found it; predict the original file")
    rows = empty_rows = truncated_rows = unfamiliar_rows = 0
    with atomic(part.target) as temporary:
        with new_table(part.target, temporary) as writer:
            for frame in table.chunks():
                texts = table.column(frame, text_column)
                try:
                    found = model.predict_texts(texts, batch_size)
                except NotFiniteError as error:
                    raise error.in_csv(part.source, first_row=rows + 1) from error
                predicted = columns.add(frame, texts, found, model)
                writer.write(predicted)
                rows += len(texts)
                empty_rows += int(predicted["empty_text"].sum())
                truncated_rows += int(found.truncated.sum())
                unfamiliar_rows += int(predicted[UNFAMILIAR].sum()) if UNFAMILIAR in added else 0
        if not rows:
            raise UserError(f"{part.source}: must have at least one row, found none")
        entry = Entry(
            source=part.source.name,
            target=part.target.name,
            identity=identity,
            sha256=sha256(temporary),
            rows=rows,
            empty_rows=empty_rows,
            truncated_rows=truncated_rows,
            unfamiliar_rows=unfamiliar_rows if UNFAMILIAR in added else None,
            seconds=perf_counter() - started,
        )
        append(part.target.parent, entry)
    return entry
