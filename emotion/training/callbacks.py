"""Define a training's callbacks: pictures in TensorBoard, the progress bar, the epochs to resume from."""

from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, RichProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from rich.progress import BarColumn

from emotion.reporting import (
    confusion_matrix_figure,
)


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


class EpochCheckpoint(ModelCheckpoint):
    """Keeps one epoch of a run to resume from: the best by ``monitor``, or the last.

    Unlike its base class, it still knows the best epoch if the folder was moved before resuming.
    """

    def __init__(self, folder: Path, filename: str, monitor: str | None = None) -> None:
        super().__init__(
            dirpath=folder,
            filename=filename,
            monitor=monitor,
            mode="max",
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )

    def restore(self, module: LightningModule) -> int:
        """Give ``module`` the weights of the kept epoch, and return the epoch's number, from 1."""
        content = torch.load(self.best_model_path, map_location="cpu", weights_only=True)
        module.load_state_dict(content["state_dict"])
        return int(content["epoch"]) + 1

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        def here(path: str) -> str:
            return str(Path(str(self.dirpath)) / Path(path).name)

        moved = {**state_dict, "dirpath": self.dirpath}
        for key in ("best_model_path", "kth_best_model_path", "last_model_path"):
            if key in moved:
                moved[key] = here(moved[key])
        if "best_k_models" in moved:
            moved["best_k_models"] = {here(path): score for path, score in moved["best_k_models"].items()}
        super().load_state_dict(moved)
