"""Fine-tune a backbone:  python scripts/train.py [model=modernbert] [data.train=train.csv data.validation=val.csv]

Several at once:  python scripts/train.py -m model=bertweet,cardiff,modernbert
"""

import hydra
from omegaconf import DictConfig

from emotion.cli import one_line_failure, place, run
from emotion.config.compose import resolve
from emotion.training.config import TrainConfig


@hydra.main(version_base="1.3", config_path="../conf", config_name="train")
def main(config: DictConfig) -> None:
    with one_line_failure():
        resolved = resolve(config, TrainConfig)
        from emotion.training.run import train  # torch is imported only once there is work

        run_dir, sweep = place()
        train(resolved, run_dir, sweep)


if __name__ == "__main__":
    run(main)
