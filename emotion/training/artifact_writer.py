"""Write what a training run leaves behind: the checkpoint, the report entry, the pictures and the predictions."""

import logging
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from emotion.data import EmotionDataModule, LabelledTexts
from emotion.evaluation import Scores
from emotion.files import atomic
from emotion.jobs import job_identity
from emotion.models import Backbone, Predictions, Predictor
from emotion.prediction import latency_ms_per_sample
from emotion.reporting import (
    ACCURACY_TARGET,
    VALIDATION,
    DataFile,
    DataRecord,
    Environment,
    EpochRecord,
    ModelEntry,
    Rows,
    RunRecord,
    ScoresRecord,
    SetScores,
    TrainingReport,
    count_read,
    git_commit,
    hardware,
    versions,
    write_rows,
)
from emotion.scoring import (
    Scored,
    calibrate_,
    data_file,
    score_baselines,
    score_corpora,
    score_fields,
    score_rows,
    score_set,
)
from emotion.training.callbacks import Diverged, EpochCheckpoint
from emotion.training.config import TrainConfig
from emotion.training.deliverables import Deliverables
from emotion.training.resume import run_identity

log = logging.getLogger(__name__)

_IN_CHECKPOINT = {
    *("accuracy", "macro_f1", "per_class", "intervals", "calibration", "corpora", "evaluations", "best_epoch"),
    *("run_id", "config", "data", "environment"),
}
"""Fields of the report's entry that travel in the checkpoint."""


class ArtifactWriter(Callback):
    """Writes the checkpoint, the report entry and the pictures of the best epoch, once training has ended.

    The scores are computed with the very weights that are written. ``report`` holds the merged report afterwards.

    Args:
        config: The run's resolved config.
        data: The run's CSVs, tokenised.
        backbone: Where the weights came from.
        best: Chooses the best epoch.
        sets: The evaluation sets, which are read once the best epoch is chosen.
        run_dir: The run's own folder; its id in the report.
        sweep: The folder of the sweep that the run belongs to, if any.
        watch: Called after each validation; what it raises ends the training.
    """

    def __init__(
        self,
        config: TrainConfig,
        data: EmotionDataModule,
        backbone: Backbone,
        best: EpochCheckpoint,
        sets: Mapping[str, LabelledTexts],
        run_dir: Path,
        sweep: str | None,
        watch: Callable[[EpochRecord], object] = lambda _: None,
    ) -> None:
        self.config, self.data, self.backbone, self.best, self.sets = config, data, backbone, best, sets
        self.run_dir, self.sweep, self.watch = run_dir, sweep, watch
        self.deliverables = Deliverables(Path(config.output_dir), config.model.name)
        self.report: TrainingReport | None = None
        self._history: list[EpochRecord] = []
        self._train_seconds = 0.0
        self._started = perf_counter()

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs to report its whole history."""
        history = [record.model_dump() for record in self._history]
        return {
            "identity": run_identity(self.config, self.data),
            "history": history,
            "train_seconds": self._train_seconds + perf_counter() - self._started,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._history = [EpochRecord(**record) for record in state_dict["history"]]
        self._train_seconds = state_dict["train_seconds"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._started = perf_counter()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        values = {name: value.item() for name, value in trainer.callback_metrics.items()}
        if not math.isfinite(values["val/loss"]):
            raise Diverged(
                f"model.learning_rate: training diverged in epoch {trainer.current_epoch + 1} (the validation loss is"
                f" not finite), found {self.config.model.learning_rate}; try a lower one, or trainer.precision=32-true"
            )
        record = EpochRecord(
            epoch=_epochs_done(trainer),
            train_loss=pl_module.train_loss.compute().item(),  # type: ignore[operator, union-attr]
            val_loss=values["val/loss"],
            val_accuracy=values["val/accuracy"],
            val_macro_f1=values["val/macro_f1"],
        )
        self._history.append(record)
        if trainer.is_global_zero:
            log.info(
                "epoch %g/%d: loss %.4f training, %.4f validation; accuracy %.4f, macro F1 %.4f",
                *(record.epoch, trainer.max_epochs, record.train_loss, record.val_loss),
                *(record.val_accuracy, record.val_macro_f1),
            )
        self.watch(record)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._train_seconds += perf_counter() - self._started

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        self.best.restore(pl_module)
        best_epoch = max(self._history, key=lambda record: record.val_macro_f1).epoch
        model: Any = pl_module.model
        deliverable = Predictor.of_backbone(
            self.backbone,
            self.config.model,
            model.to(trainer.strategy.root_device),
            self.data.encoder.tokenizer,
            self.data.train.label_set,
            self.config.data.max_length,
        )
        found = self._validate(deliverable)
        validation = self.data.validation
        rows = Rows(np.array(validation.labels), found.probabilities.numpy(), validation.label_set.names)
        scored = {name: self._score(name, data, deliverable, found.distances) for name, data in self.sets.items()}
        scores = score_rows(deliverable, validation, found)
        entry = self._entry(deliverable, best_epoch, scores)
        entry.corpora = score_corpora(deliverable, validation, found)
        entry.evaluations = {name: each.record for name, each in scored.items()}
        if self.config.baselines:
            predicted = rows.probabilities.argmax(axis=1)
            entry.baselines = score_baselines(self.data.train, self.data.validation, self.sets, predicted)
        deliverable.metadata |= entry.model_dump(include=_IN_CHECKPOINT)
        files = {VALIDATION: self._write(VALIDATION, rows)}
        files |= {name: self._write(name, each.rows) for name, each in scored.items()}
        self.report = self.deliverables.publish(deliverable, entry, self._run_record(entry), files)

    def _validate(self, deliverable: Predictor) -> Predictions:
        """Predict validation with the model, calibrated to it if that is wanted."""
        validation = self.data.validation
        if self.config.calibrate:
            return calibrate_(deliverable, validation)
        return deliverable.predict_texts(validation.texts)

    def _score(self, name: str, data: LabelledTexts, deliverable: Predictor, familiar: np.ndarray | None) -> Scored:
        reads = count_read(Path(self.config.output_dir), self.config.model.name, data.sha256, "train")
        log.info("%s: scoring %s (%d rows), read %d times for this model", name, data.path, len(data.texts), reads)
        return score_set(deliverable, data, reads, familiar=familiar)

    def _write(self, data: str, rows: Rows) -> Path:
        path = self.run_dir / f"{data}_predictions.csv"
        with atomic(path) as temporary:
            write_rows(rows, temporary)
        return path

    def _entry(self, deliverable: Predictor, best_epoch: float, scores: Scores) -> ModelEntry:
        train, validation = self.data.train, self.data.validation
        model = deliverable.torch_model
        return ModelEntry(
            **score_fields(scores),
            target_met=scores.evaluation.accuracy >= ACCURACY_TARGET,
            best_epoch=best_epoch,
            latency_ms_per_sample=latency_ms_per_sample(deliverable, validation.texts),
            model_size_mb=sum(t.numel() * t.element_size() for t in (*model.parameters(), *model.buffers())) / 1e6,
            num_parameters=sum(p.numel() for p in model.parameters()),
            train_seconds=self._train_seconds,
            history=self._history,
            checkpoint=self.deliverables.checkpoint.name,
            checkpoint_sha256="",
            run_id=str(self.run_dir),
            config=self.config.model_dump(),
            data=DataRecord(train=data_file(train), validation=data_file(validation)),
            environment=Environment(versions=versions(), hardware=hardware(), git_commit=git_commit()),
        )

    def _run_record(self, entry: ModelEntry) -> RunRecord:
        digests = entry.data.train.sha256, entry.data.validation.sha256
        return RunRecord(
            run_id=entry.run_id,
            model_name=self.config.model.name,
            sweep=self.sweep,
            seed=self.config.seed,
            recipe=job_identity(self.config.recipe(), *digests),
            accuracy=entry.accuracy,
            macro_f1=entry.macro_f1,
            corpora={
                name: _set_scores(each, entry.data.validation.corpora[name]) for name, each in entry.corpora.items()
            },
            train_seconds=entry.train_seconds,
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
            validation_sha256=entry.data.validation.sha256,
            kept=False,
            evaluations={name: _set_scores(each, each.data) for name, each in entry.evaluations.items()},
        )


def _epochs_done(trainer: Trainer) -> float:
    """Count the epochs so far; those that are not over count by their share of updates."""
    done, of = trainer.fit_loop.epoch_loop.batch_progress.current.completed, trainer.num_training_batches
    return trainer.current_epoch + (1 if done >= of else round(done / of, 2))


def _set_scores(scores: ScoresRecord, data: DataFile) -> SetScores:
    return SetScores(data_sha256=data.sha256, accuracy=scores.accuracy, macro_f1=scores.macro_f1)
