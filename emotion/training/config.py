"""Settings of a training run: ``conf/train.yaml`` and its group ``trainer``."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import Field, StrictFloat, model_validator

from emotion.config import Accelerator, Config, Count, Rule, Seed, Share, Text, one_line, validate
from emotion.data import DataConfig, LabelsConfig, named_csvs
from emotion.errors import UserError
from emotion.models import ModelConfig

PositiveNumber = Annotated[float, Field(gt=0)]
DeviceIndex = Annotated[int, Field(ge=0)]
Batches = Annotated[
    Count | Annotated[StrictFloat, Field(gt=0, le=1)] | None, Rule("a count >= 1, a share in (0.0, 1.0] or null")
]


class OptimizerConfig(Config):
    """AdamW, its schedule and the loss."""

    weight_decay: Annotated[float, Field(ge=0)]
    """AdamW decay of matrices; biases and norms have none."""
    warmup_fraction: Share
    """Share of all updates in which the learning rate rises linearly; it falls to 0 after, as ``schedule`` says."""
    schedule: Literal["linear", "cosine"]
    layer_decay: Annotated[float, Field(gt=0, le=1)]
    """A layer's learning rate as a share of that of the layer above it; 1 = all the same."""
    class_weights: Annotated[
        Literal["none", "sqrt", "balanced"] | list[PositiveNumber],
        Rule("none, sqrt, balanced or a list of positive numbers, one a label"),
    ]
    """Weights of the classes in the loss (:func:`emotion.training.losses.class_weights`)."""
    logit_adjustment: Annotated[float, Field(ge=0)]
    """How much rare classes are helped by :func:`emotion.training.losses.logit_adjustment`; 1 = as if all were equally
    frequent."""
    average: Literal["none", "ema", "swa"]
    """Which mean of the weights after each update is validated and kept: ``ema`` = exponential, ``swa`` = plain."""
    average_from: Share
    """Share of all updates after which the mean begins."""
    ema_decay: Annotated[float, Field(ge=0, lt=1)]
    """Share of the exponential mean that an update leaves."""


class AugmentationConfig(Config):
    """Share of the training rows that each change meets in an epoch (:mod:`emotion.training.augmentation`); 0 = none.

    Labels, validation and evaluation sets stay as they are.
    """

    frame: Share
    """Drop a report of one's own feeling, such as "i feel", or say it in other words. English only."""
    crop: Share
    """Keep a stretch of the text around the word that speaks most for its label, as a linear model has it."""
    mask: Annotated[float, Field(ge=0, le=0.15)]
    """Leave out that word."""
    typos: Share
    mention: Share
    """Put in a name as hidden on Twitter or Reddit."""
    link: Share
    emoji: Share
    """Put in an emoji that shows no emotion."""
    punctuation: Share
    case: Share

    @property
    def is_on(self) -> bool:
        """Whether any row is changed."""
        return any(self.model_dump().values())


class TrainerConfig(Config):
    """The arguments of ``lightning.Trainer`` that we set, by its names.

    ``patience`` is an argument of its ``EarlyStopping``, ``ckpt_path`` one of ``Trainer.fit``.
    """

    accelerator: Accelerator
    devices: Annotated[
        Literal["auto"] | Count | Annotated[list[DeviceIndex], Field(min_length=1)],
        Rule("a count >= 1, a list of device indices like [1], or auto"),
    ]
    num_nodes: Count
    """Machines with ``devices`` each, on all of which torchrun or Slurm starts the command."""
    strategy: Literal["auto", "ddp"]
    precision: Literal["32-true", "bf16-mixed", "16-mixed"]
    max_epochs: Count
    gradient_clip_val: PositiveNumber | None
    limit_train_batches: Batches
    limit_val_batches: Batches
    val_check_interval: Annotated[float, Field(gt=0, le=1)]
    """Share of an epoch from one validation to the next; each may become the checkpoint."""
    patience: Count | None
    """Validations in a row without a higher macro F1 that end the training; null = it takes all its epochs."""
    log_every_n_steps: Count
    enable_progress_bar: bool
    ckpt_path: Text | None
    """A run's ``checkpoints/last.ckpt`` to resume from."""

    @model_validator(mode="after")
    def _each_device_once(self) -> Self:
        if isinstance(self.devices, list) and len(set(self.devices)) < len(self.devices):
            raise UserError(f"trainer.devices: must name each device once, found {self.devices}")
        return self


class TrainConfig(Config):
    """Schema of ``conf/train.yaml``."""

    model: ModelConfig
    labels: LabelsConfig
    data: DataConfig
    optimizer: OptimizerConfig
    augmentation: AugmentationConfig
    trainer: TrainerConfig
    seed: Seed
    calibrate: bool
    """Fit a temperature on validation, so that confidences are probabilities; labels stay as they are."""
    baselines: bool
    """Score the majority class and TF-IDF with a linear SVM on the same rows."""
    compile: bool
    """Train through ``torch.compile``: minutes to start, then faster on a GPU; other rounding, so other weights."""
    fast: bool
    """Let :mod:`emotion.models.fast` replace parts of other libraries: same results up to rounding, in less time."""
    resume: Literal["auto", "never"]
    """Whether a command that is started again goes on with its run that ended early, if that has a single process."""
    save_every_minutes: PositiveNumber | None
    """Minutes between two resume states within an epoch; null = only at the end of epochs, and when a signal comes."""
    output_dir: Text
    """Folder for the deliverables."""

    def work(self) -> dict[str, Any]:
        """Return the settings that a run's weights depend on; its CSVs count by their content."""
        return self.model_dump(
            exclude={
                "output_dir": True,
                "resume": True,
                "save_every_minutes": True,
                "data": {"train", "validation", "test", "extra"},
                "trainer": {"ckpt_path", "enable_progress_bar", "log_every_n_steps"},
            }
        )

    @property
    def inputs(self) -> list[str | None]:
        """The files whose content a run's results depend on."""
        splits = {"data.train": self.data.train, "data.validation": self.data.validation}
        paths = [path for key, csvs in splits.items() for path in named_csvs(csvs, key).values()]
        return [*paths, *self.data.evaluation_paths.values()]

    def with_settings(self, settings: Sequence[str], key: str) -> "TrainConfig":
        """Return the settings of a training with some of them changed; those of a subclass are left out.

        Args:
            settings: Such as ``optimizer.schedule=cosine``.
            key: Where they were given; errors begin with it.

        Raises:
            UserError: There is no such setting, or a value breaks its rule.
        """
        changed = OmegaConf.create({name: self.model_dump()[name] for name in TrainConfig.model_fields})
        OmegaConf.set_struct(changed, True)
        try:
            changed.merge_with_dotlist(list(settings))
            content = OmegaConf.to_container(changed)
        except (OmegaConfBaseException, ValueError) as error:
            raise UserError(
                f"{key}: must be settings, like optimizer.schedule=cosine, found {one_line(error)}"
            ) from error
        try:
            return validate(TrainConfig, content)  # type: ignore[arg-type]
        except UserError as error:
            raise UserError(f"{key}: {error}") from error

    def recipe(self) -> dict[str, Any]:
        """Return :meth:`work` without the seed: runs of the same recipe and data differ by chance alone."""
        return {key: value for key, value in self.work().items() if key != "seed"}
