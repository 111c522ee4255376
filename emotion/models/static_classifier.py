"""A classifier without a Transformer: the mean of a text's token vectors, a convolution, and a small head.

It is known to transformers' auto classes once this module is imported.

Source: the static embeddings of Model2Vec (Tulkens and van Dongen 2024, github.com/MinishLab/model2vec) under one
hidden layer, as in fastText (Joulin et al. 2017, arXiv:1607.01759); the convolution over neighbouring tokens, and its
maximum over the text, are those of Kim 2014, arXiv:1408.5882.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import AutoConfig, AutoModelForSequenceClassification, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput, SequenceClassifierOutput

from emotion.models.features import mean_hidden_state

_WIDTH = 3
"""Tokens that a filter reads: one, and its neighbours."""


class StaticConfig(PretrainedConfig):  # type: ignore[no-untyped-call]
    """Sizes of a :class:`StaticForSequenceClassification`."""

    model_type = "static"

    def __init__(
        self,
        vocab_size: int = 30_522,
        hidden_size: int = 256,
        head_size: int = 256,
        filters: int = 0,
        pad_token_id: int = 0,
        **others: Any,
    ) -> None:
        super().__init__(**others)
        self.pad_token_id = pad_token_id
        self.vocab_size, self.hidden_size, self.head_size = vocab_size, hidden_size, head_size
        self.filters = filters
        self.classifier_pooling = "mean"


class StaticEncoder(PreTrainedModel):
    """Looks up a vector for each token, and holds the filters over neighbours."""

    config_class = StaticConfig
    _supports_sdpa = True  # it has no attention, so any kind will do
    _input_embed_layer = "embeddings"

    def __init__(self, config: StaticConfig) -> None:
        super().__init__(config)
        self.embeddings = nn.Embedding(config.vocab_size, config.hidden_size, padding_idx=config.pad_token_id)
        if config.filters:
            # A linear layer gives each token's part in the filters of its neighbours: INT8 is for such layers.
            self.convolution = nn.Linear(config.hidden_size, _WIDTH * config.filters, bias=False)
            self.convolution_bias = nn.Parameter(torch.zeros(config.filters))
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(
        self, input_ids: Tensor | None = None, inputs_embeds: Tensor | None = None, **_: Any
    ) -> BaseModelOutput:
        """Return (rows, tokens, hidden size) of ids (rows, tokens), or ``inputs_embeds`` as they are."""
        return BaseModelOutput(last_hidden_state=self.embeddings(input_ids) if inputs_embeds is None else inputs_embeds)

    def filtered(self, vectors: Tensor, attention_mask: Tensor) -> Tensor:
        """Compute (rows, tokens, filters), >= 0, of (rows, tokens, hidden size); 0 for padding."""
        inside = attention_mask[:, :, None].to(vectors.dtype)
        before, own, after = self.convolution(vectors * inside).chunk(_WIDTH, dim=-1)
        # A token's filters add the part of the token before it, its own, and that of the one after it.
        places = torch.arange(own.shape[1], device=own.device)
        last = own.shape[1] - 1
        before = before[:, (places - 1).clamp(min=0)] * (places > 0)[:, None]
        after = after[:, (places + 1).clamp(max=last)] * (places < last)[:, None]
        filters: Tensor = (before + own + after + self.convolution_bias).relu() * inside
        return filters


class StaticForSequenceClassification(PreTrainedModel):
    """Classifies the mean of a text's vectors, and the maximum of its filters, by a head of one hidden layer."""

    config_class = StaticConfig
    base_model_prefix = "encoder"
    main_input_name = "input_ids"
    _supports_sdpa = True

    def __init__(self, config: StaticConfig) -> None:
        super().__init__(config)
        self.encoder = StaticEncoder(config)
        self.hidden = nn.Linear(config.hidden_size + config.filters, config.head_size)
        self.classifier = nn.Linear(config.head_size, len(config.id2label or ()))
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        **_: Any,
    ) -> SequenceClassifierOutput:
        """Compute logits, (rows, labels), of ids or of vectors, (rows, tokens) or (rows, tokens, hidden size)."""
        assert attention_mask is not None, "a mean needs to know which tokens a text has"
        vectors = self.encoder(input_ids, inputs_embeds, attention_mask=attention_mask).last_hidden_state
        pooled = mean_hidden_state(vectors, attention_mask)
        if self.config.filters:
            pooled = torch.cat([pooled, self.encoder.filtered(vectors, attention_mask).amax(dim=1)], dim=-1)
        logits = self.classifier(self.hidden(pooled).relu())
        loss = None if labels is None else cross_entropy(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits, hidden_states=(vectors,))

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.1)


AutoConfig.register(StaticConfig.model_type, StaticConfig)
AutoModelForSequenceClassification.register(StaticConfig, StaticForSequenceClassification)
