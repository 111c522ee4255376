"""Make a Hugging Face classifier do the same in less time; its weights and their names stay."""

from transformers import PreTrainedModel

from emotion.models.fast.bert_layer import StreamlinedLayer
from emotion.models.fast.bert_trial import streamline_bert_layers_
from emotion.models.fast.classifier_forward import ClassifierForward, direct_forward_
from emotion.models.fast.cpu_dropout import CpuDropout, draw_dropout_faster_
from emotion.models.fast.packed_linear import PackedLinear, pack_linear_layers_


def speed_up_(model: PreTrainedModel) -> None:
    """Leave out what changes no score, predict with packed weights on a CPU, and draw dropout faster.

    A second call changes nothing, even after layers were dropped. What a library no longer offers is left out.

    Args:
        model: A sequence classifier as transformers makes it, on any device, in any precision and mode; changed in
            place.
    """
    streamline_bert_layers_(model)
    direct_forward_(model)
    pack_linear_layers_(model)
    draw_dropout_faster_(model)


def speed_up_like_(model: PreTrainedModel, original: PreTrainedModel) -> None:
    """Call :func:`speed_up_` on ``model`` if ``original``, which it was made from, is sped up."""
    replaced = (StreamlinedLayer, PackedLinear, CpuDropout)
    direct = isinstance(vars(original).get("forward"), ClassifierForward)
    if direct or any(isinstance(module, replaced) for module in original.modules()):
        speed_up_(model)
