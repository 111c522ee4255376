"""Make and load models with linear layers in INT8 by bitsandbytes, through transformers.

Source: Dettmers et al. 2022, "LLM.int8()", arXiv:2208.07339.
"""

import copy
import logging
from typing import Any

import torch
from torch import Tensor
from transformers import BitsAndBytesConfig, PretrainedConfig, PreTrainedModel

from emotion.errors import UserError, first_line
from emotion.isolation import log_level
from emotion.models.head import head_modules, head_state, keep_head_in_fp32
from emotion.models.pretrained import quiet_transformers
from emotion.models.reshaped import loading_class


def is_int8(config: PretrainedConfig) -> bool:
    """Return whether ``config`` is of a model that bitsandbytes quantised.

    Raises:
        UserError: It is quantised by anything else.
    """
    settings = getattr(config, "quantization_config", None)
    if settings is None:
        return False
    settings = settings if isinstance(settings, dict) else settings.to_dict()
    if settings.get("quant_method") != "bitsandbytes" or not settings.get("load_in_8bit"):
        raise UserError(f"weights: quantization_config must be of bitsandbytes INT8, found {settings}")
    return True


def quantized(model: PreTrainedModel, threshold: float) -> PreTrainedModel:
    """Make an INT8 copy of an FP32 ``model``: linear layers INT8, the head FP32 as it was, everything else FP16.

    Args:
        model: Model to copy; left as it is.
        threshold: Columns of a layer's input with a value beyond it are multiplied in FP16; 0 switches that off.

    Raises:
        UserError: bitsandbytes does not work on this machine.
    """
    settings = BitsAndBytesConfig(
        load_in_8bit=True, llm_int8_threshold=threshold, llm_int8_skip_modules=head_modules(model)
    )  # type: ignore[no-untyped-call]
    return _load(loading_class(model), model.config, model.state_dict(), settings, head_state(model), model.device)


def load_int8(
    architecture: type[PreTrainedModel], config: PretrainedConfig, tensors: dict[str, Tensor], device: torch.device
) -> PreTrainedModel:
    """Load a model that :func:`quantized` made, from its config and state dict. Raises the same errors."""
    return _load(architecture, config, tensors, None, tensors, device)


def _load(
    architecture: type[PreTrainedModel],
    config: PretrainedConfig,
    tensors: dict[str, Tensor],
    settings: BitsAndBytesConfig | None,
    head: dict[str, Tensor],
    device: torch.device,
) -> PreTrainedModel:
    options: dict[str, Any] = {} if settings is None else {"quantization_config": settings}
    try:
        # bitsandbytes warns about 4-bit kernels, which are not used here.
        with quiet_transformers(), log_level("bitsandbytes", logging.ERROR):
            model: PreTrainedModel = architecture.from_pretrained(
                None,
                config=copy.deepcopy(config),
                state_dict=tensors,
                dtype=torch.float16,
                attn_implementation="sdpa",
                device_map={"": str(device)},
                **options,
            )
    except (ImportError, RuntimeError, AttributeError, OSError, TypeError) as error:  # how it fails without a backend
        raise UserError(f"quantize: needs bitsandbytes to work on {device}, found {first_line(error)}") from error
    keep_head_in_fp32(model, head)
    model.eval()  # type: ignore[no-untyped-call]
    return model
