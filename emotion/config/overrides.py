"""Check the overrides of a command line before anything is done with them."""

import os
from collections.abc import Iterable, Iterator
from itertools import islice, product
from math import prod
from typing import Any

from hydra import initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, RangeSweep
from hydra.errors import HydraException

from emotion.config.compose import compose_config, resolve
from emotion.config.folders import CONF
from emotion.config.validation import Config
from emotion.errors import UserError, first_line

_SEARCH_PATH = "hydra.searchpath"
"""Where Hydra looks for further files: the one of its settings that a job's config depends on."""
MOST_JOBS = 1000
"""Jobs of a sweep; each takes a tenth of a second to check."""


def choices(group: str) -> list[str]:
    """List the files of a group of ``conf/`` by name."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def check_choices(overrides: Iterable[str]) -> None:
    """Refuse overrides that name no key, or choose anything but one file of a group of ``conf/``.

    Given a list, Hydra would merge all its files into one config, in which the last wins.

    Raises:
        UserError: An override is one of these, or cannot be read.
    """
    for text, override in _parsed(overrides):
        group = override.key_or_group
        if not group:
            raise UserError(f"{text}: must be KEY=VALUE, found no key")
        chooses_files = group in os.listdir(CONF) and not override.is_delete()
        if chooses_files and not override.is_sweep_override() and not isinstance(override.value(), str):
            value = text.partition("=")[2]
            files = ", ".join(choices(group))
            raise UserError(f"{group}: must be one of {files}, found {value}; several are run with -m {group}=A,B")


def sweep_configs(name: str, schema: type[Config], overrides: Iterable[str]) -> list[Any]:
    """Compose and check the config of every job of a sweep, before the first starts.

    Args:
        name: Name of the config in ``conf/``.
        schema: Schema that each job's config must follow.
        overrides: The command line's overrides; those with several values are swept.

    Returns:
        The jobs' configs, instances of ``schema``, in the order in which they are run.

    Raises:
        UserError: A job's config is wrong; one line names the problems of all jobs.
    """
    configs: list[Any] = []
    problems: dict[str, None] = {}
    with initialize_config_dir(str(CONF), version_base="1.3"):
        swept = []
        for text, override in _parsed(overrides, GlobalHydra.instance().config_loader()):
            if override.is_sweep_override():
                swept.append([f"{override.get_key_element()}={value}" for value in _swept_values(text, override)])
            elif not override.get_key_element().startswith("hydra") or override.key_or_group == _SEARCH_PATH:
                swept.append([text])
        if (jobs := prod(map(len, swept))) > MOST_JOBS:
            raise UserError(f"-m: must be a sweep of at most {MOST_JOBS} jobs, found {jobs}")
        for combination in product(*swept):
            try:
                configs.append(resolve(compose_config(name, list(combination)), schema))
            except UserError as error:
                problems |= dict.fromkeys(str(error).split("; "))
    if problems:
        raise UserError("; ".join(problems))
    return configs


def _swept_values(text: str, override: Override) -> list[str]:
    """List an override's values as Hydra writes them."""
    value: Any = override.value()
    try:
        if isinstance(value, RangeSweep) and len(list(islice(value.range(), MOST_JOBS + 1))) > MOST_JOBS:
            raise UserError(f"{text}: must be at most {MOST_JOBS} values, found more")
        values = list(override.sweep_string_iterator())
    except (HydraException, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{text}: must be values that can be counted, found {first_line(error)}") from error
    if not values:
        raise UserError(f"{text}: must be at least one value, found none")
    return values


def _parsed(overrides: Iterable[str], loader: ConfigLoader | None = None) -> Iterator[tuple[str, Override]]:
    """Yield each override as it was given, and as Hydra reads it; ``loader`` lists the files that a glob is about."""
    parser = OverridesParser.create(loader)
    for text in overrides:
        try:
            (override,) = parser.parse_overrides([text])
        except (HydraException, ValueError, RecursionError) as error:  # Python refuses numbers of over 4,300 digits
            reason = first_line(error.__cause__ or error)
            if reason.startswith("LexerNoViableAltException"):
                reason = "a character that needs quotes"
            shown = text if len(text) < 200 else f"{text[:200]}..."
            raise UserError(
                f"{shown or repr(text)}: must be KEY=VALUE or KEY='ANY TEXT', found {reason[:200]}"
            ) from error
        yield text, override
