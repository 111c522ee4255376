"""The LightningModule around a Hugging Face sequence classifier."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchmetrics import MeanMetric, MetricCollection
from torchmetrics.classification import MulticlassF1Score
from transformers import PreTrainedModel

from emotion.evaluation import classification_metrics
from emotion.models.fast.fused_adamw import fused_adamw
from emotion.training.config import OptimizerConfig
from emotion.training.losses import class_weights, logit_adjustment
from emotion.training.optimisation import parameter_groups, schedule

Batch = dict[str, Tensor]


class EmotionClassifier(LightningModule):
    """Fine-tunes ``model``: AdamW, warm-up and decay, cross entropy.

    Args:
        model: A sequence classifier.
        config: Weight decay, schedule, and weights of the classes.
        learning_rate: Peak of the schedule.
        seed: Seed of dropout's masks, which depend on it, the epoch and the process alone, so that a resumed run
            repeats the uninterrupted one.
        label_counts: Rows of each class in the training data, for ``class_weights: balanced``.
        compile: Train through ``torch.compile``.
        fast: Whether the update is one fused kernel.
        corpora: Names of the validation CSVs, if they are several: each is scored, and the best epoch is chosen by the
            mean of their macro F1.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        config: OptimizerConfig,
        learning_rate: float,
        seed: int,
        label_counts: list[int],
        compile: bool = False,
        fast: bool = True,
        corpora: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.model = model.train()  # from_pretrained sets eval mode, without dropout, which Lightning would keep
        self.loss = nn.CrossEntropyLoss(weight=class_weights(config.class_weights, label_counts))
        self.register_buffer("adjustment", logit_adjustment(config.logit_adjustment, label_counts), persistent=False)
        self.adjustment: Tensor | None
        self.corpora = list(corpora)
        self.train_loss = MeanMetric(nan_strategy="disable")  # a loss that is not finite must show
        classes = int(model.config.num_labels or 0)
        self.val_metrics = classification_metrics(classes)
        self.corpus_f1 = MetricCollection(
            {f"corpus_{place}": MulticlassF1Score(classes, average="macro") for place in range(len(self.corpora))},
            compute_groups=False,  # each sees other rows
        )
        self.config, self.learning_rate, self.seed = config, learning_rate, seed
        self.compiles, self.fast = compile, fast
        self._call: Callable[..., Any] = model.forward
        self._resumed: dict[str, Any] | None = None

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Compute logits (rows, classes) of token ids (rows, tokens)."""
        logits: Tensor = self._call(input_ids=input_ids, attention_mask=attention_mask).logits
        return logits

    def on_fit_start(self) -> None:
        if self.compiles:
            from emotion.models.fast.compiled import compiled  # no other training needs a compiler

            self._call = compiled(self.model.forward, self.device)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        if batch_idx == 0:  # not at the epoch's start: making the loader's iterator draws a number, but not on resuming
            words = np.random.SeedSequence([self.seed, self.current_epoch, self.global_rank]).generate_state(1)
            torch.manual_seed(int(words[0]))
        elif self._resumed is not None:
            _restore_random_states(self._resumed["random"])
            self.train_loss.mean_value, self.train_loss.weight = (
                each.to(self.device) for each in self._resumed["train_loss"]
            )
        self._resumed = None

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what a run that is resumed within an epoch needs: random states, and the mean loss so far."""
        loss = self.train_loss
        checkpoint["within_epoch"] = {
            "random": _random_states(),
            "train_loss": (torch.as_tensor(loss.mean_value), torch.as_tensor(loss.weight)),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._resumed = checkpoint.get("within_epoch")  # earlier versions wrote none, at the end of epochs only

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss = self.training_loss(batch)
        rows = len(batch["labels"])
        self.log("train/loss_step", loss.detach(), prog_bar=True, batch_size=rows)
        self.train_loss.update(loss.detach(), rows)
        self.log("train/loss", self.train_loss, on_step=False, on_epoch=True, batch_size=rows)
        return loss

    def training_loss(self, batch: Batch) -> Tensor:
        """Compute the scalar that an update lowers."""
        return self._loss(self(batch["input_ids"], batch["attention_mask"]), batch)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        logits = self(batch["input_ids"], batch["attention_mask"])
        loss = self.loss(logits, batch["labels"])
        self.val_metrics.update(logits, batch["labels"])
        for place in range(len(self.corpora)):
            inside = batch["corpus"] == place
            if inside.any():
                self.corpus_f1[f"corpus_{place}"].update(logits[inside], batch["labels"][inside])
        self.log("val/loss", loss, sync_dist=True, batch_size=len(batch["labels"]))

    def on_validation_epoch_end(self) -> None:
        results = self.val_metrics.compute()
        self.val_metrics.reset()
        self.confusion_matrix: Tensor = results.pop("confusion_matrix")
        self.log("val/accuracy", results["accuracy"])
        self.log("val/macro_f1", self._selection_f1(results["macro_f1"]), prog_bar=True)

    def _selection_f1(self, over_all_rows: Tensor) -> Tensor:
        """Return what the best epoch is chosen by, and log the macro F1 of each corpus."""
        if not self.corpora:
            return over_all_rows
        results = self.corpus_f1.compute()
        self.corpus_f1.reset()
        found = [results[f"corpus_{place}"] for place in range(len(self.corpora))]
        for name, value in zip(self.corpora, found, strict=True):
            self.log(f"val/macro_f1/{name}", value)
        return torch.stack(found).mean()

    def configure_optimizers(self) -> OptimizerLRScheduler:
        config = self.config
        groups = parameter_groups(self, self.model, self.learning_rate, config.weight_decay, config.layer_decay)
        if self.fast:
            optimizer = fused_adamw(groups, self.learning_rate)
        else:
            optimizer = torch.optim.AdamW(groups, lr=self.learning_rate)
        updates = int(self.trainer.estimated_stepping_batches)
        scheduler = schedule(config.schedule, optimizer, round(updates * config.warmup_fraction), updates)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Compute the loss of logits (rows, classes) in training, with all weights and the adjustment."""
        labels = batch["labels"]
        if self.adjustment is not None:
            logits = logits + self.adjustment
        if "weights" not in batch:
            loss: Tensor = self.loss(logits, labels)
            return loss
        each = cross_entropy(logits, labels, weight=self.loss.weight, reduction="none")
        counted = len(labels) if self.loss.weight is None else self.loss.weight[labels].sum()
        return (batch["weights"] * each).sum() / counted


def _random_states() -> dict[str, Any]:
    """Return the states of torch's generators, from which dropout draws."""
    return {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []}


def _restore_random_states(states: dict[str, Any]) -> None:
    torch.set_rng_state(states["cpu"].cpu())
    if states["cuda"] and len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([state.cpu() for state in states["cuda"]])
