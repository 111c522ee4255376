"""Run one command: compose its config with Hydra, check it, and only then start its work.

A user's mistake ends as one line on stderr and exit code 1.
"""

import argparse
import logging
import os
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

from emotion.config import CONF, Config, check_choices, one_line, resolve, sweep_configs
from emotion.errors import UserError, first_line, of_file
from emotion.models.fast import keep_freed_memory
from emotion.sweeps import (
    absolute_folder,
    launcher_settings,
    of_launcher,
    prepare_job,
    recorded_sweep,
    require_launchers,
    tell_jobs,
)

log = logging.getLogger(__name__)


def run_command(
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
        after_sweep: Called with the configs of all jobs of a sweep once they have ended, well or not.
    """

    def schema() -> type[Config]:
        found: type[Config] = getattr(import_module(package), schema_name)
        return found

    begun = False

    def checked_job(config: DictConfig) -> None:
        nonlocal begun
        begun = True
        prepare_job(HydraConfig.get())
        with _one_line_failure():
            job(resolve(config, schema()))

    def start() -> None:
        parser = get_args_parser()
        parser.usage = "%(prog)s [KEY=VALUE ...] [--help] [--cfg job] [-m]"
        arguments = parser.parse_args()
        _check_flags(arguments)
        check_choices(arguments.overrides)
        require_launchers(arguments.overrides)
        sweep: AbstractContextManager[list[str]] = nullcontext([])
        settings: list[str] = []
        configs: Sequence[Any] = ()
        if arguments.multirun:
            configs = sweep_configs(name, schema(), [*_further_folder(arguments), *arguments.overrides])
            tell_jobs(len(configs))
            settings = launcher_settings(arguments.overrides)
            if any((arguments.cfg, arguments.info, arguments.help, arguments.hydra_help)):
                configs = ()  # they are shown, not run
            elif hasattr(schema(), "inputs"):
                sweep = recorded_sweep(name, configs, arguments.overrides)
            else:
                sweep = nullcontext([absolute_folder(name, arguments.overrides)])
        try:
            with sweep as folder:
                _add_overrides(arguments.overrides, [*settings, *folder])
                failure: Exception | None = None
                try:
                    hydra.main(version_base="1.3", config_path=str(CONF), config_name=name)(checked_job)()
                except Exception as error:  # in a sweep, the other jobs were done
                    failure = error if begun or isinstance(error, UserError) else of_launcher(error)
                # Without a job that began, here or in a launcher's process, there is nothing new to tell.
                has_jobs = failure is None or begun or isinstance(failure, UserError)
                if configs and after_sweep is not None and has_jobs:
                    after_sweep(configs)
                if failure is not None:
                    raise failure
        except (ValueError, TypeError, AttributeError, LookupError, AssertionError) as error:
            if begun or isinstance(error, UserError):
                raise
            # Hydra checks few of its own settings, such as hydra.job_logging, before it uses them.
            raise UserError(f"hydra: must have settings that Hydra can use, found {first_line(error)}") from error

    run(start)


def _add_overrides(given: Sequence[str], added: Sequence[str]) -> None:
    """Add overrides to the command line, beside the ``given`` ones: they must not stand on both sides of a flag."""
    flags = sys.argv[1:]
    for text in given:
        flags.remove(text)
    sys.argv[1:] = [*given, *added, *flags]


def _further_folder(arguments: argparse.Namespace) -> list[str]:
    """Return the override that says what ``--config-dir`` does."""
    folder = arguments.config_dir
    return [] if folder is None else [f"hydra.searchpath=['file://{Path(folder).resolve()}']"]


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
