"""Make what a student learns from: texts, changed and unlabelled ones among them, and the teacher's answers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from emotion.compression.steps.registry import DistillConfig
from emotion.data import LabelledTexts, TextEncoder, TokenisedRows
from emotion.evaluation.words import is_unspaced, split_words
from emotion.models import Predictor, mean_hidden_state
from emotion.progress import progress_bar


class Teacher:
    """The fine-tuned model; its answers are computed once for all students, unless there are very many.

    They are uncalibrated: the temperature of distillation is one of its settings.

    Args:
        predictor: Predictor in FP32.
        most_kept: Answers to keep, some hundred bytes each; when there are more, those that are not asked for are
            forgotten.
    """

    def __init__(self, predictor: Predictor, most_kept: int = 1_000_000) -> None:
        self.predictor, self.most_kept = replace(predictor, temperature=1.0, familiarity=None), most_kept
        self._log_probabilities: dict[str, Tensor] = {}
        self._hidden_states: dict[str, Tensor] = {}

    def log_probabilities(self, texts: Sequence[str]) -> Tensor:
        """Return the logarithms of the teacher's probabilities, (texts, classes), float32."""
        self._log_probabilities = self._kept(self._log_probabilities, texts)
        unknown = [text for text in dict.fromkeys(texts) if text not in self._log_probabilities]
        with progress_bar(transient=True) as progress:
            task = progress.add_task("the teacher's answers", total=len(unknown))
            answers = self.predictor.predict_proba(unknown, advance=lambda rows: progress.advance(task, rows))
        answers = answers.clamp(min=1e-12).log()
        self._log_probabilities |= zip(unknown, answers, strict=True)
        return torch.stack([self._log_probabilities[text] for text in texts]) if texts else answers

    @torch.no_grad()
    def hidden_states(self, texts: Sequence[str]) -> Tensor:
        """Return the last layer's hidden states, averaged over a text's tokens: (texts, hidden size), float32."""
        self._hidden_states = self._kept(self._hidden_states, texts)
        unknown = [text for text in dict.fromkeys(texts) if text not in self._hidden_states]
        model, rows = self.predictor.torch_model, self.predictor.encoder.encode(unknown)
        with progress_bar(transient=True) as progress:
            task = progress.add_task("the teacher's hidden states", total=len(rows))
            for batch, inputs in self.predictor.batches(rows):
                last = model(**inputs, output_hidden_states=True).hidden_states[-1]
                states = mean_hidden_state(last, inputs["attention_mask"]).float().cpu()
                self._hidden_states |= zip((unknown[i] for i in batch), states, strict=True)
                progress.advance(task, len(batch))
        return torch.stack([self._hidden_states[text] for text in texts])

    def _kept(self, answers: dict[str, Tensor], texts: Sequence[str]) -> dict[str, Tensor]:
        """Forget answers that ``texts`` do not ask for, if there are too many."""
        if len(answers) <= self.most_kept:
            return answers
        return {text: answers[text] for text in texts if text in answers}


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a student learns from: the training texts and unlabelled ones, and in each epoch new copies of the former.

    A student of few texts soon knows the teacher's answers to them by heart; new ones tell it more of the teacher.
    """

    teacher: Teacher
    train: LabelledTexts
    unlabelled: list[str]
    config: DistillConfig
    encoder: TextEncoder
    """The student's."""
    seed: int

    def __len__(self) -> int:
        """Texts of an epoch."""
        copies = self.config.augmented_copies + self.config.joined_copies
        return len(self.train.texts) * (1 + copies) + len(self.unlabelled)

    def texts(self, epoch: int) -> list[str]:
        """Return the texts of an epoch, from 0: the training texts, their copies, and the unlabelled texts."""
        rng = np.random.default_rng([self.seed, epoch])
        copies: list[str] = []
        for _ in range(self.config.augmented_copies):
            copies += changed_copies(self.train.texts, self.config.drop_words, self.config.swap_words, rng)
        for _ in range(self.config.joined_copies):
            copies += joined_copies(self.train.texts, rng)
        return [*self.train.texts, *copies, *self.unlabelled]

    def rows(self, epoch: int) -> TokenisedRows:
        """Return an epoch's texts as the student reads them, with the targets of :func:`teacher_targets`.

        Their ``labels`` are the true ones of the training texts, and the teacher's of all others.
        """
        texts = self.texts(epoch)
        targets = teacher_targets(self.teacher, texts, self.config)
        labels = targets["teacher_log_probabilities"].argmax(dim=-1)
        labels[: len(self.train.labels)] = torch.tensor(self.train.labels)
        return TokenisedRows(self.encoder.encode(texts), {"labels": labels, **targets})


def teacher_targets(teacher: Teacher, texts: Sequence[str], config: DistillConfig) -> dict[str, Tensor]:
    """Return ``teacher_log_probabilities``, (texts, classes), and, if they are compared, ``teacher_hidden``."""
    targets = {"teacher_log_probabilities": teacher.log_probabilities(texts)}
    if config.hidden_weight:
        targets["teacher_hidden"] = teacher.hidden_states(texts)
    return targets


def joined_copies(texts: Sequence[str], rng: np.random.Generator) -> list[str]:
    """Return, for each text, its first words and then another text's last ones; one of the two parts may be empty.

    Args:
        texts: At least one, if any.
        rng: Draws the other texts, and where both are cut.
    """
    split = [_words(text) for text in texts]
    copies = []
    for words in split:
        other = split[rng.integers(len(split))]
        start, end = rng.integers(len(words) + 1), rng.integers(len(other) + 1)
        copies.append(_text([*words[:start], *other[end:]] or words))
    return copies


def changed_copies(texts: Sequence[str], drop_words: float, swap_words: float, rng: np.random.Generator) -> list[str]:
    """Return a changed copy of each text: some words are dropped, and some of the rest become words of other texts.

    Args:
        texts: Any number; each that has a word keeps at least one.
        drop_words: Share of the words to drop, in [0, 1].
        swap_words: Share of the remaining words to replace, in [0, 1].
        rng: Draws the words.
    """
    split = [_words(text) for text in texts]
    pool = np.array([word for words in split for word in words] or [""], dtype=object)
    copies = []
    for words in split:
        kept = [word for word, number in zip(words, rng.random(len(words)), strict=True) if number >= drop_words]
        kept = kept or words[:1]
        strange = pool[rng.integers(len(pool), size=len(kept))]
        chosen = rng.random(len(kept)) < swap_words
        copies.append(_text(np.where(chosen, strange, np.array(kept, dtype=object)).tolist()))
    return copies


def _words(text: str) -> list[str]:
    """Split a text into words, each with the space before it; in scripts without spaces, into characters."""
    words: list[str] = []
    before = None
    for start, end in split_words(text):
        has_space = not is_unspaced(text[start]) if before is None else start > before
        words.append(" " * has_space + text[start:end])
        before = end
    return words


def _text(words: Sequence[str]) -> str:
    return "".join(words).removeprefix(" ")
