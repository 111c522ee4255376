"""Train as the classic interface does: one backbone, or the three in turn."""

import logging
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from emotion.config import compose_config, resolve
from emotion.errors import UserError, first_line
from emotion.isolation import isolated
from emotion.jobs import log_file
from emotion.models import model_choices
from emotion.reporting import read_report
from emotion.training.config import TrainConfig
from emotion.training.run import train

log = logging.getLogger(__name__)

CLASSIC_MODELS = ("BERTweet", "CardiffRoBERTa", "ModernBERT")


@isolated()
def main(
    train_path: str = "train.csv",
    val_path: str = "validation.csv",
    output_dir: str = "./outputs",
    model: str | None = None,
    gpu: int | None = None,
) -> dict[str, Any]:
    """Fine-tune one model, or BERTweet, CardiffRoBERTa and ModernBERT in turn.

    Args:
        train_path: CSV with ``text`` and ``label``.
        val_path: The same, to choose the best epoch.
        output_dir: Folder for the deliverables; logs go to ``output_dir/DATE/TIME/<Name>``.
        model: Name of a model (``"ModernBERT"``) or of its config (``"modernbert"``); None = the three.
        gpu: Index of the GPU; None = a GPU if there is one.

    Returns:
        The content of ``emotion_classification_report.json``.

    Raises:
        UserError: An input cannot be used. If one of several models fails, the others are trained first.
    """
    choices = {config.name: choice for choice, config in model_choices().items()}
    known = {**{name.lower(): name for name in choices}, **{choice: name for name, choice in choices.items()}}
    if model is not None and model.lower() not in known:
        raise UserError(f"model: must be one of {', '.join(choices)}, found {model!r}")
    names = CLASSIC_MODELS if model is None else (known[model.lower()],)
    session = Path(output_dir).resolve() / datetime.now().strftime("%Y-%m-%d/%H-%M-%S-%f")
    failures: list[Exception] = []
    for name in names:
        config = compose_config("train", [f"model={choices[name]}", "data=csv"])
        config.data.train, config.data.validation, config.output_dir = train_path, val_path, output_dir
        if gpu is not None and torch.cuda.is_available():
            config.trainer.accelerator, config.trainer.devices = "gpu", [gpu]
        elif gpu is not None:
            config.trainer.accelerator = "cpu"
            if name == names[0]:
                log.warning("gpu: asked for GPU %d, found none on this machine; using the CPU", gpu)
        try:
            with log_file(session / name / "train.log"):
                train(resolve(config, TrainConfig), session / name, sweep=str(session) if model is None else None)
        except Exception as error:  # one failure must not cost the other models
            if model is not None:
                raise
            if str(error) not in map(str, failures):  # a mistake in what all models share is logged once
                log.error("%s was not trained: %s", name, error, exc_info=not isinstance(error, UserError))
            failures.append(error)
    if failures:
        raise UserError(
            f"{len(failures)} of {len(names)} models failed; the first: {first_line(failures[0])}"
        ) from failures[0]
    return read_report(Path(output_dir)).model_dump()
