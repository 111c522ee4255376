"""Choose each parameter's learning rate and weight decay, and their schedule."""

from collections.abc import Iterator
from typing import Any, Literal

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from transformers import PreTrainedModel, get_cosine_schedule_with_warmup, get_linear_schedule_with_warmup

from emotion.errors import UserError
from emotion.models import is_known, transformer_layers

Schedule = Literal["linear", "cosine"]


def parameter_groups(
    module: nn.Module, model: PreTrainedModel, learning_rate: float, weight_decay: float, layer_decay: float
) -> list[dict[str, Any]]:
    """Divide the parameters of ``module`` into an optimizer's groups, each with its learning rate and decay.

    Args:
        module: What is trained, with all its parameters.
        model: The Transformer in it.
        learning_rate: Of the classifier, and of all else that is not in the encoder.
        weight_decay: Of matrices; biases and norms have none.
        layer_decay: A layer's learning rate as a share of that of the one above it, in (0, 1]; the classifier stands
            above the last layer, the embeddings below the first.

    Raises:
        UserError: ``layer_decay`` is not 1, and the layers of such a model are not known.

    Source: layer-wise decay: Howard and Ruder 2018, arXiv:1801.06146, section 3.2; AutoGluon's default is 0.9.
    """
    below = dict(_layers_below(model)) if layer_decay < 1 else {}
    groups: dict[tuple[int, bool], dict[str, Any]] = {}
    for parameter in module.parameters():
        depth, is_matrix = below.get(parameter, 0), parameter.ndim >= 2
        group = {
            "params": [],
            "lr": learning_rate * layer_decay**depth,
            "weight_decay": weight_decay if is_matrix else 0.0,
        }
        groups.setdefault((depth, not is_matrix), group)["params"].append(parameter)
    return [groups[key] for key in sorted(groups)]


def _layers_below(model: PreTrainedModel) -> Iterator[tuple[nn.Parameter, int]]:
    """Yield each parameter of the encoder with the number of steps that it lies below the classifier."""
    if not is_known(model):
        raise UserError(f"optimizer.layer_decay: must be 1 with a model of type {model.config.model_type}")
    layers = transformer_layers(model)
    embeddings: Any = model.base_model.embeddings
    for parameter in embeddings.parameters():
        yield parameter, len(layers) + 1
    for place, layer in enumerate(layers):
        for parameter in layer.parameters():
            yield parameter, len(layers) - place


def schedule(kind: Schedule, optimizer: Optimizer, warmup: int, updates: int) -> LRScheduler:
    """Let learning rates rise linearly for ``warmup`` updates, and fall to 0 until the last of ``updates``."""
    if kind == "cosine":
        return get_cosine_schedule_with_warmup(optimizer, warmup, updates)  # type: ignore[no-untyped-call, no-any-return]
    return get_linear_schedule_with_warmup(optimizer, warmup, updates)  # type: ignore[no-untyped-call, no-any-return]
