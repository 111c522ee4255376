"""Explain the labels of some texts: :func:`explain`."""

from collections.abc import Callable
from dataclasses import dataclass

from emotion.checkpoint import load
from emotion.data import open_csv
from emotion.errors import UserError, listed
from emotion.evaluation import Attribution, integrated_gradients, occlusion
from emotion.isolation import isolated
from emotion.models import NotFiniteError, Predictor, batch_size_blamed, pick_device
from emotion.prediction.config import ExplainConfig
from emotion.prediction.explained_rows import ChosenRow, first_lines, first_rows, worst_rows
from emotion.progress import progress_bar

_METHODS: dict[str, Callable[..., list[Attribution]]] = {
    "occlusion": occlusion,
    "integrated_gradients": integrated_gradients,
}


@dataclass(frozen=True, slots=True)
class ExplainedText:
    """An attribution, and where its text is from."""

    row: int
    """Row in the CSV, whose header is row 1; or line of standard input, from 1."""
    true_label: int | None
    """Class index; None where there is no valid label."""
    attribution: Attribution


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a model gives some texts their labels."""

    model_name: str
    names: tuple[str, ...]
    """The classes' names, in the order of their indices."""
    method: str
    texts: list[ExplainedText]
    """At least one."""


@isolated()
def explain(config: ExplainConfig) -> Explanation:
    """Explain the predicted labels of the first rows of a CSV or standard input, or of a CSV's worst mistakes.

    Raises:
        UserError: The predictor or the texts cannot be used; the method does not suit the predictor; or the worst
            mistakes are asked for where there are no labels, or no mistakes.
    """
    model, rows = _model_and_rows(config)
    with batch_size_blamed("batch_size", config.batch_size), progress_bar(transient=True) as progress:
        task = progress.add_task(f"{model.model_name} is explained", total=len(rows))
        try:
            attributions = _METHODS[config.method](
                model,
                [row.text for row in rows],
                batch_size=config.batch_size,
                advance=lambda done: progress.advance(task, done),
            )
        except NotFiniteError as error:
            numbers = [rows[place].number for place in error.places]
            raise UserError(f"weights: must give finite logits, found others for {listed('row', numbers)}") from error
    explained = [ExplainedText(row.number, row.true_label, each) for row, each in zip(rows, attributions, strict=True)]
    return Explanation(model.model_name, model.labels.names, config.method, explained)


def _model_and_rows(config: ExplainConfig) -> tuple[Predictor, list[ChosenRow]]:
    """Open the texts, so that their faults are found first; then load the model, and choose the texts."""
    if config.csv is None:
        if config.rows == "worst":
            raise UserError("rows: worst needs a csv with labels, found standard input")
        lines = first_lines(config.rows)
        return _load(config), lines
    columns = [config.text_column, config.label_column] if config.rows == "worst" else [config.text_column]
    file = open_csv(config.csv, columns, pipe=True)
    model = _load(config)
    if config.rows == "worst":
        with batch_size_blamed("batch_size", config.batch_size):
            return model, worst_rows(file, config.text_column, config.label_column, model, config.batch_size)
    return model, first_rows(file, config.text_column, config.label_column, model.labels, config.rows)


def _load(config: ExplainConfig) -> Predictor:
    return load(config.weights, pick_device(config.accelerator), config.fast)
