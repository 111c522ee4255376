"""Find a model's Transformer layers, and the inner widths of their two parts, in every known architecture."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from emotion.errors import UserError


@dataclass(frozen=True, slots=True)
class _Names:
    """Names of modules: the layers within the encoder, and the linear layers within a layer."""

    layers: str
    attention_makers: tuple[str, ...]
    attention_reader: str
    feed_forward_maker: str
    feed_forward_reader: str
    feed_forward_width: str = "intermediate_size"
    """Key of the config for the number of neurons."""


_BERT = _Names(
    "encoder.layer",
    ("attention.self.query", "attention.self.key", "attention.self.value"),
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
)
_NAMES = {
    "bert": _BERT,
    "roberta": _BERT,
    "xlm-roberta": _BERT,
    "camembert": _BERT,
    "modernbert": _Names("layers", ("attn.Wqkv",), "attn.Wo", "mlp.Wi", "mlp.Wo"),
}


@dataclass(frozen=True, slots=True)
class InnerPart:
    """What lies between the linear layers of one part of a Transformer layer: neurons, or attention heads.

    A maker's rows are one or more blocks, each as wide as the reader's input: ModernBERT's ``Wqkv`` is query, key and
    value in one, its ``Wi`` input and gate.
    """

    makers: tuple[nn.Linear, ...]
    reader: nn.Linear
    unit_width: int
    """Columns of the reader's input that make one unit: 1 for a neuron, the head size for a head."""

    @property
    def units(self) -> int:
        """Number of neurons or heads."""
        return self.reader.in_features // self.unit_width

    def keep_(self, units: Tensor) -> None:
        """Reduce the weights to those of ``units``, (kept,), int64 in [0, self.units), ascending."""
        columns = (units[:, None] * self.unit_width + torch.arange(self.unit_width, device=units.device)).flatten()
        for maker in self.makers:
            blocks = torch.arange(0, maker.out_features, self.reader.in_features, device=units.device)
            _select_(maker, (blocks[:, None] + columns).flatten(), dim=0)
        _select_(self.reader, columns, dim=1)


@dataclass(frozen=True, slots=True)
class HiddenStates:
    """What the embeddings and each layer write, and the next layer and the head read, token by token."""

    model: PreTrainedModel

    @property
    def units(self) -> int:
        """Hidden size."""
        return int(self.model.config.hidden_size)

    @property
    def writers(self) -> list[nn.Module]:
        """The embeddings, and each layer."""
        return [self.model.base_model.get_submodule("embeddings"), *transformer_layers(self.model)]

    def keep_(self, units: Tensor) -> None:
        """Reduce the model to those of ``units``, (kept,), int64 in [0, self.units), ascending.

        The head size stays, so that the config's number of heads falls; the heads themselves are as before.
        """
        config, width = self.model.config, self.units
        parts = feed_forwards(self.model) + attentions(self.model)
        makers = {id(maker) for part in parts for maker in part.makers}
        readers = {id(part.reader) for part in parts}
        for module in self.model.modules():
            if isinstance(module, nn.Embedding) and module.embedding_dim == width:
                module.weight, module.embedding_dim = _selected(module.weight, units, dim=1), len(units)
            elif isinstance(module, nn.LayerNorm) and module.normalized_shape == (width,):
                module.normalized_shape = (len(units),)
                module.weight = _selected(module.weight, units, dim=0)
                if module.bias is not None:
                    module.bias = _selected(module.bias, units, dim=0)
            elif isinstance(module, nn.Linear):
                shape = module.weight.shape
                if shape[0] == width and id(module) not in makers:
                    _select_(module, units, dim=0)
                if shape[1] == width and id(module) not in readers:
                    _select_(module, units, dim=1)
        config.num_attention_heads = len(units) // head_size(self.model)
        config.hidden_size = len(units)


def is_known(model: PreTrainedModel) -> bool:
    """Return whether the functions below know the architecture of ``model``."""
    return model.config.model_type in _NAMES


def transformer_layers(model: PreTrainedModel) -> nn.ModuleList:
    """Return the layers of ``model``, first to last: the very list that it runs through.

    Raises:
        UserError: The architecture is not known here. The functions below raise it too.
    """
    layers = model.base_model.get_submodule(_names(model).layers)
    assert isinstance(layers, nn.ModuleList)
    return layers


def feed_forwards(model: PreTrainedModel) -> list[InnerPart]:
    """Return the neurons of each layer."""
    names = _names(model)
    return [
        _part(layer, (names.feed_forward_maker,), names.feed_forward_reader, 1) for layer in transformer_layers(model)
    ]


def record_feed_forward_width(model: PreTrainedModel, neurons: int) -> None:
    """Write the number of neurons of each layer into the model's config, from which a checkpoint rebuilds it."""
    setattr(model.config, _names(model).feed_forward_width, neurons)


def attentions(model: PreTrainedModel) -> list[InnerPart]:
    """Return the attention heads of each layer."""
    names, width = _names(model), head_size(model)
    return [_part(layer, names.attention_makers, names.attention_reader, width) for layer in transformer_layers(model)]


def head_size(model: PreTrainedModel) -> int:
    """Return the width of a head, of which the hidden size is a multiple."""
    return int(model.config.hidden_size // model.config.num_attention_heads)


def _names(model: PreTrainedModel) -> _Names:
    if not is_known(model):
        raise UserError(
            f"technique.steps: drop_layers and narrow must have a model of {', '.join(_NAMES)},"
            f" found {model.config.model_type}"
        )
    return _NAMES[model.config.model_type]


def _part(layer: nn.Module, makers: tuple[str, ...], reader: str, unit_width: int) -> InnerPart:
    linear = {name: layer.get_submodule(name) for name in (*makers, reader)}
    assert all(isinstance(module, nn.Linear) for module in linear.values())
    return InnerPart(tuple(linear[name] for name in makers), linear[reader], unit_width)  # type: ignore[misc,arg-type]


def _select_(linear: nn.Linear, indices: Tensor, dim: int) -> None:
    """Reduce ``linear`` to the outputs (dim 0) or inputs (dim 1) ``indices``."""
    linear.weight = _selected(linear.weight, indices, dim)
    if dim == 0 and linear.bias is not None:
        linear.bias = _selected(linear.bias, indices, dim)
    linear.out_features, linear.in_features = linear.weight.shape


def _selected(parameter: Tensor, indices: Tensor, dim: int) -> nn.Parameter:
    chosen = parameter.detach().index_select(dim, indices.to(parameter.device))
    return nn.Parameter(chosen, requires_grad=parameter.requires_grad)
