"""Check a sweep before its first job starts, and let the same command go on with one that ended early."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser

from emotion.config import CONF, Config, compose_config, resolve
from emotion.errors import UserError
from emotion.jobs import Job, digests, earlier_folders, job_identity


def sweep_configs(name: str, schema: type[Config], overrides: Sequence[str]) -> list[Any]:
    """Compose and check the config of every job of a sweep, before the first starts.

    Args:
        name: Name of the config in ``conf/``.
        schema: Schema that each job's config must follow.
        overrides: The command line's overrides; those with several values are swept.

    Returns:
        The jobs' configs, in the order in which they are run.

    Raises:
        UserError: A job's config is wrong; one line names the problems of all jobs.
    """
    swept = []
    for text, override in zip(overrides, OverridesParser.create().parse_overrides(list(overrides)), strict=True):
        if override.is_sweep_override():
            swept.append([f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()])
        elif not override.get_key_element().startswith("hydra"):
            swept.append([text])
    configs: list[Any] = []
    problems: dict[str, None] = {}
    for combination in product(*swept):
        try:
            configs.append(resolve(compose_config(name, list(combination)), schema))
        except UserError as error:
            problems |= dict.fromkeys(str(error).split("; "))
    if problems:
        raise UserError("; ".join(problems))
    return configs


@contextmanager
def recorded_sweep(name: str, configs: Sequence[Any], overrides: Sequence[str]) -> Iterator[list[str]]:
    """Yield the override that gives a sweep its folder: that of the same sweep, if it ended early.

    The jobs that it has finished are then found there, and are not done again.

    Args:
        name: Name of the config in ``conf/``.
        configs: From :func:`sweep_configs`; they have ``work()``, ``inputs`` and ``resume``.
        overrides: The command line's.

    Raises:
        UserError: Another process is at work in the folder.
    """
    folder = _folder(name, overrides)
    inputs = digests(dict.fromkeys(path for config in configs for path in config.inputs))
    identity = job_identity(name, [config.work() for config in configs], inputs)
    resumes = all(config.resume == "auto" for config in configs)
    job = Job.claim(folder, identity, earlier_folders(folder) if resumes else ())
    if job.is_resumed:
        # Hydra sets logging up later.
        print(f"resuming the sweep in {job.folder}, which ended early (resume=never would start a new one)")
    with job.recorded():
        quoted = str(job.folder).replace("\\", "\\\\").replace("'", "\\'")
        yield [f"hydra.sweep.dir='{quoted}'"]


def _folder(name: str, overrides: Sequence[str]) -> Path:
    """Return the folder that Hydra would give a sweep."""
    settings = [text for text in overrides if text.lstrip("+~").startswith("hydra")]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose(name, settings, return_hydra_config=True)
    return Path(config.hydra.sweep.dir).resolve()
