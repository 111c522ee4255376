"""Build models with fewer attention heads than their hidden size implies.

Transformers has no such models: it takes ``hidden_size / num_attention_heads`` as the head size, so its configs cannot
say that heads are gone. Here ``num_attention_heads`` does not change, to keep the head size, and another entry of the
config counts the heads that each layer has left.
"""

from typing import Any

import torch
from transformers import PreTrainedModel

from emotion.models.layers import attentions

HEADS_LEFT = "attention_heads_left"
"""The config's entry; models with all their heads lack it."""


def keep_configured_heads_(model: PreTrainedModel) -> None:
    """Reduce a newly built model, before its weights are loaded, to the heads that its config says are left."""
    left = getattr(model.config, HEADS_LEFT, None)
    if left is not None:
        for part in attentions(model):
            part.keep_(torch.arange(left, device="cpu"))


def loading_class(model: PreTrainedModel) -> type[PreTrainedModel]:
    """Return the class to load ``model``'s state dict with: its own, with the heads that its config says are left."""
    plain = type(model)
    if not hasattr(model.config, HEADS_LEFT):
        return plain

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        plain.__init__(self, *args, **kwargs)
        keep_configured_heads_(self)

    return type(plain.__name__, (plain,), {"__init__": init, "__module__": plain.__module__})
