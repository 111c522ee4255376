"""Explain labels by integrated gradients: how the embeddings of each word add up to a class's logit."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from emotion.errors import UserError, first_line, listed
from emotion.evaluation.attributions import Attribution, WordScore, explained_labels
from emotion.evaluation.words import ReadWords, read_words
from emotion.models import BATCH_SIZE, OnnxClassifier, Predictor


class PathIntegral(NamedTuple):
    """The gradients of some texts, integrated."""

    scores: Tensor
    """(texts, tokens), float32, in logits."""
    gaps: Tensor
    """(texts,), float32: the scores' sums minus the change of the logit, which exact integrals equal."""


@torch.inference_mode(False)
@torch.enable_grad()
def integrated_gradients(
    predictor: Predictor,
    texts: Sequence[str],
    labels: Sequence[int] | None = None,
    steps: int = 32,
    batch_size: int = BATCH_SIZE,
    advance: Callable[[int], object] | None = None,
) -> list[Attribution]:
    """Score each word by its share of the explained class's logit, compared with a text of padding.

    The gradient of the logit by the embeddings is averaged over ``steps`` points (midpoints) on the line from the
    padding's embedding to each token's, times their difference, and summed over the embedding and a word's tokens. The
    tokens that every text has, such as ``[CLS]``, stay. The scores sum to the change of the logit, up to
    ``convergence_gap``, which falls with more steps. The logit is before the temperature.

    Args:
        predictor: A predictor in torch.
        texts: Any strings, empty ones included.
        labels: (texts,), the classes to explain, indices in [0, classes); None = the predicted ones.
        steps: Points on the line, >= 1; each is one forward and one backward pass.
        batch_size: Texts a pass, >= 1.
        advance: Called after each batch with the number of its texts.

    Returns:
        An attribution of each text, in order.

    Raises:
        UserError: The model is in ONNX Runtime or INT8, or takes no embeddings, or its gradients are not finite.
        ValueError: ``labels`` do not fit.

    Source: Sundararajan et al. 2017, arXiv:1703.01365, eq. 3; the completeness check is their proposition 1.
    """
    model = _differentiable(predictor)
    probabilities = predictor.predict_proba(texts, batch_size)
    targets = explained_labels(probabilities, labels)
    encoder = predictor.encoder
    words = [read_words(encoder, text) for text in texts]
    found: list[Attribution | None] = [None] * len(texts)
    for batch, inputs in predictor.batches(encoder.encode(texts), batch_size):
        replaced = _padded([words[place].owners >= 0 for place in batch], inputs["input_ids"])
        target = torch.tensor([targets[place] for place in batch], device=replaced.device)
        scores, gaps = _integrate(model, inputs, replaced, target, encoder.tokenizer.pad_token_id, steps)
        _refuse_infinite(scores.sum(-1) + gaps, batch)
        for place, token_scores, gap in zip(batch, scores.cpu().double().numpy(), gaps.tolist(), strict=True):
            label = targets[place]
            probability = probabilities[place, label].item()
            merged = _merged(words[place], token_scores)
            found[place] = Attribution(texts[place], label, probability, merged, "integrated_gradients", gap)
        if advance is not None:
            advance(len(batch))
    return [each for each in found if each is not None]  # all of them: each text is in a batch


def _differentiable(predictor: Predictor) -> PreTrainedModel:
    """Return the model, if its outputs have gradients with a meaning."""
    if isinstance(predictor.model, OnnxClassifier):
        found = "a model in ONNX Runtime, which has no gradients"
    elif predictor.precision == "int8":
        found = "an INT8 model, which rounds what gradients measure"
    else:
        return predictor.model
    rule = "integrated_gradients needs a .pt checkpoint that is not quantised"
    raise UserError(f"method: {rule}, found {found}; use occlusion")


def _padded(rows: Sequence[np.ndarray], ids: Tensor) -> Tensor:
    """Return (texts, tokens), bool, like ``ids``: ``rows``, and False for the padding."""
    padded = torch.zeros(ids.shape, dtype=torch.bool)
    for place, row in enumerate(rows):
        padded[place, : len(row)] = torch.from_numpy(row)
    return padded.to(ids.device)


def _refuse_infinite(sums: Tensor, batch: Sequence[int]) -> None:
    places = [place for place, good in zip(batch, sums.isfinite().tolist(), strict=True) if not good]
    if places:
        found = listed("text", sorted(places))
        raise UserError(f"weights: must give finite gradients, found others for {found}; use occlusion")


def _integrate(
    model: PreTrainedModel, inputs: dict[str, Tensor], replaced: Tensor, target: Tensor, padding: int, steps: int
) -> PathIntegral:
    """Integrate the gradients of the logit ``target`` from padding to ``inputs``, where ``replaced``.

    Args:
        model: Classifier in eval mode.
        inputs: ``input_ids`` and ``attention_mask``, each (texts, tokens), int64.
        replaced: (texts, tokens), bool: tokens that the line starts without.
        target: (texts,), int64 in [0, classes).
        padding: The padding's token id.
        steps: Points on the line, >= 1.
    """
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    table = model.get_input_embeddings()
    actual = table(ids).detach()
    baseline = table(torch.where(replaced, padding, ids)).detach()
    difference = actual - baseline

    def logit(embeddings: Tensor) -> Tensor:
        try:
            logits = model(inputs_embeds=embeddings, attention_mask=mask).logits.float()
        except TypeError as error:
            rule = "must be of a model that takes embeddings for integrated gradients"
            raise UserError(f"weights: {rule}, found {first_line(error)}; use occlusion") from error
        chosen: Tensor = logits.gather(1, target[:, None]).squeeze(1)
        return chosen

    total = torch.zeros_like(difference, dtype=torch.float32)
    for step in range(steps):
        point = (baseline + (step + 0.5) / steps * difference).requires_grad_()
        (gradient,) = torch.autograd.grad(logit(point).sum(), point)
        total += gradient.float()
    scores = (total / steps * difference.float()).sum(-1)
    with torch.no_grad():
        change = logit(actual) - logit(baseline)
    return PathIntegral(scores, scores.sum(-1) - change)


def _merged(words: ReadWords, token_scores: np.ndarray) -> list[WordScore]:
    """Sum the scores of each word's tokens."""
    owners = words.owners
    owned = owners >= 0
    sums = np.bincount(owners[owned], token_scores[: len(owners)][owned], minlength=len(words.spans))
    return [WordScore(*span, score) for span, score in zip(words.spans, sums.tolist(), strict=True)]
