"""Fit a classifier with Lightning, set up for all trainings alike."""

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from lightning import Trainer
from lightning.pytorch.callbacks import Callback, LearningRateMonitor
from lightning.pytorch.loggers import TensorBoardLogger

from emotion.data import EmotionDataModule
from emotion.isolation import log_level
from emotion.progress import shows_bars
from emotion.training.callbacks import AtomicCheckpointIO, ConfusionMatrixLogger, ProgressBar
from emotion.training.classifier import EmotionClassifier
from emotion.training.config import TrainConfig
from emotion.training.progress_log import ProgressLog


def fit(
    classifier: EmotionClassifier,
    data: EmotionDataModule,
    config: TrainConfig,
    run_dir: Path,
    callbacks: list[Callback],
) -> None:
    """Train ``classifier`` on ``data``, both made for ``config``; logs go to ``run_dir``."""
    with (
        log_level("lightning.pytorch", logging.WARNING),
        warnings.catch_warnings(),
        _determinism_restored(),
        _threads_quiet(),
    ):
        # The log level leaves out Lightning's tips and lists of hardware.
        # Texts are tokenised beforehand; what is left to load does not need workers.
        warnings.filterwarnings("ignore", ".*does not have many workers.*")
        warnings.filterwarnings("ignore", ".*smaller than the logging interval.*")  # epochs are logged anyway
        # The data module goes on within an epoch; Lightning loads no state of a loader that was made beforehand.
        warnings.filterwarnings("ignore", ".*your dataloader is not resumable.*")
        warnings.filterwarnings("ignore", ".*LeafSpec.*")  # Lightning's own use of a deprecated name
        warnings.filterwarnings("ignore", ".*exists and is not empty.*")  # resuming into the same folder
        warnings.filterwarnings("ignore", ".*sync_dist=True.*")  # torchmetrics has counted the rows of all processes
        trainer = build_trainer(config, run_dir, callbacks, data.rows_of_epoch is not None)
        trainer.fit(classifier, data, ckpt_path=config.trainer.ckpt_path, weights_only=True)


def build_trainer(
    config: TrainConfig, run_dir: Path, callbacks: list[Callback], rows_by_epoch: bool = False
) -> Trainer:
    """Build the Lightning trainer of a run, deterministic, with our own sampler on each process.

    Args:
        config: Settings of the training.
        run_dir: Folder of the logs.
        callbacks: Those of the work at hand.
        rows_by_epoch: Whether each epoch has rows of its own.
    """
    settings = config.trainer
    logger = TensorBoardLogger(run_dir, name="tensorboard", version="")
    logger.log_hyperparams(config.model_dump())
    bar: list[Callback] = [ProgressBar(leave=True)] if settings.enable_progress_bar else []
    if not shows_bars():
        bar.append(ProgressLog())
    return Trainer(
        accelerator=settings.accelerator,
        devices=settings.devices,
        num_nodes=settings.num_nodes,
        strategy=settings.strategy,
        precision=settings.precision,  # type: ignore[arg-type]
        max_epochs=settings.max_epochs,
        gradient_clip_val=settings.gradient_clip_val,
        limit_train_batches=settings.limit_train_batches,
        limit_val_batches=settings.limit_val_batches,
        val_check_interval=settings.val_check_interval,
        log_every_n_steps=settings.log_every_n_steps,
        enable_progress_bar=settings.enable_progress_bar,
        deterministic=True,
        use_distributed_sampler=False,
        reload_dataloaders_every_n_epochs=1 if rows_by_epoch else 0,
        num_sanity_val_steps=0,
        enable_model_summary=False,
        logger=logger,
        plugins=[AtomicCheckpointIO()],
        callbacks=[*callbacks, ConfusionMatrixLogger(), LearningRateMonitor(), *bar],
    )


@contextmanager
def _determinism_restored() -> Iterator[None]:
    """Restore the setting of deterministic algorithms, which Lightning switches on for good, at the block's end."""
    before = torch.are_deterministic_algorithms_enabled()
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


@contextmanager
def _threads_quiet() -> Iterator[None]:
    """Leave out the tracebacks of TensorBoard's thread where it cannot write: the error is raised here as well."""
    before = threading.excepthook
    threading.excepthook = lambda found: None if isinstance(found.exc_value, OSError) else before(found)
    try:
        yield
    finally:
        threading.excepthook = before
