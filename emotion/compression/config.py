"""Schema of ``conf/compress.yaml`` and of its group ``technique``.

A technique's file names its steps, in order, and may change any step's settings, so a new chain is one file.
"""

from dataclasses import dataclass, field
from typing import Any

from emotion.config.rules import bounded, checked, is_whole, matching, one_of

PREPARING_STEPS = ("trim_vocabulary", "drop_layers", "narrow", "distill", "prune")
"""Steps that change the FP32 model; in any order, but that ``distill`` would fill again what ``prune`` made zero."""
FORMAT_STEPS = ("half", "quantize", "onnx", "onnx_int8")
"""Steps that give the model its final format; at most one, at the end."""
STEPS = (*PREPARING_STEPS, *FORMAT_STEPS)


def _is_layers(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(is_whole(index, 0) for index in value) and sorted(set(value)) == value
    return is_whole(value, 1)


def _is_between_0_and_1(value: Any) -> bool:
    return isinstance(value, float) and 0 < value < 1


def _is_chain(steps: Any) -> bool:
    known = all(step in STEPS for step in steps)
    formats = [step for step in steps if step in FORMAT_STEPS]
    filled_again = "prune" in steps and "distill" in steps[steps.index("prune") :]
    return known and len(set(steps)) == len(steps) and formats in ([], list(steps[-1:])) and not filled_again


@dataclass(kw_only=True, slots=True)
class TechniqueConfig:
    """One chain of steps, or a set of techniques that are each tried beside the original."""

    name: str = matching(r"(?!original$)[A-Za-z0-9][A-Za-z0-9_-]*", "must be letters, digits, '_' or '-', not original")
    """Its file's name in ``conf/technique``; the variant's name in files and reports."""
    steps: list[str] = checked(
        f"must be different steps of {', '.join(STEPS)}, with at most one of {', '.join(FORMAT_STEPS)}, at the end,"
        " and no distill after prune",
        _is_chain,
        default_factory=list,
    )
    """In order."""
    techniques: list[str] = field(default_factory=list)
    """Names of files in ``conf/technique``."""


@dataclass(kw_only=True, slots=True)
class CompressDataConfig:
    """The CSVs; null = the ones that the checkpoint was trained with, while their sha256 is the recorded one."""

    train: str | None
    """CSV with texts and labels, for the steps that learn from data."""
    validation: str | None
    """CSV with texts and labels that quality is measured on."""
    text_column: str
    label_column: str


@dataclass(kw_only=True, slots=True)
class PruneConfig:
    """L1 unstructured pruning of the linear layers outside the embeddings."""

    amount: float = checked("must be a share between 0 and 1, both excluded", _is_between_0_and_1)
    """Share of the weights that become zero."""
    scope: str = one_of("layer", "global")
    """Whether each layer loses its share, or all layers together lose it."""
    include_head: bool
    """Prune the classification head too."""


@dataclass(kw_only=True, slots=True)
class QuantizeConfig:
    """LLM.int8() of bitsandbytes for the linear layers but the head, which stays FP32; FP16 for all else."""

    threshold: float = bounded(minimum=0)
    """Activation columns with a value beyond it are multiplied in FP16; 0 switches that off."""


@dataclass(kw_only=True, slots=True)
class HalfConfig:
    """Half precision for all but the head."""

    dtype: str = one_of("float16", "bfloat16")


@dataclass(kw_only=True, slots=True)
class OnnxConfig:
    """Export to ONNX Runtime; ``onnx_int8`` also quantises its weights, activations dynamically."""

    per_channel: bool
    """A scale for each output channel rather than one a matrix."""
    reduce_range: Any = checked("must be auto, true or false", lambda value: value == "auto" or isinstance(value, bool))
    """7-bit weights; products of 8-bit ones saturate on CPUs without VNNI, which ``auto`` looks for."""


@dataclass(kw_only=True, slots=True)
class TrimVocabularyConfig:
    """Keep the tokens that the training texts use, and all that is needed to spell any other text."""

    min_count: int = bounded(minimum=1)
    """Keep tokens that occur at least this often."""


@dataclass(kw_only=True, slots=True)
class DropLayersConfig:
    """Keep some of the Transformer layers."""

    keep: Any = checked("must be a count >= 1 or a rising list of layer indices like [0, 2, 4]", _is_layers)
    """How many layers, spread evenly with the first among them, or which, counted from 0."""


@dataclass(kw_only=True, slots=True)
class NarrowConfig:
    """Keep the most important feed-forward neurons and attention heads of each layer."""

    ffn: float = bounded(above=0, maximum=1)
    """Share of the neurons to keep."""
    heads: float = bounded(above=0, maximum=1)
    """Share of the heads to keep."""


@dataclass(kw_only=True, slots=True)
class DistillConfig:
    """Train the model that the steps before made, or another backbone, to answer as the fine-tuned one does."""

    model: str | None
    """A file of ``conf/model`` as the student; null = the model of the steps before."""
    max_epochs: int = bounded(minimum=1)
    batch_size: int = bounded(minimum=1)
    learning_rate: float = bounded(above=0, maximum=1)
    """Peak of the schedule."""
    temperature: float = bounded(above=0)
    """Divides both models' logits before the soft labels are compared."""
    soft_weight: float = bounded(minimum=0, maximum=1)
    """Share of the soft labels in the loss; the rest is cross entropy with the true labels."""
    hidden_weight: float = bounded(minimum=0)
    """Weight of the distance between both models' last hidden states, averaged over a text's tokens."""
    augmented_copies: int = bounded(minimum=0)
    """Copies of each training text, changed, that are learned from too; the teacher labels them."""
    drop_words: float = bounded(minimum=0, maximum=1)
    """Share of the words that a copy lacks."""
    swap_words: float = bounded(minimum=0, maximum=1)
    """Share of the words of a copy that are swapped with another training text's."""
    unlabelled: str | None
    """A CSV with further texts, in the column ``data.text_column``, which the teacher labels."""


@dataclass(kw_only=True, slots=True)
class CompressConfig:
    """Schema of ``conf/compress.yaml``."""

    technique: TechniqueConfig
    weights: str | None
    """A ``.pt`` checkpoint; null = the best of the report in ``output_dir``."""
    output_dir: str | None
    """Where ``compression_results/`` goes; null = the folder of ``weights``, or ``outputs``."""
    data: CompressDataConfig
    accelerator: str = one_of("auto", "cpu", "gpu", "mps")
    fast: bool
    """Let :mod:`emotion.models.fast` replace parts of other libraries: the same up to rounding, in less time."""
    seed: int = bounded(minimum=0, maximum=2**32 - 1)
    rounds: int = bounded(minimum=1)
    """Latency is measured in so many rounds, the variants taking turns."""
    max_drop: float | None = bounded(minimum=0, maximum=1)
    """Publish the best variant within this loss of macro F1 as ``best_<Name>_compressed``; null = publish none."""
    prefer: str = one_of("size", "speed")
    """Which variant within ``max_drop`` is the best: the smallest file or the lowest latency."""
    prune: PruneConfig
    quantize: QuantizeConfig
    half: HalfConfig
    onnx: OnnxConfig
    trim_vocabulary: TrimVocabularyConfig
    drop_layers: DropLayersConfig
    narrow: NarrowConfig
    distill: DistillConfig
