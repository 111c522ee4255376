"""Predict a CSV:  python scripts/predict.py weights=outputs/best_MiniLM.pt csv=test.csv [probabilities=true]"""

import hydra
from omegaconf import DictConfig

from emotion.cli import one_line_failure, run
from emotion.config import resolve
from emotion.schemas.predict import PredictConfig


@hydra.main(version_base="1.3", config_path="../conf", config_name="predict")
def main(config: DictConfig) -> None:
    with one_line_failure():
        resolved = resolve(config, PredictConfig)
        from emotion.inference import predict_csv  # torch is imported only once there is work
        from emotion.report.console import print_prediction

        print_prediction(predict_csv(resolved))


if __name__ == "__main__":
    run(main)
