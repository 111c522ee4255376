"""Make a Hugging Face classifier do the same in less time; its weights and their names stay."""

from transformers import PreTrainedModel

from emotion.models.fast.bert_trial import streamline_bert_layers_
from emotion.models.fast.classifier_forward import direct_forward_
from emotion.models.fast.cpu_dropout import draw_dropout_faster_
from emotion.models.fast.packed_linear import pack_linear_layers_


def speed_up_(model: PreTrainedModel) -> None:
    """Leave out what changes no score, predict with packed weights on a CPU, and draw dropout faster.

    Twice is as once, also after layers were dropped. What a library no longer offers is left out.

    Args:
        model: A sequence classifier as transformers makes it, on any device, in any precision and mode; changed in
            place.
    """
    streamline_bert_layers_(model)
    direct_forward_(model)
    pack_linear_layers_(model)
    draw_dropout_faster_(model)
