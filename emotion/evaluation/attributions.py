"""What an attribution is: how much each word of a text speaks for a class.

Both methods are this project's own: captum, which has them too, would be a further dependency for two short loops, and
knows neither ONNX Runtime nor the texts' normalisation.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

LONGEST_WORDS = 128
"""Words of a text that are scored one by one; a longer text's words are scored in as many groups of neighbours."""


@dataclass(frozen=True, slots=True)
class WordScore:
    """A word of a text, or neighbouring words that are scored together."""

    start: int
    """Place of its first character in the text."""
    end: int
    """Place after its last character."""
    score: float
    """How much it speaks for the explained class; negative = against it. The method defines the unit."""


@dataclass(frozen=True, slots=True)
class Attribution:
    """How much each word of a text speaks for one class."""

    text: str
    label: int
    """Index of the explained class."""
    probability: float
    """Of the explained class, in [0, 1]."""
    words: list[WordScore]
    """In the order of the text, at most :data:`LONGEST_WORDS`; none after the tokens that the model reads."""
    method: str
    """``occlusion`` or ``integrated_gradients``."""
    convergence_gap: float | None
    """For integrated gradients: how far the scores' sum is from what it should be, in logits; 0 is exact."""


def explained_labels(probabilities: Tensor, labels: Sequence[int] | None) -> list[int]:
    """Return the classes to explain: ``labels``, or else the most probable ones.

    Args:
        probabilities: (texts, classes), float.
        labels: (texts,), class indices.

    Raises:
        ValueError: ``labels`` has another length, or an index that is no class.
    """
    texts, classes = probabilities.shape
    if labels is None:
        predicted: list[int] = probabilities.argmax(dim=-1).tolist()
        return predicted
    if len(labels) != texts:
        raise ValueError(f"labels: must be one for each of {texts} texts, found {len(labels)}")
    for label in labels:
        if not 0 <= label < classes:
            raise ValueError(f"labels: must be from 0 to {classes - 1}, found {label}")
    return list(labels)
