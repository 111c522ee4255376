"""Find the classification head of a Hugging Face sequence classifier: all that comes after the encoder.

Compression leaves it in FP32: it holds well under a percent of the weights and decides between the classes.
"""

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel


def head_modules(model: PreTrainedModel) -> list[str]:
    """Name the head's modules: ``classifier``, and before it BERT's ``bert.pooler`` and ModernBERT's ``head``."""
    encoder = model.base_model_prefix
    names = [f"{encoder}.pooler", *(name for name, _ in model.named_children() if name != encoder)]
    modules = dict(model.named_modules())
    return [name for name in names if modules.get(name) is not None and any(True for _ in modules[name].parameters())]


def head_state(model: PreTrainedModel) -> dict[str, Tensor]:
    """Return the head's part of the state dict."""
    prefixes = tuple(f"{name}." for name in head_modules(model))
    return {name: value for name, value in model.state_dict().items() if name.startswith(prefixes)}


def keep_head_in_fp32(model: PreTrainedModel, state: dict[str, Tensor]) -> None:
    """Give the head of a model in lower precision the FP32 weights of ``state``, and FP32 inputs.

    Casting the head after a low-precision load would not help: its weights are already rounded.
    """
    for name in head_modules(model):
        module = model.get_submodule(name).float()
        for key, parameter in module.named_parameters():
            parameter.data.copy_(state[f"{name}.{key}"])
        module.register_forward_pre_hook(_to_fp32)


def _to_fp32(_module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(each.to(torch.float32) for each in inputs)
