"""End a training that no longer gets better."""

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping

from emotion.training.config import TrainerConfig


class ResumableEarlyStopping(EarlyStopping):
    """Lightning's early stopping, which a run that had stopped and is resumed does not forget.

    Args:
        patience: Validations in a row, >= 1, without a higher macro F1.
    """

    def __init__(self, patience: int) -> None:
        super().__init__("val/macro_f1", mode="max", patience=patience, check_on_train_epoch_end=False)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.should_stop = trainer.should_stop or self.wait_count >= self.patience


def early_stopping(config: TrainerConfig) -> list[EarlyStopping]:
    """Return the callback that ``trainer.patience`` asks for, if any."""
    return [] if config.patience is None else [ResumableEarlyStopping(config.patience)]
