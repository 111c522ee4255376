"""Calibrate a model: fit its temperature on validation, so that its confidences are probabilities."""

import numpy as np
import torch

from emotion.data import LabelledTexts
from emotion.evaluation import apply_temperature, fit_temperature
from emotion.models import FEWEST_ROWS, Familiarity, Predictions, Predictor

_CALIBRATED_ON = "calibrated_on"
"""Key of the metadata: digest of the CSV that the temperature was fitted on."""


def calibrate_(predictor: Predictor, data: LabelledTexts) -> Predictions:
    """Fit the temperature of ``predictor``, and its familiarity, to ``data``; labels stay as they are.

    Args:
        predictor: Changed in place. What was fitted until now plays no part.
        data: What chose the model: validation.

    Returns:
        The calibrated predictions of the texts; no row's distance is fitted on itself.
    """
    predictor.temperature, predictor.familiarity = 1.0, None
    found = predictor.predict_texts(data.texts)
    probabilities = found.probabilities.numpy()
    predictor.temperature = fit_temperature(probabilities, data.labels)
    predictor.metadata = {**predictor.metadata, _CALIBRATED_ON: data.sha256}
    features = predictor.features(data.texts) if len(data.texts) >= FEWEST_ROWS else None
    fitted = None if features is None else Familiarity.fit(features, np.asarray(data.labels))
    if fitted is not None:
        predictor.familiarity, distances = fitted
        found = found._replace(distances=distances)
    doubts = 1.0 if found.doubts is None else found.doubts
    calibrated = apply_temperature(probabilities, predictor.temperature * doubts)
    return found._replace(probabilities=torch.from_numpy(calibrated))


def was_calibrated_on(predictor: Predictor, data: LabelledTexts) -> bool:
    """Return whether the temperature was fitted on these rows, so that it must not be judged by them."""
    return predictor.temperature != 1.0 and predictor.metadata.get(_CALIBRATED_ON) == data.sha256
