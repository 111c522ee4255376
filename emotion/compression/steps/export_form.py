"""Bring a model into the form that is exported: the same scores from fewer operators and fewer positions."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from emotion.models import Predictor
from emotion.models.fast import BERT_TYPES


def copy_to_export(predictor: Predictor) -> PreTrainedModel:
    """Return a copy of the predictor's model, on the CPU, whose embeddings are no more than its texts need.

    Of BERT and its kin, the positions beyond ``max_length`` are left out, and the one type that all tokens have is
    added to the positions beforehand.
    """
    model = copy.deepcopy(predictor.torch_model).cpu()
    embeddings: Any = getattr(model.base_model, "embeddings", None)
    if model.config.model_type in BERT_TYPES and type(embeddings.position_embeddings) is nn.Embedding:
        _cut_positions_(embeddings, predictor.max_length)
        _add_token_type_to_positions_(embeddings)
        model.config.max_position_embeddings = embeddings.position_embeddings.num_embeddings
    return model


def takes_masks(model: PreTrainedModel) -> bool:
    """Return whether ``model`` attends by any bool mask, (rows, 1, tokens, tokens), that it is called with."""
    return model.config.model_type in BERT_TYPES and model.config._attn_implementation == "sdpa"


@torch.no_grad()
def _cut_positions_(embeddings: Any, max_length: int) -> None:
    positions = embeddings.position_embeddings
    first = 0 if positions.padding_idx is None else positions.padding_idx + 1  # RoBERTa and its kin start there
    rows = min(first + max_length, positions.num_embeddings)
    embeddings.position_embeddings = nn.Embedding(
        rows, positions.embedding_dim, positions.padding_idx, _weight=positions.weight[:rows].clone()
    )
    for name in ("position_ids", "token_type_ids"):
        setattr(embeddings, name, getattr(embeddings, name)[:, :rows])


@torch.no_grad()
def _add_token_type_to_positions_(embeddings: Any) -> None:
    embeddings.position_embeddings.weight += embeddings.token_type_embeddings.weight[0]
    embeddings.token_type_embeddings = _Zero()


class _Zero(nn.Module):
    def forward(self, _indices: Tensor) -> Tensor:
        return torch.zeros(())
