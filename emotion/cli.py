"""The commands: ``emotion-train``, ``emotion-compress``, ``emotion-predict``, ``emotion-benchmark`` and their scripts.

Each composes its config with Hydra, checks it, and only then imports torch. A user's mistake ends as one line on stderr
and exit code 1.
"""

import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from emotion.config import CONF, Config, compose_config, one_line, refuse_several_choices, resolve
from emotion.errors import UserError, of_file
from emotion.models.fast import keep_freed_memory

log = logging.getLogger(__name__)


def train() -> None:
    """Fine-tune a backbone."""

    def job(config: Any) -> None:
        from emotion.reporting import print_report
        from emotion.training import train

        run_dir, sweep = _place()
        report = train(config, run_dir, sweep)
        if report is not None:
            print_report(report, config.model.name, Path(config.output_dir))

    _main("train", "emotion.training", "TrainConfig", job)


def compress() -> None:
    """Compress a fine-tuned model."""

    def job(config: Any) -> None:
        from emotion.compression import compress
        from emotion.reporting import print_compression

        run_dir, _ = _place()
        compress(config, HydraConfig.get().overrides.task, run_dir, print_compression)

    _main("compress", "emotion.compression", "CompressConfig", job)


def predict() -> None:
    """Predict a CSV."""

    def job(config: Any) -> None:
        from emotion.prediction import predict_csv
        from emotion.reporting import print_prediction

        print_prediction(predict_csv(config))

    _main("predict", "emotion.prediction", "PredictConfig", job)


def benchmark() -> None:
    """Compare with other tools on the same work."""

    def job(config: Any) -> None:
        from emotion.benchmark import benchmark
        from emotion.reporting import print_benchmark

        print_benchmark(benchmark(config), config.output_dir)

    _main("benchmark", "emotion.benchmark", "BenchmarkConfig", job)


def _main(name: str, package: str, schema_name: str, job: Callable[[Any], None]) -> None:
    """Compose ``conf/<name>.yaml`` with the command line's overrides, check it, and run ``job`` once or as a sweep.

    Args:
        name: Name of the config.
        package: Package that offers the schema; torch is not imported before ``job`` asks for it.
        schema_name: Name of the config's schema.
        job: Called with the checked config.
    """

    def schema() -> type[Config]:
        found: type[Config] = getattr(import_module(package), schema_name)
        return found

    def checked_job(config: DictConfig) -> None:
        with _one_line_failure():
            job(resolve(config, schema()))

    def start() -> None:
        arguments = get_args_parser().parse_args()
        refuse_several_choices(arguments.overrides)
        if arguments.multirun:
            check_sweep(name, schema(), arguments.overrides)
        hydra.main(version_base="1.3", config_path=str(CONF), config_name=name)(checked_job)()

    run(start)


def run(start: Callable[[], Any]) -> None:
    """Call ``start``; end with one line on stderr and exit code 1 on a user's mistake."""
    # Make Hydra raise exceptions instead of printing them itself, over many lines.
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    keep_freed_memory()
    try:
        start()
    except (HydraException, OmegaConfBaseException, YAMLError, UserError) as error:
        sys.exit(f"error: {one_line(error)}")
    except OSError as error:
        sys.exit(f"error: {of_file(error)}")


def check_sweep(name: str, schema: type[Config], overrides: Sequence[str]) -> None:
    """Check the config of every job of a sweep, before the first starts.

    Args:
        name: Name of the config in ``conf/``.
        schema: Schema that each job's config must follow.
        overrides: The command line's overrides; those with several values are swept.

    Raises:
        UserError: A job's config is wrong; one line names the problems of all jobs.
    """
    swept = []
    for text, override in zip(overrides, OverridesParser.create().parse_overrides(list(overrides)), strict=True):
        if override.is_sweep_override():
            swept.append([f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()])
        elif not override.get_key_element().startswith("hydra"):
            swept.append([text])
    problems: dict[str, None] = {}
    for combination in product(*swept):
        try:
            resolve(compose_config(name, list(combination)), schema)
        except UserError as error:
            problems |= dict.fromkeys(str(error).split("; "))
    if problems:
        raise UserError("; ".join(problems))


def _place() -> tuple[Path, str | None]:
    """Return the running job's own folder, and its sweep's folder if it is part of one."""
    config = HydraConfig.get()
    sweep = str(Path(config.sweep.dir).resolve()) if config.mode == RunMode.MULTIRUN else None
    return Path(config.runtime.output_dir), sweep


@contextmanager
def _one_line_failure() -> Iterator[None]:
    """Turn a user's mistake in a job into one line; end the run at once, but not the other jobs of a sweep."""
    try:
        yield
    except (UserError, OSError) as error:
        message = of_file(error) if isinstance(error, OSError) else str(error)
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            log.error("job %s: %s", HydraConfig.get().job.num, message)  # Hydra itself names only the first failure
            raise
        sys.exit(f"error: {message}")  # Hydra lets SystemExit pass, but adds a line of its own to an exception
