"""Decide what a classifier's call passes to its layers, and what it refuses."""

import copy
import inspect
from typing import Any

import transformers.utils
from torch import Tensor, nn
from transformers import PreTrainedModel

from emotion.models import is_known, transformer_layers
from emotion.models.fast.bert_layer import FIRST_TOKEN_LAYER, StreamlinedLayer
from emotion.models.fast.guard import stays_plain


class ClassifierForward:
    """The ``forward`` of one model, which asks its last layer for no more than the head reads.

    Requested hidden states, here or of the encoder itself, are those of all tokens. Attentions are computed by a twin
    of the model that shares its weights and attends as transformers' ``eager`` does: ``sdpa``, which is faster, has no
    attentions to return. A keyword that the model does not know raises :class:`TypeError`; transformers would ignore
    it.

    Args:
        model: Model whose class's ``forward`` it calls.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        self._known = _known_keywords(model)

    @property
    def __signature__(self) -> inspect.Signature:
        """The plain model's signature, for those who inspect it."""
        return inspect.signature(type(self.model).forward.__get__(self.model))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the plain model's ``forward`` returns."""
        self._refuse_unknown(kwargs)
        attention = getattr(self.model.config, "_attn_implementation", None)
        if self._is_asked_for("output_attentions", kwargs) and attention not in ("eager", None):
            return _eager_twin(self.model)(*args, **kwargs)
        last = list(transformer_layers(self.model))[-1:]  # a model may have none
        streamlined = last and isinstance(last[0], StreamlinedLayer)
        if streamlined and not self._is_asked_for("output_hidden_states", kwargs):
            kwargs[FIRST_TOKEN_LAYER] = last[0]
        return type(self.model).forward(self.model, *args, **kwargs)

    def _is_asked_for(self, output: str, kwargs: dict[str, Any]) -> bool:
        given = kwargs.get(output)
        asked = getattr(self.model.config, output, False) if given is None else given
        return asked is not False and asked is not None

    def _refuse_unknown(self, kwargs: dict[str, Any]) -> None:
        for name in kwargs:
            if self._known and name not in self._known:
                raise TypeError(f"{type(self.model).__name__}.forward() got an unexpected keyword argument {name!r}")


def direct_forward_(model: PreTrainedModel) -> None:
    """Give ``model`` a :class:`ClassifierForward`, if its layers are known and no other library replaced its own."""
    if not is_known(model):
        return
    current = vars(model).get("forward")
    if current is None:
        model.forward = ClassifierForward(model)  # type: ignore[method-assign]
    elif not isinstance(current, ClassifierForward):
        stays_plain(f"{type(model).__name__}.forward", "another library has replaced it")


def _known_keywords(model: PreTrainedModel) -> frozenset[str]:
    """Return keywords of ``model``'s own ``forward`` and those that transformers passes on; none if it lists none."""
    passed_on = getattr(transformers.utils, "TransformersKwargs", None)
    if passed_on is None:
        stays_plain("the check of keywords", "transformers does not list what it passes on")
        return frozenset()
    own = inspect.signature(type(model).forward).parameters
    return frozenset((*own, *passed_on.__annotations__, "return_dict"))


def _eager_twin(model: PreTrainedModel) -> PreTrainedModel:
    """Return a model with the same parameters and buffers, whose attention is ``eager``.

    bitsandbytes' INT8 parameters are copied, as they hand over what they hold to the layer that first uses them.
    """
    tensors = (*model.parameters(), *model.buffers())
    shared = {id(tensor): tensor for tensor in tensors if type(tensor) in (nn.Parameter, Tensor)}
    twin = copy.deepcopy(model, shared)
    twin.set_attn_implementation("eager")
    return twin
