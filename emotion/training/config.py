"""Schema of ``conf/train.yaml`` and of its groups ``model``, ``data`` and ``trainer``."""

import math
from dataclasses import dataclass, field
from typing import Any

from emotion.config.rules import bounded, checked, is_whole, matching, one_of
from emotion.labels import LabelSet

NORMALIZATIONS = ("none", "bertweet", "cardiff")


def _is_names(value: Any) -> bool:
    if isinstance(value, list):
        return len(value) >= 2 and all(isinstance(name, str) for name in value)
    return bool(value == "auto")


def _is_devices(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(is_whole(index, 0) for index in value) and len(set(value)) == len(value)
    return value == "auto" or is_whole(value, 1)


def _is_limit(value: Any) -> bool:
    if isinstance(value, float):
        return 0.0 < value <= 1.0
    return value is None or is_whole(value, 1)


def _is_class_weights(value: Any) -> bool:
    if isinstance(value, list):
        return all(isinstance(v, int | float) and not isinstance(v, bool) and 0 < v < math.inf for v in value)
    return value in ("none", "balanced")


@dataclass(kw_only=True, slots=True)
class PackageConfig:
    """An installed Python package that carries a backbone's files; its code is never imported."""

    module: str
    """Import name of the package."""
    folder: str
    """Folder of the files, relative to the package."""
    backbone: str
    """Hugging Face id of the backbone that it carries."""
    sha256: dict[str, str]
    """Digest of each file that is used, beside the model's own; all are checked before use."""


@dataclass(kw_only=True, slots=True)
class ModelConfig:
    name: str = matching(r"[A-Za-z0-9][A-Za-z0-9_.-]*", "must be letters, digits, '.', '_' or '-'")
    """Name in file names and reports, e.g. ``ModernBERT``."""
    backbone: str
    """Hugging Face id, or a local folder with config, weights and tokenizer."""
    revision: str
    """Branch, tag or commit on the hub; unused for a folder."""
    normalization: str = one_of(*NORMALIZATIONS)
    """How users, links and emoji are rewritten before tokenising: as the backbone's authors did."""
    learning_rate: float = bounded(above=0, maximum=1)
    """Peak of the schedule."""
    sha256: dict[str, str] = field(default_factory=dict)
    """Digests of files of this revision; checked before use, wherever the files come from but a given folder."""
    package: PackageConfig | None = None


@dataclass(kw_only=True, slots=True)
class DataConfig:
    train: str
    """CSV with texts and labels."""
    validation: str
    """CSV with texts and labels that chooses the best epoch."""
    text_column: str
    label_column: str
    batch_size: int = bounded(minimum=1)
    """Rows a step on each device."""
    max_length: int = bounded(minimum=4)
    """Tokens a text, specials included; longer texts are cut."""


@dataclass(kw_only=True, slots=True)
class LabelsConfig:
    """The classes."""

    names: Any = checked("must be auto or a list of at least two names", _is_names)
    """In the order of their indices; ``auto`` = those of the training CSV."""
    colours: list[str] | None
    """A colour of each, ``#rrggbb``, for figures."""

    def label_set(self) -> LabelSet | None:
        """Return the classes; None = those of the training CSV. Raises :class:`UserError` where names are unusable."""
        return None if self.names == "auto" else LabelSet(tuple(self.names), tuple(self.colours or ()))


@dataclass(kw_only=True, slots=True)
class OptimizerConfig:
    weight_decay: float = bounded(minimum=0)
    """AdamW decay of matrices; biases and norms have none."""
    warmup_fraction: float = bounded(minimum=0, maximum=1)
    """Share of all updates in which the learning rate rises linearly; it falls linearly to 0 after."""
    class_weights: Any = checked(
        "must be none, balanced or a list of positive numbers, one a label",
        _is_class_weights,
    )
    """Weights of the classes in the loss; ``balanced`` = rows / (classes * rows of the class)."""


@dataclass(kw_only=True, slots=True)
class TrainerConfig:
    """The arguments of ``lightning.Trainer`` that we set, by its names, and ``ckpt_path`` of ``Trainer.fit``."""

    accelerator: str = one_of("auto", "cpu", "gpu", "mps")
    devices: Any = checked("must be a count >= 1, a list of device indices like [1], or auto", _is_devices)
    strategy: str = one_of("auto", "ddp")
    precision: str = one_of("32-true", "bf16-mixed", "16-mixed")
    max_epochs: int = bounded(minimum=1)
    gradient_clip_val: float | None = bounded(above=0)
    limit_train_batches: Any = checked("must be a count >= 1, a share in (0.0, 1.0] or null", _is_limit)
    limit_val_batches: Any = checked("must be a count >= 1, a share in (0.0, 1.0] or null", _is_limit)
    log_every_n_steps: int = bounded(minimum=1)
    enable_progress_bar: bool
    ckpt_path: str | None
    """A run's ``checkpoints/last.ckpt`` to resume from."""


@dataclass(kw_only=True, slots=True)
class TrainConfig:
    """Schema of ``conf/train.yaml``."""

    model: ModelConfig
    labels: LabelsConfig
    data: DataConfig
    optimizer: OptimizerConfig
    trainer: TrainerConfig
    seed: int = bounded(minimum=0, maximum=2**32 - 1)
    compile: bool
    """Train through ``torch.compile``: minutes to start, then faster on a GPU; other rounding, so other weights."""
    fast: bool
    """Let :mod:`emotion.models.fast` replace parts of other libraries: the same up to rounding, in less time."""
    output_dir: str
    """Where the deliverables go."""
