"""Make a Hugging Face model do the same in less time; its weights and their names stay."""

from transformers import PreTrainedModel

from emotion.first_token import compute_first_token_only_
from emotion.packed_linear import pack_linear_layers_


def prepare_(model: PreTrainedModel) -> None:
    """Leave out what the head does not read, and predict with packed weights on a CPU."""
    compute_first_token_only_(model)
    pack_linear_layers_(model)
