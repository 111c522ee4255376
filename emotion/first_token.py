"""The last layer of BERT and RoBERTa classifiers, computed for the first token alone: their heads read no other.

The classes' scores are the same but for rounding; a seventh of MiniLM's work and less of a base model's is left out.
"""

from functools import cache
from typing import Any

from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import PreTrainedModel

from emotion.transformer_layers import transformer_layers

READS_FIRST_TOKEN = ("bert", "roberta", "xlm-roberta", "camembert")
"""Model types whose classification head reads the last layer's first token; all share BERT's layer."""


def compute_first_token_only_(model: PreTrainedModel) -> None:
    """Change the last layer to return (rows, 1, hidden size), where the model's head reads the first token alone."""
    if model.config.model_type not in READS_FIRST_TOKEN or model.config.is_decoder:
        return
    last = transformer_layers(model)[-1]
    if not isinstance(last, _FirstToken):
        last.__class__ = _first_token_class(type(last))  # type: ignore[arg-type]


class _FirstToken:
    """BERT's layer with the first token as its only query."""

    layer: type
    """The class that it was."""

    attention: Any
    feed_forward_chunk: Any
    training: bool

    def forward(self, hidden_states: Tensor, attention_mask: Tensor | None = None, *_: Any, **__: Any) -> Tensor:
        """(rows, 1, hidden size) from (rows, tokens, hidden size); the mask is (rows, 1, tokens or 1, tokens)."""
        attention = self.attention.self

        def heads(projected: Tensor) -> Tensor:
            return projected.view(*projected.shape[:2], -1, attention.attention_head_size).transpose(1, 2)

        first = hidden_states[:, :1].contiguous()  # bitsandbytes' kernels for GPUs know no strides
        context = scaled_dot_product_attention(
            heads(attention.query(first)),
            heads(attention.key(hidden_states)),
            heads(attention.value(hidden_states)),
            attn_mask=None if attention_mask is None else attention_mask[:, :, :1],
            dropout_p=attention.dropout.p if self.training else 0.0,
            scale=attention.scaling,
        )
        output: Tensor = self.feed_forward_chunk(self.attention.output(context.transpose(1, 2).flatten(2), first))
        return output

    def __reduce_ex__(self, _protocol: Any) -> tuple[Any, ...]:
        """The class is made as needed, so its name alone would not find it again."""
        return _rebuild, (self.layer,), self.__dict__


@cache
def _first_token_class(layer: type) -> type:
    return type(f"FirstToken{layer.__name__}", (_FirstToken, layer), {"layer": layer})


def _rebuild(layer: type) -> Any:
    made: Any = _first_token_class(layer)
    return made.__new__(made)
