"""Drop whole Transformer layers.

Source: Sajjad et al. 2023, "On the effect of dropping layers of pre-trained Transformer models", arXiv:2004.03844;
evenly spread layers as in DistilBERT, Sanh et al. 2019, arXiv:1910.01108.
"""

import logging

from transformers import PreTrainedModel

from emotion.compression.steps.context import Context
from emotion.compression.steps.registry import DropLayersConfig
from emotion.errors import UserError
from emotion.models import Predictor, transformer_layers

log = logging.getLogger(__name__)


def drop_layers_(model: PreTrainedModel, config: DropLayersConfig) -> None:
    """Keep the layers that ``config.keep`` gives, each with its weights and its kind of attention.

    Raises:
        UserError: There are no such layers, or the model cannot begin with the first of them; nothing was changed.
    """
    layers = transformer_layers(model)
    kept = _indices(config.keep, len(layers))
    # ModernBERT's first layer has no norm before its attention, which is how transformers builds any first layer.
    if layers[kept[0]].state_dict().keys() != layers[0].state_dict().keys():
        raise UserError(
            f"drop_layers.keep: must begin with layer 0, as {model.config.model_type}'s first is unlike the others,"
            f" found {kept}"
        )
    total = len(layers)
    for index in reversed(range(total)):
        if index not in kept:
            del layers[index]
    for index, layer in enumerate(layers):
        for module in layer.modules():
            if hasattr(module, "layer_idx"):
                module.layer_idx = index  # type: ignore[assignment]
    model.config.num_hidden_layers = len(kept)
    if getattr(model.config, "layer_types", None) is not None:  # global or local attention, layer by layer
        model.config.layer_types = [model.config.layer_types[index] for index in kept]
    log.info("layers: %s of %d kept", ", ".join(map(str, kept)), total)


def _indices(keep: int | list[int], layers: int) -> list[int]:
    """Return the layers to keep, in [0, layers), in ascending order."""
    if isinstance(keep, list):
        if keep[-1] >= layers:
            raise UserError(f"drop_layers.keep: must be layers from 0 to {layers - 1}, found {keep[-1]}")
        return keep
    if keep > layers:
        raise UserError(f"drop_layers.keep: must be at most the {layers} layers of the model, found {keep}")
    return [place * layers // keep for place in range(keep)]


def apply(model: Predictor, settings: DropLayersConfig, _context: Context) -> Predictor:
    """Do the step, as :meth:`emotion.compression.steps.registry.Step.apply` says."""
    drop_layers_(model.torch_model, settings)
    return model
