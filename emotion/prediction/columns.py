"""The columns that a prediction adds to a table."""

from dataclasses import dataclass
from typing import Self

import pandas as pd

from emotion.labels import LabelSet
from emotion.models import Predictions, Predictor
from emotion.prediction.abstaining import ABSTAINED, is_below
from emotion.prediction.config import PredictConfig
from emotion.prediction.unfamiliar import UNFAMILIAR

COLUMNS = ("predicted_label", "predicted_emotion", "confidence", "empty_text", "truncated_text")
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""Source: owasp.org/www-community/attacks/CSV_Injection."""


@dataclass(frozen=True, slots=True)
class AddedColumns:
    """Which columns are added, and how cells are written."""

    probabilities: bool
    """``probability_<name>`` of each class."""
    min_confidence: float | None
    """Below it, a row is marked in :data:`ABSTAINED`; None = no such column."""
    escape_formulas: bool
    """Put an apostrophe before cells of the input that a spreadsheet would run as a formula."""

    @classmethod
    def of(cls, config: PredictConfig) -> Self:
        """Return what a prediction's settings ask for."""
        return cls(config.probabilities, config.min_confidence, config.escape_formulas)

    def names(self, model: Predictor) -> tuple[str, ...]:
        """Name the columns that predictions of ``model`` add, in order."""
        return (
            *COLUMNS,
            *(probability_columns(model.labels) if self.probabilities else ()),
            *((UNFAMILIAR,) if model.familiarity is not None else ()),
            *((ABSTAINED,) if self.min_confidence is not None else ()),
        )

    def add(self, frame: pd.DataFrame, texts: list[str], found: Predictions, model: Predictor) -> pd.DataFrame:
        """Return the rows of ``frame`` with the predictions of their texts."""
        confidence, labels = found.probabilities.max(dim=-1)
        added = {
            "predicted_label": labels.tolist(),
            "predicted_emotion": [model.labels.names[label] for label in labels.tolist()],
            "confidence": confidence.numpy().round(6),
            "empty_text": [not text.strip() for text in texts],
            "truncated_text": found.truncated,
        }
        if self.probabilities:
            rounded = found.probabilities.numpy().round(6).T
            added |= dict(zip(probability_columns(model.labels), rounded, strict=True))
        if (strange := model.is_unfamiliar(found)) is not None:
            added[UNFAMILIAR] = strange
        if self.min_confidence is not None:
            added[ABSTAINED] = is_below(found.probabilities, self.min_confidence)
        table = pd.concat([frame, pd.DataFrame(added, index=frame.index)], axis=1)
        return table.map(_escaped) if self.escape_formulas else table


def probability_columns(labels: LabelSet) -> tuple[str, ...]:
    """Name the column of each class's probability."""
    return tuple(f"probability_{name}" for name in labels.names)


def _escaped(cell: object) -> object:
    """Prevent spreadsheets from running a text as a formula: put an apostrophe before it."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA_STARTS) else cell
