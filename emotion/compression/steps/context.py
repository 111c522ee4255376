"""What the steps of a chain may use."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from emotion.compression.steps.teacher import Teacher
from emotion.data import LabelledTexts
from emotion.models import Predictor


@dataclass(frozen=True, slots=True)
class Context:
    """What the steps of a chain may use besides the model that they change."""

    original: Predictor
    """The fine-tuned model; not to be changed."""
    validation: LabelledTexts
    """What quality is measured on, also after each epoch of a distillation; it chooses nothing."""
    train: Callable[[], LabelledTexts]
    """Reads the training data once. Raises :class:`~emotion.errors.UserError` where it cannot be read."""
    calibration_texts: Callable[[], list[str]]
    """The training texts, or the sample corpus' where no CSV is given and the recorded one is no longer there."""
    teacher: Callable[[], Teacher]
    """The original as a teacher, shared by all chains: it remembers its answers."""
    text_column: str
    """Of further CSVs."""
    seed: int
    fast: bool
    """Whether :mod:`emotion.models.fast` speeds models up."""
    run_dir: Path
    """The chain's own folder, for curves and resume states; a state that is there is of the same work."""
