"""Compress a fine-tuned model:  python scripts/compress.py technique=combined [weights=outputs/best_MiniLM.pt]"""

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from emotion.cli import one_line_failure, place, run
from emotion.compression.config import CompressConfig
from emotion.config.compose import resolve


@hydra.main(version_base="1.3", config_path="../conf", config_name="compress")
def main(config: DictConfig) -> None:
    with one_line_failure():
        resolved = resolve(config, CompressConfig)
        from emotion.compression.run import compress  # torch is imported only once there is work

        run_dir, _ = place()
        compress(resolved, HydraConfig.get().overrides.task, run_dir)


if __name__ == "__main__":
    run(main)
