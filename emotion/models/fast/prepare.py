"""Make a Hugging Face model do the same in less time; its weights and their names stay."""

from transformers import PreTrainedModel

from emotion.models.fast.bert_layer import streamline_bert_layers_
from emotion.models.fast.packed_linear import pack_linear_layers_


def prepare_(model: PreTrainedModel) -> None:
    """Leave out what changes no score, and predict with packed weights on a CPU."""
    streamline_bert_layers_(model)
    pack_linear_layers_(model)
