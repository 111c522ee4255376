"""Compare with other tools on the same work:  python scripts/benchmark.py [benchmark=train] [quick=true]"""

import hydra
from omegaconf import DictConfig

from emotion.benchmark.config import BenchmarkConfig
from emotion.cli import one_line_failure, run
from emotion.config.compose import resolve


@hydra.main(version_base="1.3", config_path="../conf", config_name="benchmark")
def main(config: DictConfig) -> None:
    with one_line_failure():
        resolved = resolve(config, BenchmarkConfig)
        from emotion.benchmark.run import benchmark  # torch is imported only once there is work
        from emotion.reporting.console import print_benchmark

        print_benchmark(benchmark(resolved), resolved.output_dir)


if __name__ == "__main__":
    run(main)
