"""Rebuild a checkpoint's model and tokenizer from what its file holds."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import (
    AutoModelForSequenceClassification,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from emotion.checkpoint.format import match_keys
from emotion.errors import UserError, quoted
from emotion.labels import LabelSet
from emotion.models import (
    ModelConfig,
    find_backbone,
    is_int8,
    keep_head_in_fp32,
    load_config,
    load_int8,
    load_tokenizer,
    loading_class,
    model_choices,
    quiet_transformers,
    reshape_,
)
from emotion.models.fast import model_from_state
from emotion.temporaries import temporary_folder


def build_tokenizer(files: dict[str, bytes], config: PretrainedConfig, normalization: str) -> PreTrainedTokenizerBase:
    """Build a tokenizer from only its original files; the backbone's config determines its class."""
    with temporary_folder() as folder, quiet_transformers():
        for name, data in files.items():
            (folder / name).write_bytes(data)
        config.save_pretrained(folder)
        return load_tokenizer(folder, normalization)


def find_config_and_tokenizer(model_id: str, labels: LabelSet) -> tuple[PretrainedConfig, dict[str, bytes]]:
    """Find a backbone's config and tokenizer files, for a checkpoint that lacks them.

    Raises:
        UserError: The backbone cannot be found.
    """
    known = {model.backbone: model for model in model_choices().values()}
    model = known.get(model_id) or ModelConfig(
        name="unknown",
        backbone=model_id,
        revision="main",
        normalization="none",
        learning_rate=1.0,
        sha256={},
        package=None,
    )
    backbone = find_backbone(model, need_weights=False)
    config = load_config(backbone.folder, labels)
    config.dtype = torch.float32  # of the fine-tuned weights, even if the backbone's had another
    return config, backbone.tokenizer_files()


def build_model(
    config: PretrainedConfig, tensors: dict[str, Tensor], path: Path, device: torch.device, is_ours: bool
) -> PreTrainedModel:
    """Build the model of ``config`` with ``tensors``, in eval mode, without initialising it at random first.

    It has the config's dtype and quantisation; the head is always in FP32.

    Raises:
        UserError: A tensor is missing or has another shape; or, in a file that ``is_ours``, one is left over, so that
            the config is another model's.
    """
    with torch.device("meta"):
        skeleton: PreTrainedModel = AutoModelForSequenceClassification.from_config(  # type: ignore[no-untyped-call]
            config, attn_implementation="sdpa", trust_remote_code=False
        )
    reshape_(skeleton)
    expected = {name: value.shape for name, value in skeleton.state_dict().items()}
    weights = match_keys(tensors, expected, path)
    for name, shape in expected.items():
        if weights[name].shape != shape:
            raise UserError(f"{path}: {name} must have shape {tuple(shape)}, found {tuple(weights[name].shape)}")
    if is_ours and not is_int8(config) and (surplus := sorted(tensors.keys() - expected.keys())):
        raise UserError(f"{path}: must hold no tensors but its config's model's, found {quoted(surplus[0])}")
    if is_int8(config):
        return load_int8(loading_class(skeleton), config, tensors, device)
    dtype: torch.dtype = getattr(torch, str(config.dtype or torch.float32).removeprefix("torch."))
    with quiet_transformers():
        model = model_from_state(loading_class(skeleton), config, weights, dtype)
    if dtype != torch.float32:
        keep_head_in_fp32(model, weights)
    model.to(device).eval()  # type: ignore[arg-type]
    return model


def require_layers(backbone_config: dict[str, Any], most: int, path: Path) -> None:
    """Refuse a config of more layers than ``most``, which would take hours to build or fill the memory with names."""
    for name, value in backbone_config.items():
        if "layer" in name and isinstance(value, int) and value > most:
            raise UserError(
                f"{path}: backbone_config.{name} must be at most {most:,}, the number of tensors in the file, found"
                f" {quoted(value)}"
            )
