"""A classifier without a Transformer: the mean of a text's token vectors, and a small head.

It is known to transformers' auto classes once this module is imported.

Source: the static embeddings of Model2Vec (Tulkens and van Dongen 2024, github.com/MinishLab/model2vec); the
architecture is fastText's, Joulin et al. 2017, arXiv:1607.01759, with one hidden layer.
"""

from typing import Any

from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import AutoConfig, AutoModelForSequenceClassification, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput, SequenceClassifierOutput

from emotion.models.features import mean_hidden_state


class StaticConfig(PretrainedConfig):  # type: ignore[no-untyped-call]
    """Sizes of a :class:`StaticForSequenceClassification`."""

    model_type = "static"

    def __init__(
        self,
        vocab_size: int = 30_522,
        hidden_size: int = 256,
        head_size: int = 256,
        pad_token_id: int = 0,
        **others: Any,
    ) -> None:
        super().__init__(**others)
        self.pad_token_id = pad_token_id
        self.vocab_size, self.hidden_size, self.head_size = vocab_size, hidden_size, head_size
        self.classifier_pooling = "mean"


class StaticEncoder(PreTrainedModel):
    """Looks up a vector for each token."""

    config_class = StaticConfig
    _supports_sdpa = True  # it has no attention, so any kind will do
    _input_embed_layer = "embeddings"

    def __init__(self, config: StaticConfig) -> None:
        super().__init__(config)
        self.embeddings = nn.Embedding(config.vocab_size, config.hidden_size, padding_idx=config.pad_token_id)
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(
        self, input_ids: Tensor | None = None, inputs_embeds: Tensor | None = None, **_: Any
    ) -> BaseModelOutput:
        """Return (rows, tokens, hidden size) of ids (rows, tokens), or ``inputs_embeds`` as they are."""
        return BaseModelOutput(last_hidden_state=self.embeddings(input_ids) if inputs_embeds is None else inputs_embeds)


class StaticForSequenceClassification(PreTrainedModel):
    """Averages the vectors of a text's tokens, and classifies the mean by a head of one hidden layer."""

    config_class = StaticConfig
    base_model_prefix = "encoder"
    main_input_name = "input_ids"
    _supports_sdpa = True

    def __init__(self, config: StaticConfig) -> None:
        super().__init__(config)
        self.encoder = StaticEncoder(config)
        self.hidden = nn.Linear(config.hidden_size, config.head_size)
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
        logits = self.classifier(self.hidden(mean_hidden_state(vectors, attention_mask)).relu())
        loss = None if labels is None else cross_entropy(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits, hidden_states=(vectors,))

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.1)


AutoConfig.register(StaticConfig.model_type, StaticConfig)
AutoModelForSequenceClassification.register(StaticConfig, StaticForSequenceClassification)
