"""Settings of an audit: ``conf/audit.yaml``."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from emotion.config import Config, Seed, Text
from emotion.data import DataConfig, LabelsConfig
from emotion.errors import UserError
from emotion.models import ModelConfig
from emotion.training import AugmentationConfig, OptimizerConfig, TrainConfig, TrainerConfig


class AuditConfig(Config):
    """Schema of ``conf/audit.yaml``."""

    model: ModelConfig | None
    """The backbone that is fine-tuned once a fold to suspect labels; null = TF-IDF and a linear SVM."""
    labels: LabelsConfig
    data: DataConfig
    """``max_length`` is the longest text in tokens; without a model, in words."""
    trainer: TrainerConfig
    optimizer: OptimizerConfig
    augmentation: AugmentationConfig
    folds: Annotated[int, Field(ge=2)]
    """Parts of the training rows, each of which is judged by a model that learned from the others."""
    seed: Seed
    compile: bool
    fast: bool
    output_dir: Text
    """Folder for the report and the suspect labels."""

    @model_validator(mode="after")
    def _no_state(self) -> Self:
        if self.trainer.ckpt_path is not None:
            raise UserError(f"trainer.ckpt_path: must be null in an audit, found {self.trainer.ckpt_path}")
        return self

    def training(self, model: ModelConfig, names: tuple[str, ...], folder: str, csvs: dict[str, str]) -> TrainConfig:
        """Return the settings of a fold's training.

        Args:
            model: The backbone.
            names: Names of the classes.
            folder: Its ``output_dir``.
            csvs: Its ``train`` and ``validation``, with the columns ``text`` and ``label``.
        """
        data = self.data.updated(**csvs, test=None, extra=None, text_column="text", label_column="label")
        return TrainConfig.model_construct(
            model=model,
            labels=self.labels.updated(names=list(names)),
            data=data.updated(drop_conflicts=False, map=None),
            optimizer=self.optimizer,
            augmentation=self.augmentation,
            trainer=self.trainer,
            seed=self.seed,
            calibrate=False,
            baselines=False,
            compile=self.compile,
            fast=self.fast,
            resume="never",
            save_every_minutes=None,
            output_dir=folder,
        )
