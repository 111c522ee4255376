"""What a predictor says of texts, and that it can say nothing of some."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from emotion.errors import UserError, listed
from emotion.models.familiarity import doubt


class NotFiniteError(UserError):
    """The model's logits for some texts are NaN or infinite, so that no label would mean anything.

    Args:
        places: Indices of those texts in their sequence.
    """

    def __init__(self, places: list[int]) -> None:
        self.places = places
        super().__init__(f"weights: must give finite logits, found others for {listed('text', places)}")

    def in_csv(self, path: Path | str, first_row: int) -> UserError:
        """Return the same error with the rows of a CSV, of which ``first_row`` holds the sequence's first text."""
        rows = [first_row + place for place in self.places]
        return UserError(f"weights: must give finite logits, found others for {listed('row', rows)} of {path}")


class Predictions(NamedTuple):
    """What a predictor says of texts, in their order."""

    probabilities: Tensor
    """(texts, classes), float32 on the CPU, rows sum to 1."""
    truncated: np.ndarray
    """(texts,), bool: whether the text had more than ``max_length`` tokens, of which only the first were read."""
    distances: np.ndarray | None
    """(texts,), float64, as of :class:`emotion.models.Familiarity`; None if the predictor has none."""

    @property
    def doubts(self) -> np.ndarray | None:
        """(texts,), float64: by what each text's logits were divided, beside the temperature; None = by 1."""
        return None if self.distances is None else doubt(self.distances)

    def chosen(self, rows: np.ndarray) -> "Predictions":
        """Return the predictions of some texts alone; ``rows`` is (texts,), bool."""
        distances = None if self.distances is None else self.distances[rows]
        return Predictions(self.probabilities[torch.from_numpy(rows)], self.truncated[rows], distances)
