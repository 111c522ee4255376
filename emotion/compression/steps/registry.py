"""The steps of compression by name: their settings, and where each is implemented.

Nothing here imports torch, so that a config is checked at once. To add a step, write its settings class and its line of
:data:`STEPS` here, the module ``emotion/compression/steps/<name>.py`` with a function ``apply``, and a file of
``conf/technique`` that names the step and holds its settings.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from emotion.config import Config, Count, PositiveShare, Rule, Share, Text
from emotion.errors import UserError

if TYPE_CHECKING:
    from emotion.compression.steps.context import Context
    from emotion.models import Predictor


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a chain: what a config and a report say about it, and what does it."""

    name: str
    settings: type[Config]
    """The schema of the step's section in the config."""
    section: str = ""
    """Key of the settings in the config; empty = the step's name."""
    reads: bool = True
    """Whether it reads any of them."""
    makes_zeros: bool = False
    """Whether its work is lost when weights are trained after it."""
    fills_zeros: bool = False
    """Whether it trains the weights, so that pruned ones are no longer zero."""
    needs_layers: bool = False
    """Whether it needs Transformer layers."""
    removes_layers: bool = False
    """Whether it leaves no Transformer layers."""
    needs_training: bool = False
    """Whether it draws weights at random, so that a step that trains has to follow."""
    ends_chain: bool = False
    """Whether it gives the model its final format, which no later step can change."""
    suffix: str = ".pt"
    """Of the file of a model whose last step this is."""
    packages: tuple[str, ...] = ()
    """Modules that it needs and that an installation may lack."""
    shows_progress: bool = False
    """Whether it draws progress bars of its own."""

    @property
    def key(self) -> str:
        """Key of the settings in the config."""
        return self.section or self.name

    def check(self, settings: Any, before: list[str], context: "Context") -> None:
        """Refuse what could not be finished, before the chain's first step is done.

        Args:
            settings: An instance of :attr:`settings`.
            before: Names of the chain's earlier steps.
            context: What the chain's steps may use.

        Raises:
            UserError: The step's module has a function ``check`` that says so.
        """
        module = self._module()
        if hasattr(module, "check"):
            module.check(settings, before, context)

    def apply(self, model: "Predictor", settings: Any, context: "Context") -> "Predictor":
        """Return what the step makes of ``model``, which it may change.

        Args:
            model: In FP32.
            settings: An instance of :attr:`settings`.
            context: What the chain's steps may use.

        Raises:
            UserError: The step cannot be done with this model, these settings or on this machine.
        """
        compressed: Predictor = self._module().apply(model, settings, context)
        return compressed

    def _module(self) -> Any:
        return import_module(f"emotion.compression.steps.{self.name}")


class TrimVocabularyConfig(Config):
    """Keep the tokens that the training texts use, and all that is needed to spell any other text."""

    min_count: Count
    """Keep tokens that occur at least this often."""


class DropLayersConfig(Config):
    """Keep some of the Transformer layers."""

    keep: Annotated[
        Count | Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)],
        Rule("a count >= 1 or a rising list of layer indices like [0, 2, 4]"),
    ]
    """How many layers, spread evenly and including the first, or which, counted from 0."""

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if isinstance(self.keep, list) and sorted(set(self.keep)) != self.keep:
            raise UserError(f"drop_layers.keep: must be a rising list of layer indices, found {self.keep}")
        return self


class NarrowConfig(Config):
    """Keep the most important feed-forward neurons and attention heads of each layer, and parts of hidden states."""

    ffn: PositiveShare
    """Share of the neurons to keep."""
    heads: PositiveShare
    """Share of the heads to keep; with narrower hidden states, at most their share."""
    hidden: PositiveShare
    """Share of the hidden size to keep, rounded to whole heads."""


class FactorizeEmbeddingsConfig(Config):
    """Write the matrix of token embeddings as a product of two thin ones."""

    rank: Annotated[float, Field(gt=0, lt=1), Rule("a share between 0 and 1, both excluded")]
    """Numbers that are stored for each token, as a share of the hidden size; rounded to an even number."""


class StaticStepConfig(Config):
    """Replace the Transformer by a vector for each token, filters over neighbours, and a head on what both pool to."""

    hidden_size: Annotated[int, Field(ge=2, multiple_of=2), Rule("an even number >= 2")]
    """Width of the vectors; at most the model's hidden size. INT4 stores two numbers a byte."""
    head_size: Count
    """Neurons of the head."""
    filters: Annotated[int, Field(ge=0)]
    """Filters of a convolution over three tokens, each at its maximum over the text; 0 = the mean of the vectors alone,
    which knows no word order."""


class DistillConfig(Config):
    """Train the model that the steps before made, or another backbone, to answer as the fine-tuned one does."""

    model: Text | None
    """A file of ``conf/model`` as the student; null = the model of the steps before."""
    max_epochs: Count
    batch_size: Count
    learning_rate: PositiveShare
    """Peak of the schedule."""
    temperature: Annotated[float, Field(gt=0)]
    """Divides both models' logits before the soft labels are compared."""
    soft_weight: Share
    """Share of the soft labels in the loss; the rest is cross entropy with the true labels."""
    hidden_weight: Annotated[float, Field(ge=0)]
    """Weight of the distance between both models' last hidden states, averaged over a text's tokens."""
    augmented_copies: Annotated[int, Field(ge=0)]
    """Changed copies of each training text to learn from too, new ones in each epoch; the teacher labels them."""
    drop_words: Share
    """Share of the words that a copy lacks."""
    swap_words: Share
    """Share of the words of a copy that are swapped with another training text's."""
    joined_copies: Annotated[int, Field(ge=0)]
    """Copies of each training text that end as another one does, new in each epoch; the teacher labels them."""
    unlabelled: Text | None
    """A CSV with further texts, in the column ``data.text_column``, which the teacher labels."""


class PruneConfig(Config):
    """L1 unstructured pruning of the linear layers outside the embeddings."""

    amount: Annotated[float, Field(gt=0, lt=1), Rule("a share between 0 and 1, both excluded")]
    """Share of the weights that become zero."""
    scope: Literal["layer", "global"]
    """Whether each layer loses its share, or all layers together lose it."""
    include_head: bool
    """Prune the classification head too."""


class HalfConfig(Config):
    """Half precision for all but the head."""

    dtype: Literal["float16", "bfloat16"]


class QuantizeConfig(Config):
    """LLM.int8() of bitsandbytes for the linear layers except the head, which stays FP32; FP16 for all else."""

    threshold: Annotated[float, Field(ge=0)]
    """Activation columns with a value beyond it are multiplied in FP16; 0 switches that off."""


class OnnxConfig(Config):
    """Export to ONNX Runtime; ``onnx_int8`` also quantises weights and activations."""

    per_channel: bool
    """A scale for each output channel rather than one a matrix."""
    reduce_range: Annotated[Literal["auto"] | bool, Rule("auto, true or false")]
    """Whether weights have 7 bits instead of 8.

    Products of 8-bit weights overflow on x86 without VNNI, so that labels would depend on where the file runs.
    ``auto`` = 8 bits where this machine has VNNI."""
    embedding_bits: Annotated[Literal[8, 4], Rule("8 or 4")]
    """Bits of each number of the tokens' embeddings."""


_ONNX: dict[str, Any] = {
    "settings": OnnxConfig,
    "section": "onnx",
    "ends_chain": True,
    "suffix": ".onnx",
    "packages": ("onnx", "onnxruntime", "onnxscript"),
}

STEPS: dict[str, Step] = {
    step.name: step
    for step in (
        Step("trim_vocabulary", TrimVocabularyConfig),
        Step("drop_layers", DropLayersConfig, needs_layers=True),
        Step("narrow", NarrowConfig, needs_layers=True),
        Step("factorize_embeddings", FactorizeEmbeddingsConfig),
        Step("static", StaticStepConfig, needs_layers=True, removes_layers=True, needs_training=True),
        Step("distill", DistillConfig, fills_zeros=True, shows_progress=True),
        Step("prune", PruneConfig, makes_zeros=True),
        Step("half", HalfConfig, ends_chain=True),
        Step("quantize", QuantizeConfig, ends_chain=True),
        Step("onnx", **_ONNX, reads=False),
        Step("onnx_int8", **_ONNX),
    )
}
