"""A classifier whose logits are linear in the mean of the embeddings, so that attributions can be computed by hand."""

from types import SimpleNamespace

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig

from emotion.models import Predictor


class LinearModel(nn.Module):
    """Takes ids or embeddings, (rows, tokens) or (rows, tokens, 5); all tokens but padding count."""

    device = torch.device("cpu")

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(5)
        self.config = config
        self.table = nn.Embedding.from_pretrained(torch.randn(config.vocab_size, 5, generator=generator))
        self.head = torch.randn(5, 6, generator=generator)

    def get_input_embeddings(self) -> nn.Embedding:
        return self.table

    def forward(
        self, input_ids: Tensor | None = None, attention_mask: Tensor | None = None, inputs_embeds: Tensor | None = None
    ) -> SimpleNamespace:
        states = self.table(input_ids) if inputs_embeds is None else inputs_embeds
        weights = attention_mask / attention_mask.sum(-1, keepdim=True)
        return SimpleNamespace(logits=(states * weights[..., None]).sum(1) @ self.head)


def linear(predictor: Predictor) -> Predictor:
    """Put a linear model in place of the predictor's."""
    predictor.model = LinearModel(predictor.model.config)
    return predictor
