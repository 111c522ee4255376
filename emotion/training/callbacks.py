"""Define a training's callbacks: pictures in TensorBoard, the progress bar, the epochs to resume from."""

import signal
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, RichProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.plugins.io import TorchCheckpointIO
from rich.progress import BarColumn
from torch import Tensor

from emotion.checkpoint import save_tensors
from emotion.data import EmotionDataModule
from emotion.errors import UserError
from emotion.files import atomic
from emotion.reporting import (
    confusion_matrix_figure,
)
from emotion.training.signals import Interrupted, stop_request


class ConfusionMatrixLogger(Callback):
    """Draws the validation confusion matrix of each epoch into TensorBoard."""

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if isinstance(trainer.logger, TensorBoardLogger) and trainer.is_global_zero:
            counts = pl_module.confusion_matrix.tolist()  # type: ignore[operator]
            names = list(pl_module.model.config.id2label.values())  # type: ignore[union-attr, operator]
            figure = confusion_matrix_figure(counts, names, f"Validation, epoch {trainer.current_epoch + 1}")
            trainer.logger.experiment.add_figure("val/confusion_matrix", figure, trainer.global_step)


class ProgressBar(RichProgressBar):
    """Rich's bar with the loss of the step and the macro F1 of the last validation, short enough for 80 columns.

    Epochs count from 1, as in the log and the reports.
    """

    def configure_columns(self, trainer: Trainer) -> list[Any]:
        columns = [
            each for each in super().configure_columns(trainer) if type(each).__name__ != "ProcessingSpeedColumn"
        ]
        for column in columns:
            if isinstance(column, BarColumn):
                column.bar_width = 16
        return columns

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        metrics = super().get_metrics(trainer, pl_module)
        names = {"train/loss_step": "loss", "val/macro_f1": "F1"}
        return {short: metrics[name] for name, short in names.items() if name in metrics}

    def _get_train_description(self, current_epoch: int) -> str:
        return f"Epoch {current_epoch + 1}/{self.trainer.max_epochs}".ljust(len(self.validation_description))


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes resume states next to their place and renames them, so that a kill leaves the old or the new one whole.

    Lightning's own writer takes the folder for temporary files, which may be on another disk, and copies from there.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic(path) as temporary:
            save_tensors(checkpoint, temporary)


class EpochCheckpoint(ModelCheckpoint):
    """Keeps one epoch of a run to resume from: the best by ``monitor``, or the last.

    Unlike its base class, it still knows the best epoch if the folder was moved before resuming.

    Args:
        folder: Where the file goes.
        filename: Its name without ``.ckpt``.
        monitor: The logged value that the best epoch has the highest of; None = keep the last.
        within_epochs: Look at each validation, also at those that come before an epoch's end.
    """

    def __init__(self, folder: Path, filename: str, monitor: str | None = None, within_epochs: bool = False) -> None:
        super().__init__(
            dirpath=folder,
            filename=filename,
            monitor=monitor,
            mode="max",
            save_on_train_epoch_end=not within_epochs,
            enable_version_counter=False,
        )

    def restore(self, module: LightningModule) -> int:
        """Give ``module`` the weights that were kept, and return the number of their epoch, from 1."""
        content = torch.load(self.best_model_path, map_location="cpu", weights_only=True)
        module.load_state_dict(content["state_dict"])
        return int(content["epoch"]) + 1

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        def here(path: str) -> str:
            return str(Path(str(self.dirpath)) / Path(path).name)

        moved = {**state_dict, "dirpath": self.dirpath}
        for key in ("best_model_path", "kth_best_model_path", "last_model_path"):
            if moved.get(key):  # empty before the first epoch's end
                moved[key] = here(moved[key])
        if "best_k_models" in moved:
            moved["best_k_models"] = {here(path): score for path, score in moved["best_k_models"].items()}
        super().load_state_dict(moved)


_AGREE_EVERY = 20
"""Updates after which several processes compare what they have been asked: it takes a moment of all of them."""


class ResumeState(Callback):
    """Writes a resume state within an epoch, now and then, and when a signal came; then it ends the training, too.

    Several processes do so together, after the same update.

    Args:
        path: Where the resume state goes.
        every_minutes: Minutes between two states; None = only when a signal came.
    """

    def __init__(self, path: Path, every_minutes: float | None = None) -> None:
        self.path, self.every_minutes = path, every_minutes

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take SIGTERM back from Lightning, which would exit with 0."""
        request = stop_request()
        if request is not None and signal.SIGTERM in request.replaced:
            signal.signal(signal.SIGTERM, request)
        self._saved = monotonic()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._saved = monotonic()  # an epoch's end leaves a state of its own

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        # What comes after this update is finished first: the epoch's end, or a validation, which may find the best.
        every = trainer.val_check_batch
        is_validated = every is not None and (batch_idx + 1) % every == 0
        if trainer.is_last_batch or is_validated or (trainer.world_size > 1 and batch_idx % _AGREE_EVERY):
            return
        request = stop_request()
        number = 0 if request is None or request.number is None else request.number
        is_due = self.every_minutes is not None and monotonic() - self._saved >= 60 * self.every_minutes
        if trainer.world_size > 1:
            asked = torch.tensor([number, is_due], device=trainer.strategy.root_device)
            number, is_due = trainer.strategy.reduce(asked, reduce_op="max").tolist()
        if number or is_due:
            trainer.save_checkpoint(self.path)
            self._saved = monotonic()
        if number:
            raise Interrupted(number, self.path)


class Diverged(UserError):
    """The loss of a training is not finite."""


class LossGuard(Callback):
    """Ends a training whose loss is not finite, and names the update, the rows of its batch and the last good state.

    It also keeps resume states from being written after such an update.

    Other devices than the CPU are asked for a loss one update later, so that it need not be waited for.

    Args:
        key: Of the learning rate.
        learning_rate: The peak.
        states: Folder of the resume states.
    """

    def __init__(self, key: str, learning_rate: float, states: Path) -> None:
        self.key, self.learning_rate, self.states = key, learning_rate, states
        self._unseen: list[tuple[int, Tensor]] = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._unseen.append((batch_idx, outputs["loss"]))
        self._check(trainer, leave=outputs["loss"].device.type != "cpu" and not trainer.is_last_batch)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self._check(trainer)

    def _check(self, trainer: Trainer, leave: int = 0) -> None:
        """Look at all losses but the last ``leave``."""
        while len(self._unseen) > leave:
            number, loss = self._unseen.pop(0)
            if not loss.isfinite():
                raise Diverged(self._message(trainer, number))

    def _message(self, trainer: Trainer, number: int) -> str:
        data: EmotionDataModule = trainer.datamodule  # type: ignore[attr-defined]
        kept = [path for path in (self.states / "last.ckpt", self.states / "best.ckpt") if path.is_file()]
        return (
            f"{self.key}: training diverged in update {number + 1} of epoch {trainer.current_epoch + 1}, of"
            f" {data.train.places(data.training_rows(number))}: the loss is not finite, found"
            f" {self.key}={self.learning_rate:g}; try a lower one, or trainer.precision=32-true;"
            f" {f'the last good state is {kept[0]}' if kept else 'there is no good state yet'}"
        )
