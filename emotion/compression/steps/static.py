"""Replace the Transformer by a table with a vector for each token, which a text's mean is taken of.

The vectors are what the model makes of each token alone, reduced to their principal components; the filters and the
head are new, so ``distill`` has to follow.

Source: Model2Vec (Tulkens and van Dongen 2024, github.com/MinishLab/model2vec).
"""

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from sklearn.decomposition import PCA

from emotion.compression.steps.context import Context
from emotion.compression.steps.registry import StaticStepConfig
from emotion.errors import UserError
from emotion.models import Predictor, StaticConfig, StaticForSequenceClassification, mean_hidden_state

log = logging.getLogger(__name__)


def static(predictor: Predictor, config: StaticStepConfig, seed: int) -> Predictor:
    """Return a static classifier with the predictor's tokens, whose head is drawn at random.

    Args:
        predictor: In torch and FP32; it is left as it is.
        config: The sizes.
        seed: Seed of the filters and the head.
    """
    original = predictor.torch_model.config
    vectors = token_vectors(predictor)
    width = min(config.hidden_size, *vectors.shape) // 2 * 2
    reduced = PCA(width, random_state=0).fit_transform(vectors)
    torch.manual_seed(seed)
    model = StaticForSequenceClassification(
        StaticConfig(
            vocab_size=len(vectors),
            hidden_size=width,
            head_size=config.head_size,
            filters=config.filters,
            pad_token_id=original.pad_token_id,
            id2label=original.id2label,
            label2id=original.label2id,
            tokenizer_class=type(predictor.tokenizer).__name__,
        )
    )
    with torch.no_grad():
        # The mean of many vectors is shorter than they are; a head learns best from inputs of about 1.
        model.encoder.embeddings.weight.copy_(torch.from_numpy(reduced / reduced.std()))
        model.encoder.embeddings.weight[original.pad_token_id] = 0
    log.info("vectors: %d of %d numbers", *model.encoder.embeddings.weight.shape)
    return replace(predictor, model=model.eval())  # type: ignore[no-untyped-call]


@torch.inference_mode()
def token_vectors(predictor: Predictor) -> np.ndarray:
    """Compute the mean last hidden state of each token of the vocabulary alone, between its special tokens.

    Returns:
        (tokens, hidden size), float32.
    """
    model = predictor.torch_model
    (specials,) = predictor.encoder.encode([""])  # one before a text, one after it
    rows = [np.insert(specials, len(specials) // 2, token) for token in range(model.config.vocab_size)]
    found = torch.empty(len(rows), model.config.hidden_size)
    for batch, inputs in predictor.batches(rows, 256):
        last = model(**inputs, output_hidden_states=True).hidden_states[-1]
        found[batch] = mean_hidden_state(last, inputs["attention_mask"]).float().cpu()
    return found.numpy()


def check(_settings: StaticStepConfig, before: Sequence[str], _context: Context | None) -> None:
    """Refuse steps whose work would be lost, as :meth:`emotion.compression.steps.registry.Step.check` says."""
    if lost := [name for name in before if name != "trim_vocabulary"]:
        raise UserError(f"technique.steps: static must come first or after trim_vocabulary, found it after {lost[0]}")


def apply(model: Predictor, settings: StaticStepConfig, context: Context) -> Predictor:
    """Do the step, as :meth:`emotion.compression.steps.registry.Step.apply` says."""
    return static(model, settings, context.seed)
