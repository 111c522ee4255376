"""Predict a CSV:  python scripts/predict.py weights=outputs/best_MiniLM.pt csv=test.csv [probabilities=true]"""

import hydra
from omegaconf import DictConfig

from emotion.cli import one_line_failure, run
from emotion.config.compose import resolve
from emotion.prediction.config import PredictConfig


@hydra.main(version_base="1.3", config_path="../conf", config_name="predict")
def main(config: DictConfig) -> None:
    with one_line_failure():
        resolved = resolve(config, PredictConfig)
        from emotion.prediction.inference import predict_csv  # torch is imported only once there is work
        from emotion.reporting.console import print_prediction

        print_prediction(predict_csv(resolved))


if __name__ == "__main__":
    run(main)
