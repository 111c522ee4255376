"""Calibrate a model: fit its temperature on validation, so that its confidences are probabilities."""

import numpy as np

from emotion.data import LabelledTexts
from emotion.evaluation import apply_temperature, fit_temperature
from emotion.models import Predictor

_CALIBRATED_ON = "calibrated_on"
"""Key of the metadata: digest of the CSV that the temperature was fitted on."""


def calibrate_(predictor: Predictor, data: LabelledTexts) -> np.ndarray:
    """Set the temperature of ``predictor`` to the one that fits ``data`` best; labels stay as they are.

    Args:
        predictor: Changed in place. Its temperature until now plays no part.
        data: What chose the model: validation.

    Returns:
        The calibrated probabilities of the texts, (rows, classes), float64.
    """
    predictor.temperature = 1.0
    probabilities = predictor.predict_proba(data.texts).numpy()
    predictor.temperature = fit_temperature(probabilities, data.labels)
    predictor.metadata = {**predictor.metadata, _CALIBRATED_ON: data.sha256}
    return apply_temperature(probabilities, predictor.temperature)


def was_calibrated_on(predictor: Predictor, data: LabelledTexts) -> bool:
    """Return whether the temperature was fitted on these rows, so that it must not be judged by them."""
    return predictor.temperature != 1.0 and predictor.metadata.get(_CALIBRATED_ON) == data.sha256
