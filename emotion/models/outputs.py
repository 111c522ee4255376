"""Compute what a classifier gives for token ids, in batches of similar length."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from emotion.data import TextEncoder, TokenIds, batches_by_length
from emotion.errors import UserError
from emotion.models.features import features_captured
from emotion.models.onnx_runtime import BATCH_TOKENS, BatchOutput, OnnxClassifier


def joined_outputs(
    model: PreTrainedModel | OnnxClassifier,
    encoder: TextEncoder,
    rows: Sequence[TokenIds],
    batch_size: int,
    advance: Callable[[list[int]], object] | None = None,
    with_features: bool = False,
) -> BatchOutput:
    """Compute all batches, and return one output for all ``rows``, in their order.

    Args:
        model: The classifier, in eval mode.
        encoder: What made the rows; it pads them.
        rows: Token ids of each text.
        batch_size: Rows a forward pass, >= 1.
        advance: Called after each batch with the places of its rows.
        with_features: Whether features are needed.
    """
    places, outputs = list[int](), list[BatchOutput]()
    for batch, found in _outputs(model, encoder, rows, batch_size, with_features):
        places += batch
        outputs.append(found)
        if advance is not None:
            advance(batch)
    if len(outputs) == 1 and len(rows) == 1:
        return outputs[0]
    if not outputs:
        return BatchOutput(np.empty((0, len(model.config.id2label or ())), dtype=np.float32))
    order = np.argsort(places)
    features = [found.features for found in outputs if found.features is not None]
    return BatchOutput(
        np.concatenate([found.logits for found in outputs])[order],
        np.concatenate(features)[order] if features else None,
    )


def padded_batches(
    model: PreTrainedModel | OnnxClassifier,
    encoder: TextEncoder,
    rows: Sequence[TokenIds],
    batch_size: int,
    most_tokens: int | None = None,
) -> Iterator[tuple[list[int], dict[str, np.ndarray]]]:
    """Yield batches of rows of similar length, the longest rows first.

    Args:
        model: The classifier that will read them.
        encoder: What made the rows; it pads them.
        rows: Token ids of each text.
        batch_size: Rows a batch, >= 1.
        most_tokens: Most tokens of a batch of several rows, padding included, >= 1; None = any number.

    Yields:
        The places of a batch's rows in ``rows``, and ``input_ids`` and ``attention_mask``, each (rows of the batch,
        tokens), int64.

    Raises:
        UserError: The tokenizer gives ids that the model does not have.
    """
    vocab_size = model.config.vocab_size
    for batch in batches_by_length(np.array([len(row) for row in rows]), batch_size, most_tokens):
        padded = encoder.padded([rows[index] for index in batch])
        lowest, highest = int(padded["input_ids"].min()), int(padded["input_ids"].max())
        if lowest < 0 or highest >= vocab_size:
            rule = f"must have a tokenizer with ids from 0 to {vocab_size - 1}, as its model"
            raise UserError(f"weights: {rule}, found {lowest if lowest < 0 else highest}")
        yield batch, padded


def _outputs(
    model: PreTrainedModel | OnnxClassifier,
    encoder: TextEncoder,
    rows: Sequence[TokenIds],
    batch_size: int,
    with_features: bool,
) -> Iterator[tuple[list[int], BatchOutput]]:
    """Yield the places of each batch's rows and what the model gives for them."""
    if isinstance(model, OnnxClassifier):
        yield from model.of_batches(padded_batches(model, encoder, rows, batch_size, BATCH_TOKENS))
        return
    for batch, padded in padded_batches(model, encoder, rows, batch_size):
        inputs = {name: torch.from_numpy(ids).to(model.device) for name, ids in padded.items()}
        yield batch, _torch_output(model, inputs, with_features)


@torch.inference_mode()
def _torch_output(model: PreTrainedModel, inputs: dict[str, Tensor], with_features: bool) -> BatchOutput:
    if not with_features:
        return BatchOutput(model(**inputs).logits.float().cpu().numpy())
    with features_captured(model) as captured:
        logits = model(**inputs).logits.float().cpu()
    return BatchOutput(logits.numpy(), captured[-1].float().cpu().numpy())
