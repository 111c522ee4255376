"""Weigh the classes in the loss by how often they occur."""

from typing import Any

import torch
from torch import Tensor

from emotion.errors import UserError
from emotion.labels import LabelSet
from emotion.training.config import OptimizerConfig


def check_class_weights(config: OptimizerConfig, labels: LabelSet) -> None:
    """Raise :class:`UserError` if ``optimizer.class_weights`` lists more or fewer weights than there are labels."""
    choice = config.class_weights
    if isinstance(choice, list) and len(choice) != len(labels):
        raise UserError(
            f"optimizer.class_weights: must be none, sqrt, balanced or {len(labels)} positive numbers"
            f" ({', '.join(labels.names)}), found {len(choice)}"
        )


def class_weights(choice: Any, label_counts: list[int]) -> Tensor | None:
    """Return the loss's weights, (classes,), of ``none``, ``sqrt``, ``balanced`` or a list.

    ``balanced`` is rows / (classes * rows of the class), and ``sqrt`` its square root; a class without rows weighs 1.
    """
    if choice == "none":
        return None
    if choice in ("balanced", "sqrt"):
        rows, classes = sum(label_counts), len(label_counts)
        balanced = torch.tensor([rows / (classes * count) if count else 1.0 for count in label_counts])
        return balanced if choice == "balanced" else balanced.sqrt()
    return torch.tensor([float(weight) for weight in choice])


def logit_adjustment(strength: float, label_counts: list[int]) -> Tensor | None:
    """Return what is added to logits in the loss, (classes,): ``strength`` times the log of each class's share.

    The classifier then learns to tell the classes apart as if all were equally frequent; predictions use its logits as
    they are. A class without rows is taken to have one. None = nothing is added.

    Source: Menon et al. 2020, arXiv:2007.07314, section 4.2.
    """
    if not strength:
        return None
    counts = torch.tensor(label_counts, dtype=torch.float32).clamp(min=1)
    return strength * (counts / counts.sum()).log()
