"""Read, from a classifier's call, the features of each text that its head decides by."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock, get_ident
from typing import Any

from torch import Tensor
from transformers import PreTrainedModel

_registering = Lock()
"""Torch numbers hooks by a counter that threads must not raise together."""


@contextmanager
def features_captured(model: PreTrainedModel) -> Iterator[list[Tensor]]:
    """Yield a list to which each call of ``model`` in this thread adds its features, within the block.

    They are the encoder's last hidden state at the first token, or averaged over the tokens where the head averages
    too: (rows, hidden size).
    """
    found: list[Tensor] = []
    thread = get_ident()

    def keep(*arguments: Any) -> None:
        if get_ident() != thread:
            return  # a call that began before this hook was removed may even leave out its keywords
        _, _, kwargs, output = arguments
        found.append(pooled(output[0], kwargs.get("attention_mask"), model))

    with _registering:
        handle = model.base_model.register_forward_hook(keep, with_kwargs=True)
    try:
        yield found
    finally:
        with _registering:
            handle.remove()


def pooled(hidden: Tensor, attention_mask: Tensor | None, model: PreTrainedModel) -> Tensor:
    """Return (rows, hidden size) of the last hidden state, (rows, tokens, hidden size), as the head reads it."""
    if getattr(model.config, "classifier_pooling", "cls") != "mean" or attention_mask is None:
        return hidden[:, 0]
    return mean_hidden_state(hidden, attention_mask)


def mean_hidden_state(hidden: Tensor, attention_mask: Tensor) -> Tensor:
    """Average hidden states over the tokens of each text.

    Args:
        hidden: (rows, tokens, size), float.
        attention_mask: (rows, tokens), 1 for tokens and 0 for padding; at least one token a row.

    Returns:
        (rows, size), in the dtype of ``hidden``.
    """
    mask = attention_mask[:, :, None].to(hidden.dtype)
    return (hidden * mask).sum(dim=1) / mask.sum(dim=1)
