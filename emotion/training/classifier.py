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
from transformers import PreTrainedModel, get_linear_schedule_with_warmup

from emotion.errors import UserError
from emotion.evaluation import classification_metrics
from emotion.labels import LabelSet
from emotion.models.fast.fused_adamw import fused_adamw
from emotion.training.config import OptimizerConfig

Batch = dict[str, Tensor]


class EmotionClassifier(LightningModule):
    """Fine-tunes ``model``: AdamW, linear warm-up and decay, cross entropy.

    Args:
        model: A sequence classifier.
        config: Weight decay, warm-up and class weights.
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
        return self._step(batch)[0]

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        loss, logits = self._step(batch)
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
        matrices = [p for p in self.parameters() if p.ndim >= 2]
        vectors = [p for p in self.parameters() if p.ndim < 2]  # biases and norms
        groups = [
            {"params": matrices, "weight_decay": self.config.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]
        if self.fast:
            optimizer = fused_adamw(groups, self.learning_rate)
        else:
            optimizer = torch.optim.AdamW(groups, lr=self.learning_rate)
        updates = int(self.trainer.estimated_stepping_batches)
        warmup = round(updates * self.config.warmup_fraction)
        schedule = get_linear_schedule_with_warmup(optimizer, warmup, updates)  # type: ignore[no-untyped-call]
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _step(self, batch: Batch) -> tuple[Tensor, Tensor]:
        logits, labels = self(batch["input_ids"], batch["attention_mask"]), batch["labels"]
        if "weights" not in batch:
            return self.loss(logits, labels), logits
        each = cross_entropy(logits, labels, weight=self.loss.weight, reduction="none")
        counted = len(labels) if self.loss.weight is None else self.loss.weight[labels].sum()
        return (batch["weights"] * each).sum() / counted, logits


def _random_states() -> dict[str, Any]:
    """Return the states of torch's generators, from which dropout draws."""
    return {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []}


def _restore_random_states(states: dict[str, Any]) -> None:
    torch.set_rng_state(states["cpu"].cpu())
    if states["cuda"] and len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([state.cpu() for state in states["cuda"]])


def check_class_weights(config: OptimizerConfig, labels: LabelSet) -> None:
    """Raise :class:`UserError` if ``optimizer.class_weights`` lists more or fewer weights than there are labels."""
    choice = config.class_weights
    if isinstance(choice, list) and len(choice) != len(labels):
        raise UserError(
            f"optimizer.class_weights: must be none, balanced or {len(labels)} positive numbers"
            f" ({', '.join(labels.names)}), found {len(choice)}"
        )


def class_weights(choice: Any, label_counts: list[int]) -> Tensor | None:
    """Return the loss's weights, (classes,), for ``none``, ``balanced`` or a list; a class without rows weighs 1."""
    if choice == "none":
        return None
    if choice == "balanced":
        rows, classes = sum(label_counts), len(label_counts)
        return torch.tensor([rows / (classes * count) if count else 1.0 for count in label_counts])
    return torch.tensor([float(weight) for weight in choice])
