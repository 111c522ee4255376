"""Distil knowledge: teach a small student to answer as the fine-tuned teacher does.

Source: Hinton et al. 2015, arXiv:1503.02531; the hidden-state loss as in DistilBERT, Sanh et al. 2019,
arXiv:1910.01108, but of the average over a text's tokens rather than of each token, so that the student may have a
vocabulary of its own.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lightning import seed_everything
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, kl_div, log_softmax, softmax

from emotion.compression.steps.context import Context
from emotion.compression.steps.registry import DistillConfig
from emotion.compression.steps.teacher import Lesson, Teacher
from emotion.config import compose_config, resolve
from emotion.data import EmotionDataModule, LabelledTexts, TextEncoder, open_csv
from emotion.errors import UserError
from emotion.models import (
    ModelConfig,
    Predictor,
    batch_size_blamed,
    find_backbone,
    load_pretrained,
    load_tokenizer,
    mean_hidden_state,
    position_limit,
)
from emotion.models.fast import speed_up_like_
from emotion.training import (
    CHECKPOINTS,
    Batch,
    EmotionClassifier,
    EpochCheckpoint,
    LossGuard,
    ResumeState,
    TrainConfig,
    find_state,
    fit,
    stop_after_update,
)

log = logging.getLogger(__name__)


def distill(
    student: Predictor,
    config: DistillConfig,
    teacher: Teacher,
    train: LabelledTexts,
    unlabelled: list[str],
    validation: LabelledTexts,
    run_dir: Path,
    seed: int,
    fast: bool = True,
) -> Predictor:
    """Train the student on the teacher's soft labels; keep the last epoch, so that validation chooses nothing.

    The learning rate falls to zero, and no epoch has the texts of another: later ones are better. Training follows
    ``conf/train.yaml``, except for what ``config`` sets.

    Args:
        student: Predictor in FP32; trained in place unless ``config.model`` names another.
        config: The losses' weights, the schedule and the augmentation.
        teacher: The fine-tuned model.
        train: Texts to learn from; in each epoch, new copies are added as ``config`` says.
        unlabelled: Further texts to learn from, which the teacher labels.
        validation: Texts that each epoch is scored on.
        run_dir: Folder for the curves and the resume states; one that is there is gone on from.
        seed: Seed of the order, the dropout and the augmentation.
        fast: Whether the optimizer is a fused one.

    Raises:
        UserError: The student's backbone cannot be used, or its labels are not the teacher's.
    """
    settings = _train_config(config, teacher.predictor, train, validation, seed, fast)
    seed_everything(seed, verbose=False)
    if config.model is not None:
        student = _new_student(student, settings.model)
    if student.labels.names != teacher.predictor.labels.names:
        raise UserError(
            f"distill: the student must have the teacher's labels ({', '.join(teacher.predictor.labels.names)}),"
            f" found {', '.join(student.labels.names)}"
        )
    encoder = TextEncoder(student.tokenizer, student.normalization, student.max_length)
    data = EmotionDataModule(train, validation, config.batch_size, seed)
    data.tokenise(encoder)
    lesson = Lesson(teacher, train, unlabelled, config, encoder, seed)
    data.rows_of_epoch = lesson.rows
    log.info("distilling: %d rows an epoch, %d of them training texts as they are", len(lesson), len(train.texts))
    classifier = DistilledClassifier(
        student.model, settings, config, train.counts(), teacher.predictor.model.config.hidden_size
    )
    state, folder = find_state(run_dir), run_dir / CHECKPOINTS
    if state is not None:
        log.info("going on with the distillation in %s, which ended early", run_dir)
        settings = settings.updated(trainer=settings.trainer.updated(ckpt_path=str(state)))
    last = EpochCheckpoint(folder, "last")
    resume_state = ResumeState(folder / "last.ckpt", settings.save_every_minutes)
    guard = LossGuard("distill.learning_rate", config.learning_rate, folder)
    with batch_size_blamed("distill.batch_size", config.batch_size), stop_after_update():
        fit(classifier, data, settings, run_dir, [guard, last, resume_state])
    log.info("distilled: the last of %d epochs is kept", last.restore(classifier))
    model: Any = classifier.model
    model = model.to(teacher.predictor.model.device).eval()
    return replace(student, model=model, temperature=1.0)  # the teacher's was left out too


class DistilledClassifier(EmotionClassifier):
    """A classifier that is trained on the teacher's answers as well as on the labels.

    Batches for training also hold ``teacher_log_probabilities``, (rows, classes), and, if hidden states are
    compared, ``teacher_hidden``, (rows, hidden size of the teacher).

    Args:
        model: The student.
        settings: Settings of the training.
        config: The losses' weights.
        label_counts: Rows of each class in the training data.
        teacher_hidden_size: Width of ``teacher_hidden``.
    """

    def __init__(
        self,
        model: Any,
        settings: TrainConfig,
        config: DistillConfig,
        label_counts: list[int],
        teacher_hidden_size: int,
    ) -> None:
        rate, seed = settings.model.learning_rate, settings.seed
        super().__init__(model, settings.optimizer, rate, seed, label_counts, fast=settings.fast)
        self.distill = config
        width = model.config.hidden_size
        # A student of another width is compared through a learned projection, which is thrown away afterwards.
        same = width == teacher_hidden_size or not config.hidden_weight
        self.projection = nn.Identity() if same else nn.Linear(width, teacher_hidden_size, bias=False)

    def training_loss(self, batch: Batch) -> Tensor:
        inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
        outputs = self.model(**inputs, output_hidden_states=bool(self.distill.hidden_weight))
        soft = soft_label_loss(outputs.logits, batch["teacher_log_probabilities"], self.distill.temperature)
        hard = self._loss(outputs.logits, batch)
        loss: Tensor = self.distill.soft_weight * soft + (1 - self.distill.soft_weight) * hard
        if self.distill.hidden_weight:
            hidden = self.projection(mean_hidden_state(outputs.hidden_states[-1], batch["attention_mask"]))
            loss = loss + self.distill.hidden_weight * (1 - cosine_similarity(hidden, batch["teacher_hidden"])).mean()
        return loss


def soft_label_loss(logits: Tensor, teacher_log_probabilities: Tensor, temperature: float) -> Tensor:
    """Compute the KL divergence of the student's from the teacher's softened classes, times temperature squared.

    Args:
        logits: (rows, classes), the student's.
        teacher_log_probabilities: (rows, classes); logits work too, as they differ by a constant per row.
        temperature: Divides both, > 0.

    Returns:
        Scalar >= 0; the mean over the rows.
    """
    student = log_softmax(logits / temperature, dim=-1)
    target = softmax(teacher_log_probabilities / temperature, dim=-1)
    return kl_div(student, target, reduction="batchmean") * temperature**2


def _train_config(
    config: DistillConfig, teacher: Predictor, train: LabelledTexts, validation: LabelledTexts, seed: int, fast: bool
) -> TrainConfig:
    """Compose ``conf/train.yaml`` with the settings of distilling."""
    device = teacher.model.device.type
    composed = compose_config("train", ["data=csv", *([f"model={config.model}"] if config.model else [])])
    composed.data.train = composed.data.validation = train.path
    composed.data.batch_size, composed.data.max_length = config.batch_size, teacher.max_length
    composed.model.learning_rate = config.learning_rate
    composed.trainer.max_epochs = config.max_epochs
    composed.trainer.accelerator = {"cuda": "gpu"}.get(device, device)
    composed.seed, composed.fast = seed, fast
    settings = resolve(composed, TrainConfig)
    # The validation CSV may be of another corpus than the training CSV: the user named both.
    return settings.updated(data=settings.data.updated(validation=validation.path))


def _new_student(original: Predictor, model: ModelConfig) -> Predictor:
    """Build a student from another backbone's pre-trained weights, under a new head."""
    backbone = find_backbone(model)
    tokenizer = load_tokenizer(backbone.folder, model.normalization)
    pretrained = load_pretrained(backbone, original.labels)
    speed_up_like_(pretrained, original.torch_model)
    max_length = min(original.max_length, position_limit(pretrained.config) or original.max_length)
    student = Predictor.of_backbone(backbone, model, pretrained, tokenizer, original.labels, max_length)
    return replace(student, metadata=original.metadata)


def _read_unlabelled(path: str | None, text_column: str) -> list[str]:
    """Read the texts of a CSV that are not empty; return none if no CSV is given."""
    if path is None:
        return []
    return open_csv(path, [text_column], "distill.unlabelled").texts(text_column)


def check(settings: DistillConfig, before: Sequence[str], context: Context) -> None:
    """Refuse what could not be finished, as :meth:`emotion.compression.steps.registry.Step.check` says."""
    if settings.unlabelled is not None and not _read_unlabelled(settings.unlabelled, context.text_column):
        raise UserError(f"distill.unlabelled: must have a text that is not blank, found none in {settings.unlabelled}")
    if settings.model is not None and before:
        raise UserError(
            f"distill.model: must be null after other steps, whose work a new student does not have,"
            f" found {settings.model} after {', '.join(before)}"
        )


def apply(model: Predictor, settings: DistillConfig, context: Context) -> Predictor:
    """Do the step, as :meth:`emotion.compression.steps.registry.Step.apply` says."""
    return distill(
        model,
        settings,
        context.teacher(),
        context.train(),
        _read_unlabelled(settings.unlabelled, context.text_column),
        context.validation,
        context.run_dir,
        context.seed,
        context.fast,
    )
