"""Settings of a backbone: ``conf/model``."""

from pathlib import Path
from typing import Annotated, Literal, get_args

from omegaconf import DictConfig, OmegaConf
from pydantic import BeforeValidator, Field
from yaml import YAMLError

from emotion.config import CONF, Config, PositiveShare, Rule, Text, one_line, resolve
from emotion.errors import UserError

Normalization = Literal["none", "bertweet", "cardiff"]
NORMALIZATIONS: tuple[str, ...] = get_args(Normalization)

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
NAME_RULE = "letters, digits, '.', '_' or '-'"


Digests = Annotated[dict[str, str], BeforeValidator(lambda value: {} if value is None else value)]
"""SHA-256 of files by name; null = none are pinned."""


class PackageConfig(Config):
    """An installed Python package that carries a backbone's files; its code is never imported."""

    module: Text
    """Import name of the package."""
    folder: Text
    """Folder of the files, relative to the package."""
    backbone: Text
    """Hugging Face id of the backbone that it carries."""
    sha256: dict[str, str]
    """Digest of each file that is used, in addition to the model's own; all are checked before use."""


class ModelConfig(Config):
    """A backbone, and how it is fine-tuned."""

    name: Annotated[str, Field(pattern=NAME_PATTERN), Rule(NAME_RULE)]
    """Name in file names and reports, e.g. ``ModernBERT``."""
    backbone: Text
    """Hugging Face id, or a local folder with config, weights and tokenizer."""
    revision: Text
    """Branch, tag or commit on the hub; unused for a folder."""
    normalization: Normalization
    """How users, links and emoji are rewritten before tokenising: as the backbone's authors did."""
    learning_rate: PositiveShare
    """Peak of the schedule."""
    sha256: Digests
    """Digests of files of this revision; checked before use, wherever the files come from except a given folder."""
    package: PackageConfig | None
    """An installed package that has the files."""


def model_choices() -> dict[str, ModelConfig]:
    """Read every model of ``conf/model``, by the name of its file."""
    return {path.stem: _model_config(path) for path in sorted((CONF / "model").glob("*.yaml"))}


def _model_config(path: Path) -> ModelConfig:
    try:
        content = OmegaConf.load(path)
    except YAMLError as error:
        raise UserError(f"{path}: {one_line(error)}") from error
    if not isinstance(content, DictConfig):
        raise UserError(f"{path}: must be a mapping, found a list")
    try:
        return resolve(content, ModelConfig)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
