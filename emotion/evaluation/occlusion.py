"""Explain labels by occlusion: what a model says without each word."""

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise

import torch

from emotion.evaluation.attributions import Attribution, WordScore, explained_labels
from emotion.evaluation.words import Span, read_words
from emotion.models import BATCH_SIZE, NotFiniteError, Predictor

_TEXTS_AT_ONCE = 64
"""Times :data:`LONGEST_WORDS` it is the number of texts that a predictor sorts by length together."""


def occlusion(
    predictor: Predictor,
    texts: Sequence[str],
    labels: Sequence[int] | None = None,
    batch_size: int = BATCH_SIZE,
    advance: Callable[[int], object] | None = None,
) -> list[Attribution]:
    """Score each word by what the explained class loses without it: log p(class | text) - log p(class | text without).

    The unit is nats: 0.69 means that the class is half as probable without the word. The word is left out with the
    space after it, as a mask or unknown token would be one that fine-tuning never showed, which some tokenizers lack
    or normalise away. Words of scripts without spaces are single characters. Only the part of a text that the model
    reads is scored, and left without the rest, so that nothing new moves into view; it is predicted at most 130 times.

    Args:
        predictor: Any predictor, in torch or ONNX Runtime.
        texts: Any strings, empty ones included.
        labels: (texts,), the classes to explain, indices in [0, classes); None = the predicted ones.
        batch_size: Texts a forward pass, >= 1.
        advance: Called now and then with the number of texts that are done since.

    Returns:
        An attribution of each text, in order.

    Raises:
        NotFiniteError: The model's logits for a text, or for a part of it, are not finite.
        ValueError: ``labels`` do not fit.

    Source: Li et al. 2016, arXiv:1612.08220, eq. 2, by difference rather than ratio.
    """
    if isinstance(texts, str):
        raise TypeError("texts must be a sequence of strings, not one string")
    if labels is not None and len(labels) != len(texts):
        raise ValueError(f"labels: must be one for each of {len(texts)} texts, found {len(labels)}")
    explained: list[Attribution] = []
    for start in range(0, len(texts), _TEXTS_AT_ONCE):
        some = slice(start, start + _TEXTS_AT_ONCE)
        try:
            explained += _occluded(predictor, texts[some], None if labels is None else labels[some], batch_size)
        except NotFiniteError as error:
            raise NotFiniteError([start + place for place in error.places]) from error
        if advance is not None:
            advance(len(explained) - start)
    return explained


def _occluded(
    predictor: Predictor, texts: Sequence[str], labels: Sequence[int] | None, batch_size: int
) -> list[Attribution]:
    spans = [read_words(predictor.encoder, text).spans for text in texts]
    variants = [_variants(text, words) for text, words in zip(texts, spans, strict=True)]
    owners = [place for place, each in enumerate(variants) for _ in each]
    try:
        found = predictor.predict_proba([variant for each in variants for variant in each], batch_size)
    except NotFiniteError as error:
        raise NotFiniteError(sorted({owners[place] for place in error.places})) from error
    starts = list(accumulate((len(each) for each in variants), initial=0))
    by_text = torch.tensor_split(found, starts[1:-1])
    whole = found[starts[:-1]]
    attributions = []
    for text, words, probabilities, label in zip(texts, spans, by_text, explained_labels(whole, labels), strict=True):
        # A probability that float32 rounds to 0 counts as the smallest number above it, so that its log is finite.
        logs = probabilities[:, label].clamp(min=torch.finfo(torch.float32).tiny).double().log()
        scores = (logs[1] - logs[2:]).tolist()
        words_scored = [WordScore(*span, score) for span, score in zip(words, scores, strict=True)]
        attributions.append(Attribution(text, label, probabilities[0, label].item(), words_scored, "occlusion", None))
    return attributions


def _variants(text: str, words: list[Span]) -> list[str]:
    """Return the text, the part of it that is read, and that part without each word."""
    end = words[-1][1] if words else 0
    read = text[:end] if text[end:].strip() else text
    starts = [start for start, _ in words] + [end]
    without = [read[:start] + read[following:] for start, following in pairwise(starts)]
    if without:
        without[-1] = read[: words[-1][0]].rstrip() + read[end:]
    return [text, read, *without]
