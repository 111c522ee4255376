"""Streamline BERT's layers, once a tiny model has shown that they then compute what transformers' own do."""

import copy
import inspect
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification, PretrainedConfig, PreTrainedModel

from emotion.errors import first_line
from emotion.models import transformer_layers, without_shapes
from emotion.models.fast.bert_layer import BERT_TYPES, StreamlinedLayer, streamline_
from emotion.models.fast.classifier_forward import direct_forward_
from emotion.models.fast.guard import stays_plain

_ATTENTIONS = ("sdpa", "eager")
"""Implementations whose masks ``scaled_dot_product_attention`` accepts too."""
_MODULES = (
    *(f"attention.self.{name}" for name in ("query", "key", "value", "dropout")),
    *(f"attention.output.{name}" for name in ("dense", "dropout", "LayerNorm")),
    "intermediate.dense",
    *(f"output.{name}" for name in ("dense", "dropout", "LayerNorm")),
)
"""Modules that a layer has."""

_tried: dict[tuple[Any, ...], str | None] = {}
"""Why layers stay plain, or None, by what the answer depends on."""


def streamline_bert_layers_(model: PreTrainedModel) -> None:
    """Turn the layers of ``model`` into :class:`StreamlinedLayer`, if they are BERT's and as expected."""
    if model.config.model_type not in BERT_TYPES or model.config.is_decoder:
        return
    layers = transformer_layers(model)
    reason = _why_not(model.config, layers)
    if reason is None:
        streamline_(layers)
    else:
        stays_plain(f"{type(model).__name__}'s layers", reason)


def _why_not(config: PretrainedConfig, layers: nn.ModuleList) -> str | None:
    classes = {_plain_class(layer) for layer in layers}
    attention = getattr(config, "_attn_implementation", None)
    key = (frozenset(classes), config.model_type, str(config.hidden_act), attention)
    if key not in _tried:
        _tried[key] = _trial(config, classes, attention)
    return _tried[key]


def _trial(config: PretrainedConfig, classes: set[type], attention: str | None) -> str | None:
    if attention not in _ATTENTIONS:
        return f"their attention is {attention}"
    try:
        plain = _tiny(config, attention)
        layer = transformer_layers(plain)[0]
        if classes != {type(layer)}:
            return f"they are {', '.join(sorted(each.__name__ for each in classes))}"
        if list(inspect.signature(type(layer).forward).parameters)[1:3] != ["hidden_states", "attention_mask"]:
            return f"{type(layer).__name__}.forward takes other arguments"
        for name in _MODULES:
            layer.get_submodule(name)
        streamlined = copy.deepcopy(plain)
        streamline_(transformer_layers(streamlined))
        direct_forward_(streamlined)
        return None if _same(plain, streamlined) else "a tiny model's results differ"
    except Exception as error:  # any change in transformers
        return first_line(error)


def _tiny(config: PretrainedConfig, attention: str) -> PreTrainedModel:
    """Build a small model of the architecture of ``config``, drawn without a trace in torch's generator."""
    small = without_shapes(copy.deepcopy(config))
    if hasattr(small, "quantization_config"):
        del small.quantization_config
    sizes = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 12, "num_hidden_layers": 2}
    small.update({**sizes, "vocab_size": (small.pad_token_id or 0) + 8})
    with torch.random.fork_rng(devices=[]), torch.device("cpu"), torch.no_grad():
        torch.manual_seed(0)
        model: PreTrainedModel = AutoModelForSequenceClassification.from_config(  # type: ignore[no-untyped-call]
            small, dtype=torch.float32, attn_implementation=attention, trust_remote_code=False
        )
        for parameter in model.parameters():
            parameter.normal_(std=0.5)
    return model.eval()  # type: ignore[no-untyped-call, no-any-return]


def _same(plain: PreTrainedModel, streamlined: PreTrainedModel) -> bool:
    """Return whether both give the same logits, with padding and without, and the same hidden states."""
    ids = torch.arange(10, device="cpu").view(2, 5) % 7 + (plain.config.pad_token_id or 0) + 1
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], device="cpu")
    with torch.inference_mode():
        for inputs in ({"attention_mask": mask}, {}):
            answers = [model(ids, **inputs, output_hidden_states=True) for model in (plain, streamlined)]
            states = zip(*(answer.hidden_states for answer in answers), strict=True)
            short = streamlined(ids, **inputs)
            pairs = [(short.logits, answers[0].logits), (answers[1].logits, answers[0].logits), *states]
            if not all(_close(one, other) for one, other in pairs):
                return False
    return True


def _close(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(one, other, rtol=1e-4, atol=1e-5)


def _plain_class(layer: nn.Module) -> type:
    return layer.layer if isinstance(layer, StreamlinedLayer) else type(layer)
