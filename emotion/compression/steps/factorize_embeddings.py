"""Write the embedding matrix as a product of two thin ones, for most of a small model's weights are embeddings.

Source: Lan et al. 2019, "ALBERT", arXiv:1909.11942, section 3.1, for the shape; Chen et al. 2018, "GroupReduce",
arXiv:1806.06950, section 3.2, for a singular value decomposition in which frequent tokens count more.
"""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from emotion.compression.steps.context import Context
from emotion.compression.steps.registry import FactorizeEmbeddingsConfig
from emotion.errors import UserError
from emotion.models import EMBEDDING_RANK, FactorizedEmbedding, Predictor

log = logging.getLogger(__name__)


def factorize_embeddings_(predictor: Predictor, config: FactorizeEmbeddingsConfig, texts: Sequence[str]) -> None:
    """Replace the matrix of token embeddings by the product of the asked rank that is nearest to it.

    Distances count once for each time that a token occurs in ``texts``, and once more.

    Args:
        predictor: In FP32.
        config: The rank.
        texts: Such as those that the model was trained with.

    Raises:
        UserError: The embeddings are not a plain matrix; nothing was changed.
    """
    model = predictor.torch_model
    embedding: Any = model.get_input_embeddings()
    if not isinstance(embedding, nn.Embedding):
        raise UserError(
            f"technique.steps: factorize_embeddings must have a plain matrix of embeddings, found"
            f" {type(embedding).__name__}"
        )
    pairs = round(config.rank * embedding.embedding_dim / 2)
    rank = max(2, min(2 * pairs, embedding.num_embeddings))  # even, as INT4 stores two numbers a byte
    ids = np.concatenate([np.empty(0, np.int32), *predictor.encoder.encode(texts)])
    counts = torch.from_numpy(np.bincount(ids, minlength=embedding.num_embeddings) + 1)
    vectors, projection = nearest_product(embedding.weight.detach(), counts, rank)
    factors = FactorizedEmbedding(len(vectors), rank, embedding.embedding_dim, embedding.padding_idx)
    with torch.no_grad():
        factors.vectors.weight.copy_(vectors)
        factors.projection.weight.copy_(projection.T)
    model.set_input_embeddings(factors.to(embedding.weight.device))
    setattr(model.config, EMBEDDING_RANK, rank)
    log.info("embeddings: %s x %d numbers instead of %d", f"{len(vectors):,}", rank, embedding.embedding_dim)


def nearest_product(matrix: Tensor, counts: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Return the two factors whose product is nearest to ``matrix``, the rows being weighted by ``counts``.

    Args:
        matrix: (rows, width), float32.
        counts: (rows,), > 0: weights of the rows' squared distances.
        rank: In [1, width].

    Returns:
        (rows, rank) and (rank, width), float32; the rows of the second are orthonormal.
    """
    exact = matrix.double()
    # The best directions are the eigenvectors of the weighted second moments with the largest eigenvalues, which come
    # last; given them, each row's best coefficients are its own projection, whatever it weighs.
    _, directions = torch.linalg.eigh(exact.T @ (exact * counts[:, None].to(exact)))
    kept = directions[:, -rank:].flip(1)
    return (exact @ kept).float(), kept.T.contiguous().float()


def apply(model: Predictor, settings: FactorizeEmbeddingsConfig, context: Context) -> Predictor:
    """Do the step, as :meth:`emotion.compression.steps.registry.Step.apply` says."""
    factorize_embeddings_(model, settings, context.train().texts)
    return model
