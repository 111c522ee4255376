"""Load a backbone's config, tokenizer and weights with transformers, quietly."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers import logging as transformers_logging

from emotion.errors import UserError, first_line
from emotion.labels import LabelSet
from emotion.models import static_classifier as _registered  # noqa: F401, as it makes its models known
from emotion.models.backbone import Backbone

_PADDED_POSITIONS = ("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet", "longformer")


_LOADING = RLock()


@contextmanager
def loading_alone() -> Iterator[None]:
    """Let one thread at a time load: transformers swaps torch's default dtype meanwhile, which all threads share."""
    with _LOADING:
        dtype = torch.get_default_dtype()
        try:
            yield
        finally:
            torch.set_default_dtype(dtype)


def load_tokenizer(folder: Path, normalization: str) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a folder; switch on BERTweet's own normalisation if asked."""
    options: dict[str, Any] = {"normalization": True} if normalization == "bertweet" else {}
    with _loading_errors_named(folder):
        _refuse_code(folder)
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, **options)
    return tokenizer


def load_config(folder: Path, labels: LabelSet | None = None) -> PretrainedConfig:
    """Load the Hugging Face config of a folder, with ``labels`` as its classes if they are given."""
    names: dict[str, Any] = {}
    if labels is not None:
        names["id2label"] = dict(enumerate(labels.names))
        names["label2id"] = {name: index for index, name in enumerate(labels.names)}
    with _loading_errors_named(folder):
        _refuse_code(folder)
        config: PretrainedConfig = AutoConfig.from_pretrained(folder, trust_remote_code=False, **names)
    return config


@loading_alone()
def load_pretrained(backbone: Backbone, labels: LabelSet) -> PreTrainedModel:
    """Load the backbone in FP32, in eval mode, under a new head for ``labels`` (drawn by torch's RNG).

    Raises:
        UserError: The files cannot be read, or the weights are another architecture's.
    """
    config = load_config(backbone.folder, labels)
    with quiet_transformers(), _loading_errors_named(backbone.folder):
        model, loading = AutoModelForSequenceClassification.from_pretrained(
            backbone.folder,
            config=config,
            dtype=torch.float32,
            attn_implementation="sdpa",
            output_loading_info=True,
            trust_remote_code=False,
        )
    # transformers draws what a file lacks at random: right for the head and the pooler before it, wrong for the rest.
    encoder = model.base_model_prefix + "."
    lost = sorted(key for key in loading["missing_keys"] if key.startswith(encoder) and "pooler" not in key)
    if lost:
        raise UserError(
            f"model.backbone: must have weights of a {config.model_type}, found {backbone.folder} without"
            f" {len(lost)} tensors, such as {lost[0]}"
        )
    classifier: PreTrainedModel = model
    return classifier


def position_limit(config: PretrainedConfig) -> int | None:
    """Return the number of tokens that a backbone has positions for; None if its config names no limit.

    RoBERTa and its kin number positions from ``pad_token_id + 1``, so they have fewer than their table has rows.
    """
    rows: int | None = getattr(config, "max_position_embeddings", None)
    if rows is None or rows < 0:
        return None
    return rows - config.pad_token_id - 1 if config.model_type in _PADDED_POSITIONS else rows


def names_code(settings: Any) -> bool:
    """Return whether a config asks transformers to run Python files that come with it, at any depth."""
    if isinstance(settings, dict):
        return "auto_map" in settings or any(map(names_code, settings.values()))
    return isinstance(settings, list) and any(map(names_code, settings))


def _refuse_code(folder: Path) -> None:
    for name in ("config.json", "tokenizer_config.json"):
        path = folder / name
        if path.is_file() and names_code(json.loads(path.read_bytes())):
            raise UserError(
                f"model.backbone: must need no code of its own, which is never run, found auto_map in {path}"
            )


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence transformers' load reports and progress bars; a new head is no news here."""
    level, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]


@contextmanager
def _loading_errors_named(folder: Path) -> Iterator[None]:
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # broken files fail in many ways in transformers and its readers
        raise UserError(
            f"model.backbone: must have files that transformers can read, found {folder} ({first_line(error)})"
        ) from error
