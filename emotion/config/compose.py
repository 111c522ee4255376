"""Compose a run's config and check it against its schema.

A schema (:mod:`emotion.schemas`) is registered with Hydra and stands first in its config's defaults list, so unknown
keys and wrong types are refused while composing; :func:`resolve` then checks what Hydra cannot (missing values, bounds,
choices) and hands plain dataclasses to the rest of the package.
"""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import CompactHydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from emotion.benchmark.config import BenchmarkConfig
from emotion.compression.config import CompressConfig
from emotion.errors import UserError
from emotion.prediction.config import PredictConfig
from emotion.training.config import DataConfig, ModelConfig, TrainConfig

PROJECT = Path(__file__).resolve().parents[2]
CONF = PROJECT / "conf"
SAMPLE = PROJECT / "data" / "sample"

Schema = TypeVar("Schema")


SCHEMAS: dict[str, type] = {
    "train": TrainConfig,
    "predict": PredictConfig,
    "compress": CompressConfig,
    "benchmark": BenchmarkConfig,
}


def _project_path(path: str) -> str:
    """A path inside the project, wherever the command is started."""
    return str(PROJECT / path)


def _if_sample(recipe: Any, otherwise: Any, *, _root_: DictConfig) -> Any:
    """``recipe`` while ``data.train`` is the sample corpus, ``otherwise`` once a user gave their own."""
    return recipe if OmegaConf.select(_root_, "data.train") == str(SAMPLE / "train.csv") else otherwise


for _name, _schema in SCHEMAS.items():
    ConfigStore.instance().store(name=f"{_name}_schema", node=_schema)
OmegaConf.register_new_resolver("project", _project_path, replace=True)
OmegaConf.register_new_resolver("if_sample", _if_sample, replace=True)


def _broken_rules(config: Any, prefix: str = "") -> Iterator[str]:
    for each in fields(config):
        value, key = getattr(config, each.name), prefix + each.name
        rule = each.metadata.get("rule")
        if is_dataclass(value):
            yield from _broken_rules(value, key + ".")
        elif rule is not None and not (value is None and each.type is not Any) and not rule.holds(value):
            yield f"{key}: {rule.text}, found {value!r}"


def one_line(error: BaseException) -> str:
    """Hydra's and OmegaConf's messages of several lines, folded into one that still names the key."""
    text = f"{error}\n{error.__cause__ or ''}".partition("Config search path:")[0]
    lines = [re.sub(r"^In '\w+': ", "", line.strip()).rstrip(".") for line in text.splitlines()]
    key = next((line.removeprefix("full_key: ") for line in lines if line.startswith("full_key: ")), "")
    noise = ("full_key: ", "object_type=", "reference_type=", "See https", "To append to your config")
    message = "; ".join(dict.fromkeys(line for line in lines if line and not line.startswith(noise)))
    message = message.replace(":;", ":")
    return message if not key or key in message else f"{key}: {message}"


def resolve(config: DictConfig, schema: type[Schema]) -> Schema:
    """The composed config as a checked instance of ``schema``.

    Raises:
        UserError: A value is missing, unknown, or breaks its field's rule; the message starts with the dotted key.
    """
    try:
        missing = sorted(OmegaConf.missing_keys(config))
        if missing:
            raise UserError(f"{missing[0]}: a value is required, found none; give {missing[0]}=VALUE")
        resolved = OmegaConf.to_object(config)
    except (OmegaConfBaseException, AttributeError, TypeError) as error:
        raise UserError(one_line(error)) from error
    if not isinstance(resolved, schema):
        raise UserError(f"config: must follow {schema.__name__}, found {type(resolved).__name__}")
    for problem in _broken_rules(resolved):
        raise UserError(problem)
    if isinstance(resolved, TrainConfig):
        _check_one_corpus(resolved.data)
    return resolved


def _check_one_corpus(data: DataConfig) -> None:
    of_sample = {key: SAMPLE in Path(getattr(data, key)).resolve().parents for key in ("train", "validation")}
    if of_sample["train"] != of_sample["validation"]:
        left = next(key for key, is_sample in of_sample.items() if is_sample)
        given = "validation" if left == "train" else "train"
        raise UserError(
            f"data.{left}: must be given together with data.{given},"
            f" found the sample corpus beside {getattr(data, given)}"
        )


def compose_config(config_name: str, overrides: list[str]) -> DictConfig:
    """What a script composes from the same overrides; for callers outside ``@hydra.main`` and inside.

    Raises:
        UserError: An override names an unknown key or has a wrong type.
    """
    try:
        inside = GlobalHydra.instance().is_initialized()
        with nullcontext() if inside else initialize_config_dir(str(CONF), version_base="1.3"):
            return compose(config_name, overrides=overrides)
    except CompactHydraException as error:
        raise UserError(one_line(error)) from error


def refuse_several_choices(overrides: Iterable[str]) -> None:
    """Of a list of a group's files Hydra would merge all into one config, in which the last wins.

    Raises:
        UserError: A group is given a list, or null.
    """
    for override in overrides:
        group, _, value = override.lstrip("+").partition("=")
        if group in os.listdir(CONF) and (value.startswith("[") or value == "null"):
            files = ", ".join(sorted(path.stem for path in (CONF / group).glob("*.yaml")))
            raise UserError(f"{group}: must be one of {files}, found {value}; several are run with -m {group}=A,B")


def model_choices() -> dict[str, ModelConfig]:
    """Every model of ``conf/model``, by the name of its file."""
    return {path.stem: _model_config(path) for path in sorted((CONF / "model").glob("*.yaml"))}


def _model_config(path: Path) -> ModelConfig:
    try:
        config = OmegaConf.merge(OmegaConf.structured(ModelConfig), OmegaConf.load(path))
        return resolve(config, ModelConfig)  # type: ignore[arg-type]
    except (OmegaConfBaseException, YAMLError, UserError) as error:
        raise UserError(f"{path}: {one_line(error)}") from error
