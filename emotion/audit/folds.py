"""Judge training rows by a fine-tuned model that did not learn from them: one training a fold."""

import logging

import numpy as np

from emotion.audit.config import AuditConfig
from emotion.checkpoint import load
from emotion.data import LabelledTexts, TextEncoder, fold_numbers
from emotion.errors import UserError
from emotion.models import ModelConfig, find_backbone, load_tokenizer, pick_device
from emotion.temporaries import temporary_folder
from emotion.training import process_count, train

log = logging.getLogger(__name__)


def encoder_of(model: ModelConfig, max_length: int) -> TextEncoder:
    """Return the encoder that the backbone's texts go through."""
    tokenizer = load_tokenizer(find_backbone(model).folder, model.normalization)
    return TextEncoder(tokenizer, model.normalization, max_length)


def out_of_fold_by_training(
    config: AuditConfig, model: ModelConfig, data: LabelledTexts, validation: LabelledTexts
) -> np.ndarray:
    """Predict each training row by a model that was fine-tuned on the other folds.

    Each training chooses its epoch on ``validation``, and leaves nothing behind.

    Returns:
        (rows, classes), float64; rows sum to 1.

    Raises:
        UserError: A training fails, or would use several processes.
    """
    if process_count(config.trainer) > 1:
        # Every further process would run the whole audit again.
        raise UserError(f"trainer.devices: must be one device in an audit, found {config.trainer.devices}")
    numbers = fold_numbers(data.texts, data.labels, config.folds, config.seed)
    found = np.empty((len(data.texts), len(data.label_set)))
    folds = int(numbers.max()) + 1
    for fold in range(folds):
        held_out, others = np.flatnonzero(numbers == fold).tolist(), np.flatnonzero(numbers != fold).tolist()
        log.info("fold %d of %d: learning from %d rows, judging %d", fold + 1, folds, len(others), len(held_out))
        with temporary_folder() as folder:
            csvs = {
                "train": data.chosen(others).write(folder / "train.csv"),
                "validation": validation.write(folder / "validation.csv"),
            }
            output = folder / "outputs"
            train(config.training(model, data.label_set.names, str(output), csvs), folder / "run")
            checkpoint = output / f"best_{model.name}.pt"
            predictor = load(str(checkpoint), pick_device(config.trainer.accelerator), config.fast)
            found[held_out] = predictor.predict_proba([data.texts[place] for place in held_out]).numpy()
    return found
