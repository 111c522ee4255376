"""Compose a run's config from ``conf/`` with Hydra, and check it against its schema.

Hydra composes values and reports keys that ``conf/`` lacks. :func:`resolve` checks everything else and hands an
immutable :class:`~emotion.config.validation.Config` to the rest of the package.
"""

import re
from contextlib import nullcontext
from functools import cache
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import CompactHydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from emotion.config.folders import CONF, SAMPLE
from emotion.config.validation import Schema, validate
from emotion.errors import UserError, printable


def _sample_path(name: str) -> str:
    """Return the absolute path of a file of the sample corpus."""
    return str(SAMPLE / name)


def _if_sample(recipe: Any, otherwise: Any, *, _root_: DictConfig) -> Any:
    """Return ``recipe`` while ``data.train`` is the sample corpus, ``otherwise`` once users give their own."""
    return recipe if OmegaConf.select(_root_, "data.train") == str(SAMPLE / "train.csv") else otherwise


@cache
def conf_value(file: str, key: str) -> Any:
    """Return a value of ``conf/<file>.yaml``, so that a default that several places need is stated once."""
    return OmegaConf.select(OmegaConf.load(CONF / f"{file}.yaml"), key)


OmegaConf.register_new_resolver("conf", conf_value, replace=True)
OmegaConf.register_new_resolver("sample", _sample_path, replace=True)
OmegaConf.register_new_resolver("if_sample", _if_sample, replace=True)


def compose_config(config_name: str, overrides: list[str]) -> DictConfig:
    """Compose the config that a script composes from the same overrides, inside or outside ``@hydra.main``.

    Raises:
        UserError: An override names an unknown key or group, or cannot be read.
    """
    try:
        inside = GlobalHydra.instance().is_initialized()
        with nullcontext() if inside else initialize_config_dir(str(CONF), version_base="1.3"):
            return compose(config_name, overrides=overrides)
    except CompactHydraException as error:
        raise UserError(one_line(error)) from error


def resolve(config: DictConfig, schema: type[Schema]) -> Schema:
    """Check a composed config and return it as an instance of ``schema``.

    Raises:
        UserError: Values are missing, unknown, or against their rules; one line names each by its dotted key.
    """
    try:
        missing = set(OmegaConf.missing_keys(config))
        content = OmegaConf.to_container(config, resolve=True, throw_on_missing=False)
    except OmegaConfBaseException as error:
        raise UserError(one_line(error)) from error
    assert isinstance(content, dict)
    plain: dict[str, Any] = _without(content, missing)
    plain.pop("hydra", None)
    return validate(schema, plain)


def _without(content: dict[Any, Any], keys: set[str], prefix: str = "") -> dict[str, Any]:
    """Return ``content`` without the dotted ``keys``, which hold ``???``."""
    kept = {}
    for key, value in content.items():
        if prefix + str(key) not in keys:
            kept[str(key)] = _without(value, keys, f"{prefix}{key}.") if isinstance(value, dict) else value
    return kept


def one_line(error: BaseException) -> str:
    """Fold a message of Hydra's or OmegaConf's into one line that still names the key."""
    text = f"{error}\n{error.__cause__ or ''}".partition("Config search path:")[0]
    lines = [re.sub(r"^In '\w+': ", "", line.strip()).rstrip(".") for line in text.splitlines()]
    key = next((line.removeprefix("full_key: ") for line in lines if line.startswith("full_key: ")), "")
    noise = ("full_key: ", "object_type=", "reference_type=", "See https", "To append to your config")
    message = "; ".join(dict.fromkeys(line for line in lines if line and not line.startswith(noise)))
    message = message.replace(":;", ":")
    return printable(message if not key or key in message else f"{key}: {message}")
