"""Signals that come in the middle of a training."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from emotion.training import EmotionClassifier


def do_in_step(number: int, action: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Call ``action`` in the training's update ``number``, counted from 1."""
    done = 0
    step = EmotionClassifier.training_step

    def counted(self: EmotionClassifier, *arguments: Any) -> torch.Tensor:
        nonlocal done
        done += 1
        if done == number:
            action()
        return step(self, *arguments)

    monkeypatch.setattr(EmotionClassifier, "training_step", counted)
