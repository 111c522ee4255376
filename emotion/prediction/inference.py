"""Predict a CSV: :func:`run_inference`."""

import logging
from csv import QUOTE_NONNUMERIC
from dataclasses import dataclass
from pathlib import Path

from emotion.checkpoint import load
from emotion.config import compose_config, resolve
from emotion.data import CsvFile, is_stream, open_csv
from emotion.errors import UserError
from emotion.evaluation import Evaluation, evaluate
from emotion.files import marked, require_unchanged, require_writable
from emotion.isolation import isolated
from emotion.labels import LabelSet
from emotion.models import NotFiniteError, batch_size_blamed, pick_device
from emotion.prediction.abstaining import ABSTAINED, evaluate_answered
from emotion.prediction.columns import COLUMNS, AddedColumns
from emotion.prediction.config import PredictConfig
from emotion.prediction.unfamiliar import UNFAMILIAR, USUAL_SHARE, is_unlike
from emotion.progress import progress_bar

log = logging.getLogger(__name__)

_COLUMNS_OF_0_1_0 = ("predicted_label", "predicted_emotion", "confidence", "empty_text")


@dataclass(frozen=True, slots=True)
class Prediction:
    """A predicted CSV."""

    labels: list[int]
    """Class index of each row, in order."""
    names: tuple[str, ...]
    """The classes' names, in the order of their indices."""
    output: Path
    empty_rows: int
    """Rows without text, which are predicted too."""
    truncated_rows: int
    """Rows whose text is longer than the model reads."""
    evaluation: Evaluation | None
    """Scores against the label column, if the CSV has one with a class in every row."""
    unfamiliar_rows: int | None = None
    """Rows unlike those that the model was fitted to; None if it cannot tell."""
    abstained_rows: int | None = None
    """Rows whose confidence is below ``min_confidence``; None if that was not given."""
    answered_evaluation: Evaluation | None = None
    """Scores of the other rows, if some abstained, some did not, and there is an ``evaluation``."""


def run_inference(weights: str, csv: str) -> list[int]:
    """Predict every row of a CSV and save ``<input_name>_predictions.csv`` in its folder.

    Args:
        weights: A ``.pt`` or ``.onnx`` checkpoint.
        csv: CSV with a ``text`` column; any other columns are kept in the output.

    Returns:
        The class index of each row, in [0, classes), in the order of the rows.

    Raises:
        UserError: The predictor or the CSV cannot be used, or the output would replace a file that is not ours.
    """
    config = compose_config("predict", [])
    config.weights, config.csv = weights, csv
    return predict_csv(resolve(config, PredictConfig)).labels


@isolated()
def predict_csv(config: PredictConfig) -> Prediction:
    """Predict ``config.csv`` chunk by chunk, in memory bounded by the chunk.

    The output has the input's columns, then :data:`COLUMNS`, ``probability_<name>`` of each class if asked,
    :data:`UNFAMILIAR` if the model can tell, and :data:`ABSTAINED` if asked. It is UTF-8 with commas, even if the
    input is not.

    Raises:
        UserError: As :func:`run_inference`.
    """
    if config.output is None and is_stream(config.csv):
        raise UserError(f"output: must be given where csv is a pipe, found none for {config.csv}")
    file = open_csv(config.csv, (config.text_column,), pipe=True)
    stem = file.path.name.removesuffix(".gz").removesuffix(".csv") if file.path.suffix == ".gz" else file.path.stem
    output = Path(config.output) if config.output else file.path.with_name(f"{stem}_predictions.csv")
    if output.exists() and output.samefile(file.path):
        raise UserError(f"output: must be another file than csv, found {output}")
    require_unchanged(output, "output", _is_earlier_prediction)
    columns = AddedColumns.of(config)
    _refuse_clash(file, COLUMNS if config.min_confidence is None else (*COLUMNS, ABSTAINED))
    model = load(config.weights, pick_device(config.accelerator), config.fast)
    added = columns.names(model)
    _refuse_clash(file, added)
    require_writable(output.parent, "output")  # makes the folder, so it comes last

    labels: list[int] = []
    truth: list[int | None] = []
    abstained: list[bool] = []
    unfamiliar: list[bool] = []
    empty_rows = truncated_rows = 0
    memory = batch_size_blamed("batch_size", config.batch_size)
    with marked(output, "output", _is_earlier_prediction) as temporary, progress_bar() as progress, memory:
        task = progress.add_task(f"{model.model_name} predicts", total=max(file.lines - 1, 1))
        for frame in file.chunks():
            texts = file.column(frame, config.text_column)
            try:
                found = model.predict_texts(texts, config.batch_size, lambda rows: progress.advance(task, rows))
            except NotFiniteError as error:
                raise error.in_csv(file.path, first_row=len(labels) + 2) from error
            labels += found.probabilities.argmax(dim=-1).tolist()
            truncated_rows += int(found.truncated.sum())
            if config.label_column in file.columns:
                truth += [model.labels.parse(cell) for cell in file.column(frame, config.label_column)]
            predicted = columns.add(frame, texts, found, model)
            empty_rows += int(predicted["empty_text"].sum())
            for marked_rows, name in ((unfamiliar, UNFAMILIAR), (abstained, ABSTAINED)):
                if name in added:
                    marked_rows += predicted[name].tolist()
            predicted.to_csv(
                temporary,
                mode="a",
                header=len(labels) == len(texts),
                index=False,
                lineterminator="\n",
                quoting=QUOTE_NONNUMERIC,  # a lone CR in a text would end its row; Python < 3.13 would not quote it
            )
        if not labels:
            raise UserError(f"{file.path}: must have at least one row, found only a header")
        progress.update(task, total=len(labels), completed=len(labels))
    if empty_rows:
        log.warning("%s: %d rows have no text; they are predicted, and marked in empty_text", file.path, empty_rows)
    if truncated_rows:
        log.warning(
            "%s: %d texts have more than %d tokens; only the first are read; they are marked in truncated_text",
            file.path,
            truncated_rows,
            model.max_length,
        )
    if is_unlike(unfamiliar):
        log.warning(
            "%s: %.0f %% of the rows are unlike the text that %s was fitted to (%.0f %% would be usual); expect more"
            " mistakes; they are marked in %s",
            *(file.path, 100 * sum(unfamiliar) / len(unfamiliar), model.model_name, 100 * USUAL_SHARE, UNFAMILIAR),
        )
    evaluation = _evaluate_where_labelled(file, truth, labels, model.labels)
    return Prediction(
        labels,
        model.labels.names,
        output,
        empty_rows,
        truncated_rows,
        evaluation,
        unfamiliar_rows=None if model.familiarity is None else sum(unfamiliar),
        abstained_rows=None if config.min_confidence is None else sum(abstained),
        answered_evaluation=evaluate_answered(truth, labels, abstained, model.labels) if evaluation else None,
    )


def _refuse_clash(file: CsvFile, added: tuple[str, ...]) -> None:
    if clash := next((name for name in added if name in file.columns), None):
        raise UserError(f"{file.path}: must not have a column {clash!r} yet, found it; predict the original CSV")


def _evaluate_where_labelled(
    file: CsvFile, truth: list[int | None], labels: list[int], label_set: LabelSet
) -> Evaluation | None:
    known = [label for label in truth if label is not None]
    if not truth:
        return None
    if len(known) < len(truth):
        row = truth.index(None) + 2
        log.warning("%s: row %d (the header is row 1) has no valid label, so no metrics", file.path, row)
        return None
    return evaluate(known, labels, label_set.names)


def _is_earlier_prediction(path: Path) -> bool:
    """Return whether version 0.1.0 may have written the file: its last columns are that version's, in order."""
    try:
        columns = open_csv(path).columns
    except UserError:
        return False
    end = len(columns)
    while end and columns[end - 1].startswith("probability_"):
        end -= 1
    return columns[max(end - len(_COLUMNS_OF_0_1_0), 0) : end] == _COLUMNS_OF_0_1_0
