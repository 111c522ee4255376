"""Save and load portable checkpoints: single files that predict with no network, no cache and no other file."""

import copy
import json
import logging
import math
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from emotion.checkpoint.familiarity import familiarity_content, restored_familiarity
from emotion.checkpoint.format import FORMAT, read, require_intact, state_dict, to_tensor, write
from emotion.checkpoint.onnx_sizes import MOST_NODES
from emotion.checkpoint.rebuild import build_model, build_tokenizer, find_config_and_tokenizer, require_layers
from emotion.config import earlier_label_set
from emotion.errors import UserError, first_line, quoted
from emotion.files import atomic
from emotion.labels import LabelSet
from emotion.models import (
    TOKENIZER_FILES,
    OnnxClassifier,
    Predictor,
    int8_products_overflow,
    loading_alone,
    names_code,
    position_limit,
)
from emotion.models.fast import speed_up_

MOST_GROWTH = 100
"""Replacements of the tokenizers on the hub are a character long."""

log = logging.getLogger(__name__)


def save(predictor: Predictor, path: Path) -> None:
    """Write a checkpoint file (:mod:`emotion.checkpoint.format`), atomically."""
    with atomic(path) as temporary:
        write(content(predictor), temporary)


def content(predictor: Predictor) -> dict[str, Any]:
    """Return what a checkpoint file holds, except for its format's name and version."""
    settings = {
        "max_length": predictor.max_length,
        "num_labels": len(predictor.labels),
        "labels": predictor.labels.names,
        "label_colours": predictor.labels.colours,
        "normalization": predictor.normalization,
        "temperature": predictor.temperature,
    }
    return {
        **_weights(predictor.model),
        "model_id": predictor.model_id,
        "model_name": predictor.model_name,
        "config": settings,
        "backbone_config": predictor.model.config.to_dict() | {"_name_or_path": predictor.model_id},
        "commit": predictor.commit,
        "tokenizer": {name: to_tensor(data) for name, data in predictor.tokenizer_files.items()},
        "metadata": predictor.metadata,
        **familiarity_content(predictor.familiarity),
    }


@loading_alone()
def load(path: str | Path, device: torch.device | str = "cpu", fast: bool = True) -> Predictor:
    """Load a checkpoint, ``.pt`` or ``.onnx``; an ``.onnx`` always runs on the CPU.

    It may be ours, or an earlier tool's with just ``model_state_dict``, ``model_id``, ``model_name`` and ``config``;
    for the latter the backbone's config and tokenizer are looked up by ``model_id``.

    Args:
        path: The file. Several threads may load at once; they take turns.
        device: Where a ``.pt`` runs.
        fast: Whether :mod:`emotion.models.fast` speeds it up.

    Raises:
        UserError: The file is missing or truncated, contains code, has a newer schema, or has a head for
            other classes than its labels.
    """
    path = Path(path)
    checked = read(path)
    require_intact(path)
    try:
        return _restore(checked, path, torch.device(device), fast)
    except UserError:
        raise
    except Exception as error:  # foreign content fails in many ways
        raise UserError(f"{path}: must hold a model, its config and tokenizer, found {first_line(error)}") from error


def _weights(model: PreTrainedModel | OnnxClassifier) -> dict[str, Any]:
    if isinstance(model, OnnxClassifier):
        return {"onnx_model": model.serialized}
    return {"model_state_dict": model.state_dict()}


def _restore(content: dict[str, Any], path: Path, device: torch.device, fast: bool) -> Predictor:
    settings = content["config"]
    labels = _label_set(settings, path)
    if "backbone_config" in content:
        parts = [content[each] for each in ("model_state_dict", "sparse_state_dict") if each in content]
        require_layers(content["backbone_config"], sum(map(len, parts)) if parts else MOST_NODES, path)
        config = AutoConfig.for_model(**copy.deepcopy(content["backbone_config"]))
        files = {name: data.numpy().tobytes() for name, data in content["tokenizer"].items()}
    else:
        config, files = find_config_and_tokenizer(content["model_id"], labels)
        log.warning(
            "%s was written by an earlier tool without a tokenizer: using %s's, with no text normalisation",
            path,
            content["model_id"],
        )
    if config.num_labels != len(labels):
        raise UserError(f"{path}: must have a model of {len(labels)} classes, found {config.num_labels}")
    normalization = settings.get("normalization", "none")
    if not files:
        raise UserError(f"{path}: must hold a tokenizer's files, found none")
    _refuse_code(content.get("backbone_config"), files, path)
    try:
        tokenizer = build_tokenizer(files, config, normalization)
    except UserError as error:
        raise UserError(f"{path}: must hold a tokenizer's files, found unusable {', '.join(files)}") from error
    _refuse_larger_vocabulary(tokenizer, config, path)
    _refuse_growing_texts(tokenizer, path)
    model: PreTrainedModel | OnnxClassifier
    if "onnx_model" in content:
        if _has_8_bit_weights(content) and int8_products_overflow():
            log.warning(
                "%s: has 8-bit weights, whose products overflow on this processor (x86 without VNNI), so labels may"
                " differ; compress the original again with onnx.reduce_range=true",
                path,
            )
        model = OnnxClassifier(content["onnx_model"], config, fast)
    else:
        model = build_model(config, state_dict(content), path, device, content.get("format") == FORMAT)
        model.name_or_path = content["model_id"]
    model.config.name_or_path = content["model_id"]
    predictor = Predictor(
        model=model,
        tokenizer=tokenizer,
        tokenizer_files=files,
        model_id=content["model_id"],
        model_name=content["model_name"],
        labels=labels,
        max_length=min(settings["max_length"], position_limit(config) or settings["max_length"]),
        normalization=normalization,
        commit=content.get("commit"),
        metadata=content.get("metadata", {}) if content.get("format") == FORMAT else {},
        temperature=settings.get("temperature", 1.0),
        familiarity=restored_familiarity(content, config, path) if content.get("format") == FORMAT else None,
    )
    _require_prediction(predictor, path)
    if fast and isinstance(model, PreTrainedModel):
        speed_up_(model)
    return predictor


def _require_prediction(predictor: Predictor, path: Path) -> None:
    """Refuse a file now whose parts do not fit together, so that no later call fails.

    The first call also sets the tokenizer's truncation, which threads must not do together.
    """
    try:
        predictor.predict_proba(["", "one of another length"])  # so that one is padded
    except torch.OutOfMemoryError:
        return  # says nothing about the file
    except Exception as error:  # parts fail in many ways
        raise UserError(f"{path}: must hold a model that predicts, found {first_line(error)}") from error


def _refuse_growing_texts(tokenizer: PreTrainedTokenizerBase, path: Path) -> None:
    """Refuse replacements that, one after the other, could make a text of gigabytes out of a short one."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or backend.normalizer is None:
        return
    growth = _growth(json.loads(backend.normalizer.__getstate__()))
    if growth > MOST_GROWTH:
        raise UserError(f"{path}: must hold a tokenizer that lets texts grow {MOST_GROWTH} times at most; refused")


def _growth(settings: Any) -> int:
    """Return how many times longer a text may become by the replacements in a normaliser's settings."""
    parts = settings.values() if isinstance(settings, dict) else settings if isinstance(settings, list) else ()
    inserted = settings.get("content", "") if isinstance(settings, dict) else ""
    return max(1, len(inserted)) * math.prod(map(_growth, parts))


def _refuse_larger_vocabulary(tokenizer: PreTrainedTokenizerBase, config: PretrainedConfig, path: Path) -> None:
    """Refuse a tokenizer whose ids the model has no rows for."""
    if len(tokenizer) > config.vocab_size:
        raise UserError(
            f"{path}: must hold a tokenizer of at most {config.vocab_size:,} tokens, as its model has, found"
            f" {len(tokenizer):,}"
        )


def _refuse_code(backbone_config: Any, files: dict[str, bytes], path: Path) -> None:
    """Raise :class:`UserError` where transformers could find Python code to run, which it is told not to, too."""
    if foreign := sorted(files.keys() - set(TOKENIZER_FILES)):
        raise UserError(f"{path}: must hold no files but a tokenizer's, found {foreign[0]!r}; refused")
    tokenizer_config = json.loads(files.get("tokenizer_config.json", b"{}"))
    for name, settings in (("backbone_config", backbone_config), ("tokenizer_config.json", tokenizer_config)):
        if names_code(settings):
            raise UserError(f"{path}: must need no code of its own, found auto_map in {name}; refused")


def _has_8_bit_weights(content: dict[str, Any]) -> bool:
    """Return whether this program quantised the ONNX model to 8-bit weights without ``reduce_range``."""
    made = content["metadata"].get("onnx", {}) if isinstance(content.get("metadata"), dict) else {}
    return isinstance(made, dict) and made.get("weights") == "int8" and made.get("reduce_range") is False


def _label_set(settings: dict[str, Any], path: Path) -> LabelSet:
    names = settings.get("labels")
    if names and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise UserError(f"{path}: config.labels must be a list of names, found {quoted(names)}")
    try:
        labels = LabelSet(tuple(names), tuple(settings.get("label_colours", ()))) if names else earlier_label_set()
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    if settings.get("num_labels") != len(labels):
        raise UserError(
            f"{path}: must have {len(labels)} classes ({', '.join(labels.names)}), found"
            f" {quoted(settings.get('num_labels'))}"
        )
    return labels
