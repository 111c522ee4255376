"""Give every side the same texts, tokenizer and a fresh copy of the same weights."""

from functools import cached_property

import torch
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from emotion.benchmark.config import BenchmarkConfig
from emotion.checkpoint import load
from emotion.data import LabelledTexts, TextEncoder, only_csv
from emotion.errors import UserError
from emotion.models import (
    Backbone,
    Predictor,
    find_backbone,
    load_config,
    load_tokenizer,
    pick_device,
    quiet_transformers,
)
from emotion.models.fast import speed_up_


class Material:
    """The texts, tokenizer and models that a side works with.

    Args:
        config: Settings of the benchmark; ``data.train`` holds the texts.
    """

    def __init__(self, config: BenchmarkConfig) -> None:
        self.config = config
        self.device = pick_device(config.trainer.accelerator, "trainer.accelerator")

    @cached_property
    def texts(self) -> LabelledTexts:
        data = self.config.data
        labels = self.config.labels.label_set()
        return LabelledTexts.read(
            only_csv(data.train, "data.train"), data.text_column, data.label_column, labels, "data.train"
        )

    @cached_property
    def backbone(self) -> Backbone:
        return find_backbone(self.config.model, need_weights=not self.config.random_weights)

    @cached_property
    def encoder(self) -> TextEncoder:
        normalization = self.config.model.normalization
        tokenizer = load_tokenizer(self.backbone.folder, normalization)
        return TextEncoder(tokenizer, normalization, self.config.data.max_length)

    def model(self) -> PreTrainedModel:
        """Build the backbone as this project runs it, FP32, on the CPU."""
        model = self.plain_model()
        if self.config.fast:
            speed_up_(model)
        return model

    def plain_model(self) -> PreTrainedModel:
        """Build the backbone as transformers runs it, FP32, on the CPU."""
        torch.manual_seed(self.config.seed)
        config = load_config(self.backbone.folder, self.texts.label_set)
        with quiet_transformers():
            model: PreTrainedModel
            if self.config.random_weights:
                model = AutoModelForSequenceClassification.from_config(  # type: ignore[no-untyped-call]
                    config, dtype=torch.float32, trust_remote_code=False
                )
            else:
                model = AutoModelForSequenceClassification.from_pretrained(
                    self.backbone.folder, config=config, dtype=torch.float32, trust_remote_code=False
                )
        return model

    def predictor(self) -> Predictor:
        """Load ``weights``, or the backbone under a new head.

        Raises:
            UserError: ``weights`` are of another model, not in FP32, or for other labels.
        """
        if self.config.weights is not None:
            predictor = load(self.config.weights)
            found = f"{predictor.model_name} in {predictor.precision}"
            if found != f"{self.config.model.name} in float32":
                raise UserError(f"weights: must be {self.config.model.name} in float32 (model=...), found {found}")
            if predictor.labels.names != self.texts.label_set.names:
                raise UserError(
                    f"labels: must be those of weights ({', '.join(predictor.labels.names)}),"
                    f" found {', '.join(self.texts.label_set.names)}"
                )
            return predictor
        return Predictor.of_backbone(
            self.backbone,
            self.config.model,
            self.model(),
            self.encoder.tokenizer,
            self.texts.label_set,
            self.config.data.max_length,
        )
