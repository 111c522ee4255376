"""Log the progress of a training whose output is a file, where a bar shows nothing for a whole epoch."""

import logging
from collections.abc import Callable
from time import monotonic
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from emotion.progress import LOG_EVERY_SECONDS, as_time

log = logging.getLogger(__name__)


class ProgressLog(Callback):
    """Logs, at most every ``seconds``, how far a training is: updates, mean loss, rows per second, time left.

    Args:
        seconds: Seconds between two lines, > 0.
        clock: Returns the seconds since any fixed moment.
    """

    def __init__(self, seconds: float = LOG_EVERY_SECONDS, clock: Callable[[], float] = monotonic) -> None:
        self.seconds, self.clock = seconds, clock

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._updates = int(trainer.estimated_stepping_batches)
        self._started, self._first_update = self.clock(), trainer.global_step
        self._start_line(self._started)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._losses.append(outputs["loss"].detach())  # stays on the device: a GPU need not wait
        self._rows += len(batch["labels"])
        now = self.clock()
        if now - self._line_started < self.seconds:
            return
        if trainer.is_global_zero:
            self._log(trainer, now)
        self._start_line(now)

    def _start_line(self, now: float) -> None:
        self._line_started, self._rows = now, 0
        self._losses: list[Tensor] = []

    def _log(self, trainer: Trainer, now: float) -> None:
        done = trainer.global_step
        seconds_each = (now - self._started) / max(done - self._first_update, 1)
        log.info(
            "epoch %d/%s, update %d/%d: loss %.4f, %.0f rows/s, %s left",
            trainer.current_epoch + 1,
            trainer.max_epochs,
            done,
            self._updates,
            float(torch.stack(self._losses).mean()),
            self._rows * trainer.world_size / (now - self._line_started),
            as_time(seconds_each * (self._updates - done)),
        )
