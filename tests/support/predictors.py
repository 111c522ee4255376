"""Tiny predictors of every architecture, as if they were trained."""

from pathlib import Path

import torch

from emotion.models import ModelConfig, Predictor, find_backbone, load_pretrained, load_tokenizer, model_choices
from emotion.models.fast import speed_up_
from support.files import TEXTS
from support.labels import EMOTION6

KINDS = ("bertweet", "cardiff", "modernbert", "minilm")


NAMES = {choice: config.name for choice, config in model_choices().items()}


def untrained(kind: str, folder: Path) -> Predictor:
    """A checkpoint of a tiny backbone as if it were trained: texts get different labels.

    No weight is 0 or 1, except in the padding's embedding. Almost none can be stored exactly in half precision.
    """
    config = model_config(kind, folder)
    backbone = find_backbone(config)
    torch.manual_seed(3)
    model = load_pretrained(backbone, EMOTION6)
    speed_up_(model)  # as training does, so that a loaded model rounds in the same way
    checkpoint = Predictor(
        model=model,
        tokenizer=load_tokenizer(backbone.folder, config.normalization),
        tokenizer_files=backbone.tokenizer_files(),
        model_id="owner/" + kind,
        model_name=NAMES[kind],
        labels=EMOTION6,
        max_length=48,
        normalization=config.normalization,
        metadata={"accuracy": 0.5},
    )
    (head,) = (module for module in model.modules() if getattr(module, "out_features", None) == 6)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1:  # biases and norms
                parameter.add_(0.1 * torch.randn_like(parameter))
            elif "embedding" not in name:
                parameter.mul_(8)  # so that what a layer does to a text matters
        spread = 2 / _logits(checkpoint).std(0)
        head.weight.mul_(spread[:, None])
        head.bias.mul_(spread)
        head.bias -= _logits(checkpoint).mean(0)
    return checkpoint


def _logits(checkpoint: Predictor) -> torch.Tensor:
    """(texts, 6), up to a constant for each text."""
    return checkpoint.predict_proba(TEXTS).clamp(min=1e-30).log()


def model_config(kind: str, backbone: Path) -> ModelConfig:
    """The config of ``conf/model`` on a tiny backbone."""
    return model_choices()[kind].updated(backbone=str(backbone))


def out_of_memory(*_: object) -> None:
    """What torch does when a batch is too large."""
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate much")
