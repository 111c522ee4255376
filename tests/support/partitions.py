"""Predictions of many files, as the command composes them."""

from pathlib import Path

from emotion.config import compose_config, resolve
from emotion.partitions import PartitionedPrediction, predict_partitions
from emotion.prediction import PredictConfig


def predict(weights: Path, csv: str | Path, output: str | Path, *overrides: str) -> PartitionedPrediction:
    """Predict the files that ``csv`` names into the folder ``output``."""
    settings = [f"weights={weights}", f"csv='{csv}'", f"output='{output}'", *overrides]
    return predict_partitions(resolve(compose_config("predict", settings), PredictConfig))
