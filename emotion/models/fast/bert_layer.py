"""Compute BERT's and RoBERTa's layers without transformers' steps in between; the last, for the first token alone.

The scores are the same up to rounding. The steps in between take a sixth of the time of one short text. The heads of
these models read the first token only: the rest of the last layer is a seventh of MiniLM's work, less of a base
model's.
"""

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

BERT_TYPES = ("bert", "roberta", "xlm-roberta", "camembert")
"""Models whose layers are BERT's, and whose classification head reads the last layer's first token."""

FIRST_TOKEN_LAYER = "first_token_layer"
"""Keyword that the classifier's forward passes down: the layer that computes the first token alone."""

_CHANGES_NOTHING = (FIRST_TOKEN_LAYER, "output_hidden_states", "position_ids")
"""Keywords that reach a layer but do not change what it computes: hidden states are recorded outside it, and positions
are in the embeddings."""


class StreamlinedLayer:
    """BERT's layer in one function; calls that ask for more than hidden states go to BERT's own."""

    layer: type
    """The layer's original class."""

    attention: Any
    intermediate: Any
    output: Any
    training: bool

    def forward(self, hidden_states: Tensor, attention_mask: Tensor | None = None, *args: Any, **kwargs: Any) -> Tensor:
        """Compute (rows, queries, hidden size) from (rows, tokens, hidden size); queries are all tokens, or the first.

        The mask is (rows, 1, tokens or 1, tokens).
        """
        asked = [*args, *(value for name, value in kwargs.items() if name not in _CHANGES_NOTHING)]
        if any(value is not None and value is not False for value in asked):
            kwargs.pop(FIRST_TOKEN_LAYER, None)
            states: Tensor = super().forward(hidden_states, attention_mask, *args, **kwargs)  # type: ignore[misc]
            return states
        return self._streamlined(hidden_states, attention_mask, kwargs.get(FIRST_TOKEN_LAYER) is self)

    def _streamlined(self, hidden_states: Tensor, attention_mask: Tensor | None, first_token_only: bool) -> Tensor:
        attention, attended, inner, output = self.attention.self, self.attention.output, self.intermediate, self.output
        queries = hidden_states
        if first_token_only:
            queries = hidden_states[:, :1].contiguous()  # bitsandbytes' kernels for GPUs ignore strides
            attention_mask = None if attention_mask is None else attention_mask[:, :, :1]
        attend = self._attend_in_onnx if torch.onnx.is_in_onnx_export() else self._attend
        projected = attention.query(queries), attention.key(hidden_states), attention.value(hidden_states)
        context = attended.dropout(attended.dense(attend(*projected, attention_mask)))
        middle = attended.LayerNorm(context + queries)
        expanded = inner.intermediate_act_fn(inner.dense(middle))
        states: Tensor = output.LayerNorm(output.dropout(output.dense(expanded)) + middle)
        return states

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None) -> Tensor:
        """Return the context of (rows, queries, hidden size), in that shape, of (rows, tokens, hidden size) twice."""
        attention = self.attention.self

        def heads(projected: Tensor) -> Tensor:
            return projected.view(*projected.shape[:2], -1, attention.attention_head_size).transpose(1, 2)

        context = scaled_dot_product_attention(
            heads(query),
            heads(key),
            heads(value),
            attn_mask=attention_mask,
            dropout_p=attention.dropout.p if self.training else 0.0,
            scale=attention.scaling,
        )
        return context.transpose(1, 2).flatten(2)

    def _attend_in_onnx(self, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None) -> Tensor:
        """Do what :meth:`_attend` does, as ONNX' operator, which splits the heads itself and needs no transposes."""
        heads = query.shape[-1] // self.attention.self.attention_head_size
        scale = self.attention.self.scaling
        context, *_ = torch.onnx.ops.attention(
            query, key, value, attention_mask, q_num_heads=heads, kv_num_heads=heads, scale=scale
        )
        return context

    def __reduce_ex__(self, _protocol: Any) -> tuple[Any, ...]:
        """Pickle through the original class, as this class is made as needed and cannot be found by its name."""
        return _rebuild, (self.layer,), self.__dict__


def streamline_(layers: nn.ModuleList) -> None:
    """Turn each of BERT's ``layers`` into a :class:`StreamlinedLayer`, without any check."""
    for layer in layers:
        if not isinstance(layer, StreamlinedLayer):
            layer.__class__ = _streamlined_class(type(layer))  # type: ignore[arg-type]


@cache
def _streamlined_class(layer: type) -> type:
    return type(f"Streamlined{layer.__name__}", (StreamlinedLayer, layer), {"layer": layer})


def _rebuild(layer: type) -> Any:
    made: Any = _streamlined_class(layer)
    return made.__new__(made)
