"""Average the weights over a training's updates."""

from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from torch.optim.swa_utils import get_ema_avg_fn

from emotion.training.config import OptimizerConfig


class UpdateAveraging(WeightAveraging):
    """Validates and keeps the average of the weights after each update, instead of the weights themselves.

    The average begins with the weights after the first update that counts; until then it is the weights themselves.

    Args:
        average_from: Share of all updates that do not count, in [0, 1].
        ema_decay: Share of the average that an update leaves, in [0, 1); None = all updates count the same.

    Source: Izmailov et al. 2018, arXiv:1803.05407; for compact language models Lu et al. 2022, arXiv:2212.05956.
    """

    def __init__(self, average_from: float, ema_decay: float | None) -> None:
        function: dict[str, Any] = {} if ema_decay is None else {"avg_fn": get_ema_avg_fn(ema_decay)}  # type: ignore[no-untyped-call]
        super().__init__(**function)
        self.average_from = average_from

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._first = round(self.average_from * int(trainer.estimated_stepping_batches))

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        if step_idx is None:
            return False
        if step_idx <= self._first:
            assert self._average_model is not None
            self._average_model.n_averaged.zero_()  # the next update copies
        return True


def averaging(config: OptimizerConfig) -> list[WeightAveraging]:
    """Return the callback that ``optimizer.average`` asks for, if any."""
    if config.average == "none":
        return []
    return [UpdateAveraging(config.average_from, config.ema_decay if config.average == "ema" else None)]
