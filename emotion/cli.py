"""The commands and their scripts: ``emotion-train``, ``-compress``, ``-predict``, ``-evaluate``, ``-audit``, ...

Each composes its config with Hydra, checks it, and only then imports torch. A user's mistake ends as one line on stderr
and exit code 1.
"""

import argparse
import logging
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from emotion.config import CONF, Config, check_choices, compose_config, one_line, resolve, sweep_configs
from emotion.errors import UserError, first_line, of_file
from emotion.jobs import earlier_folders
from emotion.models.fast import keep_freed_memory
from emotion.sweeps import recorded_sweep

log = logging.getLogger(__name__)


def train() -> None:
    """Fine-tune a backbone."""
    command = ["python", *sys.argv]

    def job(config: Any) -> None:
        from emotion.reporting import print_report
        from emotion.training import Interrupted, stop_on_signals, train

        run_dir, sweep = _place()
        try:
            with stop_on_signals():
                report = train(config, run_dir, sweep, _earlier_jobs(run_dir, sweep))
        except Interrupted as stop:
            goes_on_by_itself = stop.state is None or config.resume == "auto"
            _say_stopped(stop.signal, command if goes_on_by_itself else [*command, f"trainer.ckpt_path={stop.state}"])
            raise
        if report is not None:
            print_report(report, config.model.name, Path(config.output_dir))

    def after_sweep(configs: Sequence[Any]) -> None:
        from emotion.article import ReportConfig, write_article
        from emotion.reporting import print_article, print_sweep, read_report

        for folder in dict.fromkeys(config.output_dir for config in configs):
            print_sweep(read_report(Path(folder)), Path(folder))
            print_article(write_article(resolve(_report_of(folder), ReportConfig)))

    _main("train", "emotion.training", "TrainConfig", job, after_sweep)


def compress() -> None:
    """Compress a fine-tuned model."""
    command = ["python", *sys.argv]

    def job(config: Any) -> None:
        from emotion.compression import compress
        from emotion.reporting import print_compression
        from emotion.training import Interrupted, stop_on_signals

        run_dir, sweep = _place()
        overrides = HydraConfig.get().overrides.task
        try:
            with stop_on_signals(at_once=True):
                compress(config, overrides, run_dir, print_compression, sweep, _earlier_jobs(run_dir, sweep))
        except Interrupted as stop:
            _say_stopped(stop.signal, command)
            raise

    _main("compress", "emotion.compression", "CompressConfig", job)


def _report_of(output_dir: str) -> DictConfig:
    """Compose the config of ``scripts/report.py`` for a folder."""
    config = compose_config("report", [])
    config.output_dir = output_dir
    return config


def predict() -> None:
    """Predict a CSV."""

    def job(config: Any) -> None:
        from emotion.prediction import predict_csv
        from emotion.reporting import print_prediction

        print_prediction(predict_csv(config))

    _main("predict", "emotion.prediction", "PredictConfig", job)


def evaluate() -> None:
    """Evaluate checkpoints on labelled CSVs."""

    def job(config: Any) -> None:
        from emotion.reporting import print_evaluation
        from emotion.scoring import evaluate_checkpoints

        print_evaluation(evaluate_checkpoints(config), config.folder)

    _main("evaluate", "emotion.scoring", "EvaluateConfig", job)


def report() -> None:
    """Write a page and model cards from an output folder."""

    def job(config: Any) -> None:
        from emotion.article import write_article
        from emotion.reporting import print_article

        print_article(write_article(config))

    _main("report", "emotion.article", "ReportConfig", job)


def explain() -> None:
    """Show which words speak for the labels of some texts."""

    def job(config: Any) -> None:
        from emotion.prediction import explain
        from emotion.reporting import print_explanation, require_explanation_folder, write_explanation

        if config.output is not None:
            require_explanation_folder(Path(config.output))
        explanation = explain(config)
        if config.output is not None:
            write_explanation(explanation, Path(config.output))
        print_explanation(explanation, config.output)

    _main("explain", "emotion.prediction", "ExplainConfig", job)


def export() -> None:
    """Write a folder for the Hugging Face hub."""

    def job(config: Any) -> None:
        from emotion.article import export
        from emotion.reporting import print_export

        print_export(export(config))

    _main("export", "emotion.article", "ExportConfig", job)


def audit() -> None:
    """Audit labelled CSVs."""
    command = ["python", *sys.argv]

    def job(config: Any) -> None:
        from emotion.audit import audit
        from emotion.reporting import print_audit
        from emotion.training import Interrupted, stop_on_signals

        try:
            with stop_on_signals(at_once=True):
                report = audit(config)
        except Interrupted as stop:
            _say_stopped(stop.signal, command)
            raise
        print_audit(report, Path(config.output_dir))

    _main("audit", "emotion.audit", "AuditConfig", job)


def benchmark() -> None:
    """Compare with other tools on the same work."""

    def job(config: Any) -> None:
        from emotion.benchmark import benchmark
        from emotion.reporting import print_benchmark

        print_benchmark(benchmark(config), config.output_dir)

    _main("benchmark", "emotion.benchmark", "BenchmarkConfig", job)


def _main(
    name: str,
    package: str,
    schema_name: str,
    job: Callable[[Any], None],
    after_sweep: Callable[[Sequence[Any]], None] | None = None,
) -> None:
    """Compose ``conf/<name>.yaml`` with the command line's overrides, check it, and run ``job`` once or as a sweep.

    Args:
        name: Name of the config.
        package: Package that offers the schema; torch is not imported before ``job`` asks for it.
        schema_name: Name of the config's schema.
        job: Called with the checked config.
        after_sweep: Called with the configs of all jobs of a sweep once they have ended.
    """

    def schema() -> type[Config]:
        found: type[Config] = getattr(import_module(package), schema_name)
        return found

    begun = False

    def checked_job(config: DictConfig) -> None:
        nonlocal begun
        begun = True
        with _one_line_failure():
            job(resolve(config, schema()))

    def start() -> None:
        parser = get_args_parser()
        parser.usage = "%(prog)s [KEY=VALUE ...] [--help] [--cfg job] [-m]"
        arguments = parser.parse_args()
        _check_flags(arguments)
        check_choices(arguments.overrides)
        sweep: AbstractContextManager[list[str]] = nullcontext([])
        configs: Sequence[Any] = ()
        if arguments.multirun:
            configs = sweep_configs(name, schema(), arguments.overrides)
            if any((arguments.cfg, arguments.info, arguments.help, arguments.hydra_help)):
                configs = ()  # they are shown, not run
            elif hasattr(schema(), "inputs"):
                sweep = recorded_sweep(name, configs, arguments.overrides)
        try:
            with sweep as folder:
                sys.argv += folder
                hydra.main(version_base="1.3", config_path=str(CONF), config_name=name)(checked_job)()
                if configs and after_sweep is not None:
                    after_sweep(configs)
        except (ValueError, TypeError, AttributeError, LookupError, AssertionError) as error:
            if begun:
                raise
            # Hydra checks few of its own settings, such as hydra.job_logging, before it uses them.
            raise UserError(f"hydra: must have settings that Hydra can use, found {first_line(error)}") from error

    run(start)


def _check_flags(arguments: argparse.Namespace) -> None:
    """Refuse the flags that Hydra would leave aside, and the one that runs what a file says."""
    if arguments.resolve and not (arguments.cfg or arguments.help):
        raise UserError("--resolve: must be given with --cfg or --help, found it alone")
    if arguments.package and not arguments.cfg:
        raise UserError("--package: must be given with --cfg, found it alone")
    if arguments.experimental_rerun:
        raise UserError(
            "--experimental-rerun: must not be given, as it runs code of"
            f" the file, found {arguments.experimental_rerun}"
        )


def run(start: Callable[[], Any]) -> None:
    """Call ``start``; end with one line on stderr and exit code 1 on a user's mistake."""
    # Make Hydra raise exceptions instead of printing them itself, over many lines.
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    keep_freed_memory()
    logging.raiseExceptions = False  # a log file on a full disk would print tracebacks
    try:
        start()
    except UserError as error:
        sys.exit(f"error: {error}")
    except (HydraException, OmegaConfBaseException, YAMLError) as error:
        sys.exit(f"error: {_with_key(one_line(error))}")
    except BrokenPipeError:  # whoever reads the output, such as `head`, wants no more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + 13)  # as shells report SIGPIPE
    except OSError as error:
        sys.exit(f"error: {of_file(error)}")
    except KeyboardInterrupt:
        print("stopped by SIGINT", file=sys.stderr)
        sys.exit(130)


def _with_key(message: str) -> str:
    """Name the override whose interpolation a message of Hydra's quotes alone."""
    for key, _, value in (text.partition("=") for text in sys.argv[1:]):
        if value.startswith("${") and value in message and key not in message:
            return f"{key}: {message}"
    return message


def _place() -> tuple[Path, str | None]:
    """Return the running job's own folder, and its sweep's folder if it is part of one."""
    config = HydraConfig.get()
    sweep = str(Path(config.sweep.dir).resolve()) if config.mode == RunMode.MULTIRUN else None
    return Path(config.runtime.output_dir), sweep


def _earlier_jobs(run_dir: Path, sweep: str | None) -> list[Path]:
    """List the folders in which the same job may have ended early; a sweep's jobs have their places in its folder."""
    return [run_dir] if sweep is not None else earlier_folders(run_dir)


def _say_stopped(signal: str, command: list[str]) -> None:
    if os.environ.get("LOCAL_RANK", "0") == "0":  # the first of several processes
        print(f"stopped by {signal}; to go on: {shlex.join(command)}", file=sys.stderr)


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
