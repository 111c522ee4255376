"""Keep the most important neurons, attention heads and parts of the hidden states, in smaller dense matrices.

Source: Michel et al. 2019, "Are sixteen heads really better than one?", arXiv:1905.10650, section 4.1, for heads;
Molchanov et al. 2017, arXiv:1611.06440, section 2.2, for neurons.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from emotion.compression.steps.context import Context
from emotion.compression.steps.registry import NarrowConfig
from emotion.errors import UserError
from emotion.models import (
    EMBEDDING_RANK,
    HEADS_LEFT,
    HiddenStates,
    InnerPart,
    Predictor,
    attentions,
    feed_forwards,
    head_size,
    record_feed_forward_width,
)

log = logging.getLogger(__name__)

MAX_TEXTS = 512
"""Most texts, evenly spread, on which importance is measured."""


def narrow_(predictor: Predictor, config: NarrowConfig, texts: Sequence[str], labels: Sequence[int]) -> None:
    """Keep the share ``config.ffn`` of the neurons and ``config.heads`` of the heads of each layer, at least one.

    All layers keep equally many; each keeps its own most important ones, in their old order. Of the hidden
    states, which all layers share, the share ``config.hidden`` is kept, in whole head sizes.

    Args:
        predictor: Predictor in FP32.
        config: The shares.
        texts: At least one, such as those that the model was trained with.
        labels: The class index of each text.

    Raises:
        UserError: The model's architecture is not known to :mod:`emotion.models.layers`, or its embeddings are a
            product of a rank that the hidden states are to be narrowed to; nothing was changed.
    """
    model = predictor.torch_model
    neurons, heads, hidden = feed_forwards(model), attentions(model), HiddenStates(model)
    heads_wide = max(1, round(config.hidden * model.config.num_attention_heads))
    rank = getattr(model.config, EMBEDDING_RANK, None)
    if rank is not None and heads_wide * head_size(model) <= rank:
        raise UserError(
            f"narrow.hidden: must leave hidden states wider than the embeddings' rank of {rank}, found"
            f" {heads_wide * head_size(model)}; put factorize_embeddings after narrow"
        )
    spread = np.linspace(0, len(texts) - 1, min(len(texts), MAX_TEXTS)).round().astype(int)
    parts: list[InnerPart | HiddenStates] = [*neurons, *heads, hidden]
    scores = importance(predictor, parts, [texts[i] for i in spread], [labels[i] for i in spread])
    heads_left = min(max(1, round(config.heads * heads[0].units)), heads_wide)
    counts = [max(1, round(config.ffn * part.units)) for part in neurons] + [heads_left] * len(heads)
    for part, count, score in zip(parts, [*counts, heads_wide * head_size(model)], scores, strict=True):
        if count < part.units:
            part.keep_(_best(score, count))
    record_feed_forward_width(model, neurons[0].units)
    if heads[0].units < model.config.num_attention_heads:
        setattr(model.config, HEADS_LEFT, heads[0].units)
    log.info(
        "each layer: %d neurons and %d attention heads kept; hidden states of %d",
        *(neurons[0].units, heads[0].units, hidden.units),
    )


def importance(
    predictor: Predictor, parts: Sequence[InnerPart | HiddenStates], texts: Sequence[str], labels: Sequence[int]
) -> list[Tensor]:
    """Estimate to first order how much the loss would change without a unit: the sum of the texts' absolute changes.

    A change is the gradient with respect to a factor of 1 on the unit's output. The model's own gradients stay.

    Returns:
        (units,) of each part, float32 >= 0.
    """
    model = predictor.model
    rows = predictor.encoder.encode(texts)
    totals = [torch.zeros(part.units, device=model.device) for part in parts]
    for batch, inputs in predictor.batches(rows):
        factors = [torch.ones(len(batch), part.units, device=model.device, requires_grad=True) for part in parts]
        with _multiplied(parts, factors):
            logits = model(**inputs).logits
        # Take the sum, as the gradient of a text's factors must be that of this text's loss alone.
        loss = cross_entropy(logits, torch.tensor([labels[i] for i in batch], device=model.device), reduction="sum")
        for total, gradient in zip(totals, torch.autograd.grad(loss, factors), strict=True):
            total += gradient.abs().sum(dim=0)
    return totals


@contextmanager
def _multiplied(parts: Sequence[InnerPart | HiddenStates], factors: Sequence[Tensor]) -> Iterator[None]:
    """Multiply each part's units by the factors, (texts, units), within the block."""

    def multiply(part: InnerPart | HiddenStates, factor: Tensor) -> list[torch.utils.hooks.RemovableHandle]:
        if isinstance(part, InnerPart):
            wide = factor.repeat_interleave(part.unit_width, dim=1)[:, None]
            return [part.reader.register_forward_pre_hook(lambda _, inputs: inputs[0] * wide)]
        return [
            writer.register_forward_hook(lambda _module, _inputs, output: output * factor[:, None])
            for writer in part.writers
        ]

    handles = [handle for part, factor in zip(parts, factors, strict=True) for handle in multiply(part, factor)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _best(scores: Tensor, count: int) -> Tensor:
    """Return the places of the highest scores, (count,), int64, ascending; of equal scores, the first."""
    return scores.argsort(descending=True, stable=True)[:count].sort().values


def apply(model: Predictor, settings: NarrowConfig, context: Context) -> Predictor:
    """Do the step, as :meth:`emotion.compression.steps.registry.Step.apply` says."""
    train = context.train()
    narrow_(model, settings, train.texts, train.labels)
    return model
