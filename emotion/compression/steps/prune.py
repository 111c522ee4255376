"""Set the weights of least magnitude to zero: L1 unstructured pruning."""

from torch import Tensor, nn
from torch.nn.utils import prune
from transformers import PreTrainedModel

from emotion.compression.steps.context import Context
from emotion.compression.steps.registry import PruneConfig
from emotion.models import Predictor, head_modules


def prune_(model: PreTrainedModel, config: PruneConfig) -> None:
    """Set ``config.amount`` of the weights of :func:`linear_layers` to zero, for good. Shapes stay as they are."""
    weights = [(layer, "weight") for layer in linear_layers(model, config.include_head)]
    if config.scope == "global":
        prune.global_unstructured(weights, pruning_method=prune.L1Unstructured, amount=config.amount)  # type: ignore[no-untyped-call]
    for layer, name in weights:
        if config.scope == "layer":
            prune.l1_unstructured(layer, name, amount=config.amount)  # type: ignore[no-untyped-call]
        prune.remove(layer, name)  # type: ignore[no-untyped-call]
        layer.weight.data.add_(0.0)  # -w * 0 is -0.0, whose sign would have to be stored


def linear_layers(model: PreTrainedModel, include_head: bool = False) -> list[nn.Linear]:
    """List the linear layers of the encoder, in FP32 or INT8, and those of the classification head if asked."""
    head = tuple(f"{name}." for name in head_modules(model))
    return [
        module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and (include_head or not f"{name}.".startswith(head))
    ]


def sparsity(tensors: list[Tensor]) -> float:
    """Return the share of zeros among all elements, in [0, 1]; 0 if there are none."""
    elements = sum(tensor.numel() for tensor in tensors)
    return sum(int((tensor == 0).sum()) for tensor in tensors) / max(elements, 1)


def apply(model: Predictor, settings: PruneConfig, _context: Context) -> Predictor:
    """Do the step, as :meth:`emotion.compression.steps.registry.Step.apply` says."""
    prune_(model.torch_model, settings)
    return model
