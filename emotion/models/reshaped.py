"""Build models of shapes that transformers' configs cannot describe: with fewer heads, with factorised embeddings.

Transformers takes ``hidden_size / num_attention_heads`` as the head size, and the hidden size as that of the
embeddings. Here both entries stay as they are, and further entries of the config tell what a model differs in.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel

from emotion.models.layers import attentions

HEADS_LEFT = "attention_heads_left"
"""The config's entry for the heads that each layer has left; models with all their heads lack it."""
EMBEDDING_RANK = "embedding_rank"
"""The config's entry for the width of factorised embeddings; models with plain ones lack it."""
_SHAPES = {HEADS_LEFT: "fewer attention heads", EMBEDDING_RANK: "factorised embeddings"}


class FactorizedEmbedding(nn.Module):
    """An embedding whose matrix is a product of two: a short vector for each token, and a map to the hidden size.

    Source: Lan et al. 2019, "ALBERT", arXiv:1909.11942, section 3.1.

    Args:
        tokens: Number of rows.
        rank: Width of the short vectors, >= 1.
        width: Width of the result.
        padding_idx: The row that is not trained; None = there is none.
    """

    def __init__(self, tokens: int, rank: int, width: int, padding_idx: int | None) -> None:
        super().__init__()
        self.vectors = nn.Embedding(tokens, rank, padding_idx)
        self.projection = nn.Linear(rank, width, bias=False)

    def forward(self, ids: Tensor) -> Tensor:
        """Return (..., width) for ids (...), int64."""
        vectors: Tensor = self.projection(self.vectors(ids))
        return vectors


def token_table(model: PreTrainedModel) -> nn.Module:
    """Return the module with a row for each token: an ``nn.Embedding``, unless the model is of an unusual kind."""
    embedding: nn.Module = model.get_input_embeddings()
    return embedding.vectors if isinstance(embedding, FactorizedEmbedding) else embedding


def shape_differences(config: PretrainedConfig) -> list[str]:
    """Name what a model of ``config`` has that transformers' own models have not, such as "fewer attention heads"."""
    return [words for entry, words in _SHAPES.items() if hasattr(config, entry)]


def without_shapes(config: PretrainedConfig) -> PretrainedConfig:
    """Take the entries out of ``config``, which is changed, that transformers' own models lack."""
    for entry in _SHAPES:
        if hasattr(config, entry):
            delattr(config, entry)
    return config


def reshape_(model: PreTrainedModel) -> None:
    """Give a newly built model, before its weights are loaded, the shape that its config tells."""
    heads, rank = (getattr(model.config, entry, None) for entry in (HEADS_LEFT, EMBEDDING_RANK))
    if heads is not None:
        for part in attentions(model):
            part.keep_(torch.arange(heads, device="cpu"))
    if rank is not None:
        plain: Any = model.get_input_embeddings()
        with plain.weight.device:
            factors = FactorizedEmbedding(plain.num_embeddings, rank, plain.embedding_dim, plain.padding_idx)
        model.set_input_embeddings(factors.to(plain.weight.dtype))


def loading_class(model: PreTrainedModel) -> type[PreTrainedModel]:
    """Return the class to load ``model``'s state dict with: its own, in the shape that its config tells."""
    plain = type(model)
    if not shape_differences(model.config):
        return plain

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        plain.__init__(self, *args, **kwargs)
        reshape_(self)

    return type(plain.__name__, (plain,), {"__init__": init, "__module__": plain.__module__})
