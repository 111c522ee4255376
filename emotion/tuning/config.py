"""Settings of a search: ``conf/tune.yaml``."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from emotion.config import Count, Rule, Text
from emotion.errors import UserError
from emotion.training import TrainConfig
from emotion.tuning.search_space import RULE, Choices, Range, Value, parse

SEARCHED = ("model", "optimizer", "augmentation", "trainer", "data")


class TuningConfig(TrainConfig):
    """Schema of ``conf/tune.yaml``: a training as in ``conf/train.yaml``, and what of it is searched for."""

    search: Annotated[
        dict[Text, Any], Field(min_length=1), Rule(f"settings by key, each {RULE}, like {{model.learning_rate: ...}}")
    ]
    trials: Count
    """Trainings of the whole search, those of earlier processes included."""
    pruning: bool
    """Whether a training ends early whose validation macro F1 is below the median of earlier ones."""

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if self.trainer.ckpt_path is not None:
            raise UserError(f"trainer.ckpt_path: must be null in a search, found {self.trainer.ckpt_path}")
        base = self.with_settings([], "search")
        for key, each in self.space.items():
            name = f"search.{key}"
            if key.split(".")[0] not in SEARCHED:
                raise UserError(f"{name}: must be a setting of {', '.join(SEARCHED)}")
            found = [self.with_settings([setting(key, value)], name) for value in each.extremes]
            if all(other.work() == base.work() for other in found):
                raise UserError(f"{name}: must be a setting that changes the model, with other values than the default")
        return self

    @property
    def space(self) -> dict[str, Range | Choices]:
        """What is searched for, by key."""
        return {key: parse(given, f"search.{key}") for key, given in self.search.items()}

    def trial(self, settings: Mapping[str, Value]) -> TrainConfig:
        """Return the settings of one training."""
        return self.with_settings([setting(key, value) for key, value in settings.items()], "search")


def setting(key: str, value: Value) -> str:
    """Write a setting as users give it, like ``optimizer.schedule=cosine``."""
    return f"{key}={value if isinstance(value, str) else json.dumps(value)}"
