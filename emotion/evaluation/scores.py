"""Score a classifier's probabilities: metrics, their intervals and its calibration."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emotion.evaluation.calibration import Calibration, calibration_of
from emotion.evaluation.intervals import ScoreIntervals, bootstrap_intervals
from emotion.evaluation.metrics import Evaluation, evaluate
from emotion.evaluation.temperature import apply_temperature, cross_fitted


@dataclass(frozen=True, slots=True)
class Scores:
    """All that the probabilities of one labelled CSV say of a classifier."""

    evaluation: Evaluation
    intervals: ScoreIntervals
    calibration: Calibration


def score(
    labels: Sequence[int],
    probabilities: np.ndarray,
    names: Sequence[str],
    *,
    temperature: float = 1.0,
    doubts: np.ndarray | None = None,
    fitted_on_these: bool = False,
) -> Scores:
    """Score probabilities against the truth.

    Args:
        labels: (rows,), true class indices in [0, len(names)).
        probabilities: (rows, classes), of the model with its ``temperature`` and ``doubts``; rows sum to 1.
        names: The classes' names, in order.
        temperature: The one that the probabilities were made with.
        doubts: (rows,), by what each row's logits were divided beside it; None = by 1.
        fitted_on_these: Whether the temperature was fitted on these very rows. Its effect is then estimated by
            cross-fitting, as what was fitted on a row says little about it.

    Raises:
        ValueError: There are no rows.
    """
    truth = np.asarray(labels)
    predictions = probabilities.argmax(axis=1).tolist()
    doubts = np.ones(len(truth)) if doubts is None else doubts
    before = apply_temperature(probabilities, 1 / (temperature * doubts))
    after = cross_fitted(before, truth, doubts) if fitted_on_these else probabilities
    return Scores(
        evaluation=evaluate(labels, predictions, names),
        intervals=bootstrap_intervals(labels, predictions, names),
        calibration=calibration_of(before, after, truth, temperature, fitted_on_these),
    )
