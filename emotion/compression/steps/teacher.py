"""What a student learns from: texts, changed and unlabelled ones among them, and the teacher's answers."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from emotion.compression.config import DistillConfig
from emotion.data.datamodule import LabelledTexts
from emotion.models.predictor import Predictor
from emotion.progress import progress_bar


class Teacher:
    """The fine-tuned model; its answers are computed once for all students.

    Args:
        checkpoint: In FP32.
    """

    def __init__(self, checkpoint: Predictor) -> None:
        self.checkpoint = checkpoint
        self._log_probabilities: dict[str, Tensor] = {}
        self._hidden_states: dict[str, Tensor] = {}

    def lesson(
        self, train: LabelledTexts, unlabelled: list[str], config: DistillConfig, seed: int
    ) -> tuple[list[str], Tensor]:
        """The training texts, then their changed copies, then the unlabelled texts; and a label of each.

        Returns:
            The texts, and (texts,) int64: the true labels, and the teacher's of all that has none.
        """
        rng = np.random.default_rng(seed)
        more = [changed for _ in range(config.augmented_copies) for changed in changed_copies(train.texts, config, rng)]
        more += unlabelled
        told = self.log_probabilities(more).argmax(dim=-1)
        return train.texts + more, torch.cat([torch.tensor(train.labels), told])

    def log_probabilities(self, texts: Sequence[str]) -> Tensor:
        """(texts, classes), float32."""
        unknown = [text for text in dict.fromkeys(texts) if text not in self._log_probabilities]
        with progress_bar(transient=True) as progress:
            task = progress.add_task("the teacher's answers", total=len(unknown))
            answers = self.checkpoint.predict_proba(unknown, advance=lambda rows: progress.advance(task, rows))
        answers = answers.clamp(min=1e-12).log()
        self._log_probabilities |= zip(unknown, answers, strict=True)
        return torch.stack([self._log_probabilities[text] for text in texts]) if texts else answers

    @torch.no_grad()
    def hidden_states(self, texts: Sequence[str]) -> Tensor:
        """(texts, hidden size), float32: the last layer's hidden states, averaged over a text's tokens."""
        unknown = [text for text in dict.fromkeys(texts) if text not in self._hidden_states]
        model, rows = self.checkpoint.torch_model, self.checkpoint.encoder.encode(unknown)
        with progress_bar(transient=True) as progress:
            task = progress.add_task("the teacher's hidden states", total=len(rows))
            for batch, inputs in self.checkpoint.batches(rows):
                last = model(**inputs, output_hidden_states=True).hidden_states[-1]
                states = mean_hidden_state(last, inputs["attention_mask"]).float().cpu()
                self._hidden_states |= zip((unknown[i] for i in batch), states, strict=True)
                progress.advance(task, len(batch))
        return torch.stack([self._hidden_states[text] for text in texts])


def mean_hidden_state(hidden: Tensor, attention_mask: Tensor) -> Tensor:
    """Average hidden states over the tokens of each text.

    Args:
        hidden: (rows, tokens, size), float.
        attention_mask: (rows, tokens), 1 for tokens and 0 for padding; at least one token a row.

    Returns:
        (rows, size), in the dtype of ``hidden``.
    """
    mask = attention_mask[:, :, None].to(hidden.dtype)
    return (hidden * mask).sum(dim=1) / mask.sum(dim=1)


def changed_copies(texts: Sequence[str], config: DistillConfig, rng: np.random.Generator) -> list[str]:
    """Each text with a share of its words dropped, and a share of the rest replaced by words of other texts.

    Every text keeps at least a word, where it has one.
    """
    split = [text.split() for text in texts]
    pool = np.array([word for words in split for word in words] or [""], dtype=object)
    copies = []
    for words in split:
        kept = [word for word, number in zip(words, rng.random(len(words)), strict=True) if number >= config.drop_words]
        kept = kept or words[:1]
        strange = pool[rng.integers(len(pool), size=len(kept))]
        chosen = rng.random(len(kept)) < config.swap_words
        copies.append(" ".join(np.where(chosen, strange, np.array(kept, dtype=object)).tolist()))
    return copies
