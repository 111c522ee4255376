"""Build a model around tensors that are already in memory, without drawing weights that are replaced at once."""

from typing import Any

import torch
from torch import Tensor
from transformers import PretrainedConfig, PreTrainedModel

from emotion.errors import first_line
from emotion.models.fast.guard import stays_plain


def model_from_state(
    architecture: type[PreTrainedModel], config: PretrainedConfig, state: dict[str, Tensor], dtype: torch.dtype
) -> PreTrainedModel:
    """Build a model of ``config`` that holds ``state``, in eval mode on the CPU.

    It is loaded by ``from_pretrained(None, state_dict=...)``, which transformers does not document; if that fails,
    by the constructor, which takes longer. Buffers stay in FP32 both ways.

    Args:
        architecture: The model's class.
        config: The model's config.
        state: All its weights, by name.
        dtype: Dtype of the parameters.
    """
    options: dict[str, Any] = {"dtype": dtype, "attn_implementation": "sdpa", "output_loading_info": True}
    load: Any = architecture.from_pretrained
    try:
        model, loading = load(None, config=config, state_dict=state, **options)
        if not loading["missing_keys"]:
            loaded: PreTrainedModel = model
            return loaded
        reason = "from_pretrained leaves weights out"
    except (TypeError, ValueError, OSError, AttributeError, KeyError) as error:
        reason = f"from_pretrained(None, state_dict=...) fails ({first_line(error)})"
    stays_plain("loading", reason)
    with torch.random.fork_rng(devices=[]):  # weights that are replaced must leave no trace in torch's generator
        built = architecture(config)
    built.load_state_dict(state)
    for parameter in built.parameters():
        parameter.data = parameter.data.to(dtype)
    built.config.dtype = dtype
    return built.eval()  # type: ignore[no-untyped-call, no-any-return]
