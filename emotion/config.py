"""Typed schemas of every run: types and bounds live here, values in ``conf/``.

A schema is registered with Hydra and stands first in its config's defaults list, so unknown keys and wrong types are
refused while composing; :func:`resolve` then checks what Hydra cannot (missing values, bounds, choices) and hands plain
dataclasses to the rest of the package.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.errors import CompactHydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from emotion.errors import UserError
from emotion.labels import EMOTIONS
from emotion.rules import bounded, checked, matching, one_of

PROJECT = Path(__file__).resolve().parent.parent
CONF = PROJECT / "conf"
SAMPLE = PROJECT / "data" / "sample"

NORMALIZATIONS = ("none", "bertweet", "cardiff")

Schema = TypeVar("Schema")


def _is_whole(value: Any, minimum: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= minimum


def _is_devices(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(_is_whole(index, 0) for index in value) and len(set(value)) == len(value)
    return value == "auto" or _is_whole(value, 1)


def _is_limit(value: Any) -> bool:
    if isinstance(value, float):
        return 0.0 < value <= 1.0
    return value is None or _is_whole(value, 1)


def _is_class_weights(value: Any) -> bool:
    if isinstance(value, list):
        numbers = all(isinstance(v, int | float) and not isinstance(v, bool) and 0 < v < math.inf for v in value)
        return len(value) == len(EMOTIONS) and numbers
    return value in ("none", "balanced")


@dataclass(kw_only=True, slots=True)
class PackageConfig:
    """An installed Python package that carries a backbone's files; its code is never imported."""

    module: str
    """Import name of the package."""
    folder: str
    """Folder of the files, relative to the package."""
    backbone: str
    """Hugging Face id of the backbone that it carries."""
    sha256: dict[str, str]
    """Digest of each file that is used, beside the model's own; all are checked before use."""


@dataclass(kw_only=True, slots=True)
class ModelConfig:
    name: str = matching(r"[A-Za-z0-9][A-Za-z0-9_.-]*", "must be letters, digits, '.', '_' or '-'")
    """Name in file names and reports, e.g. ``ModernBERT``."""
    backbone: str
    """Hugging Face id, or a local folder with config, weights and tokenizer."""
    revision: str
    """Branch, tag or commit on the hub; unused for a folder."""
    normalization: str = one_of(*NORMALIZATIONS)
    """How users, links and emoji are rewritten before tokenising: as the backbone's authors did."""
    learning_rate: float = bounded(above=0, maximum=1)
    """Peak of the schedule."""
    sha256: dict[str, str] = field(default_factory=dict)
    """Digests of files of this revision; checked before use, wherever the files come from but a given folder."""
    package: PackageConfig | None = None


@dataclass(kw_only=True, slots=True)
class DataConfig:
    train: str
    """CSV with texts and labels."""
    validation: str
    """CSV with texts and labels that chooses the best epoch."""
    text_column: str
    label_column: str
    batch_size: int = bounded(minimum=1)
    """Rows a step on each device."""
    max_length: int = bounded(minimum=4)
    """Tokens a text, specials included; longer texts are cut."""
    num_workers: int = bounded(minimum=0)
    """Processes that pad batches; texts are tokenised once, so 0 is rarely the bottleneck."""


@dataclass(kw_only=True, slots=True)
class OptimizerConfig:
    weight_decay: float = bounded(minimum=0)
    """AdamW decay of matrices; biases and norms have none."""
    warmup_fraction: float = bounded(minimum=0, maximum=1)
    """Share of all updates in which the learning rate rises linearly; it falls linearly to 0 after."""
    class_weights: Any = checked(
        f"must be none, balanced or a list of {len(EMOTIONS)} positive numbers ({', '.join(EMOTIONS)})",
        _is_class_weights,
    )
    """Weights of the classes in the loss; ``balanced`` = rows / (classes * rows of the class)."""


@dataclass(kw_only=True, slots=True)
class TrainerConfig:
    """The arguments of ``lightning.Trainer`` that we set, by its names, and ``ckpt_path`` of ``Trainer.fit``."""

    accelerator: str = one_of("auto", "cpu", "gpu", "mps")
    devices: Any = checked("must be a count >= 1, a list of device indices like [1], or auto", _is_devices)
    strategy: str = one_of("auto", "ddp")
    precision: str = one_of("32-true", "bf16-mixed", "16-mixed")
    max_epochs: int = bounded(minimum=1)
    gradient_clip_val: float | None = bounded(above=0)
    limit_train_batches: Any = checked("must be a count >= 1, a share in (0.0, 1.0] or null", _is_limit)
    limit_val_batches: Any = checked("must be a count >= 1, a share in (0.0, 1.0] or null", _is_limit)
    log_every_n_steps: int = bounded(minimum=1)
    enable_progress_bar: bool
    ckpt_path: str | None
    """A run's ``checkpoints/last.ckpt`` to resume from."""


@dataclass(kw_only=True, slots=True)
class TrainConfig:
    """Schema of ``conf/train.yaml``."""

    model: ModelConfig
    data: DataConfig
    optimizer: OptimizerConfig
    trainer: TrainerConfig
    seed: int = bounded(minimum=0, maximum=2**32 - 1)
    output_dir: str
    """Where the deliverables go."""


@dataclass(kw_only=True, slots=True)
class PredictConfig:
    """Schema of ``conf/predict.yaml``."""

    weights: str
    """A ``.pt`` checkpoint."""
    csv: str
    """CSV with a text column."""
    output: str | None
    """Where to write; null = ``<input_name>_predictions.csv`` beside the input."""
    text_column: str
    label_column: str
    """Where the CSV has this column, the metrics are printed too."""
    batch_size: int = bounded(minimum=1)
    probabilities: bool
    """Add one column a class with its probability."""
    accelerator: str = one_of("auto", "cpu", "gpu", "mps")


SCHEMAS: dict[str, type] = {"train": TrainConfig, "predict": PredictConfig}


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
    of_sample = {key: SAMPLE in Path(getattr(data, key)).parents for key in ("train", "validation")}
    if of_sample["train"] != of_sample["validation"]:
        left = next(key for key, is_sample in of_sample.items() if is_sample)
        given = "validation" if left == "train" else "train"
        raise UserError(
            f"data.{left}: must be given together with data.{given},"
            f" found the sample corpus beside {getattr(data, given)}"
        )


def compose_config(config_name: str, overrides: list[str]) -> DictConfig:
    """What a script composes from the same overrides, for callers outside ``@hydra.main``.

    Raises:
        UserError: An override names an unknown key or has a wrong type.
    """
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            return compose(config_name, overrides=overrides)
    except CompactHydraException as error:
        raise UserError(one_line(error)) from error


def model_choices() -> dict[str, ModelConfig]:
    """Every model of ``conf/model``, by the name of its file."""
    return {path.stem: _model_config(path) for path in sorted((CONF / "model").glob("*.yaml"))}


def _model_config(path: Path) -> ModelConfig:
    try:
        config = OmegaConf.merge(OmegaConf.structured(ModelConfig), OmegaConf.load(path))
        return resolve(config, ModelConfig)  # type: ignore[arg-type]
    except (OmegaConfBaseException, YAMLError, UserError) as error:
        raise UserError(f"{path}: {one_line(error)}") from error
