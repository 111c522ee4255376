"""What a training run leaves behind."""

import logging
import math
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, RichProgressBar
from lightning.pytorch.loggers import TensorBoardLogger

from emotion.artifacts import atomic, link_or_copy, require_ours, require_writable, sha256
from emotion.backbone import Backbone
from emotion.checkpoint import Checkpoint
from emotion.checkpoint_format import is_checkpoint, write
from emotion.config import TrainConfig
from emotion.data import EmotionDataModule, LabelledTexts
from emotion.environment import git_commit, hardware, versions
from emotion.errors import UserError
from emotion.latency import latency_ms_per_sample
from emotion.metrics import evaluate
from emotion.report.plots import confusion_matrix_figure, is_our_figure, save_figure, training_curves_figure
from emotion.report.schema import (
    ACCURACY_TARGET,
    DataFile,
    DataRecord,
    Environment,
    EpochRecord,
    ModelEntry,
    RunRecord,
    TrainingReport,
)
from emotion.report.training_report import is_of_sweep, locked, merge, read_report, replaces, sweep_rival, write_report

log = logging.getLogger(__name__)


class ConfusionMatrixLogger(Callback):
    """Draws the validation confusion matrix of each epoch into TensorBoard."""

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if isinstance(trainer.logger, TensorBoardLogger) and trainer.is_global_zero:
            counts = pl_module.confusion_matrix.tolist()  # type: ignore[operator]
            figure = confusion_matrix_figure(counts, f"Validation, epoch {trainer.current_epoch + 1}")
            trainer.logger.experiment.add_figure("val/confusion_matrix", figure, trainer.global_step)


class ProgressBar(RichProgressBar):
    """Rich's bar with the loss of the step and the macro F1 of the last validation, short enough for 80 columns."""

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        metrics = super().get_metrics(trainer, pl_module)
        names = {"train/loss_step": "loss", "val/macro_f1": "F1"}
        return {short: metrics[name] for name, short in names.items() if name in metrics}


class EpochCheckpoint(ModelCheckpoint):
    """Keeps one epoch of a run to resume from: the best by ``monitor``, or the last.

    Unlike its base it still knows the best epoch when the folder was moved before resuming.
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

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        def here(path: str) -> str:
            return str(Path(str(self.dirpath)) / Path(path).name)

        best = {here(path): score for path, score in state_dict["best_k_models"].items()}
        paths = {key: here(state_dict[key]) for key in ("best_model_path", "kth_best_model_path", "last_model_path")}
        super().load_state_dict({**state_dict, **paths, "best_k_models": best, "dirpath": self.dirpath})


def run_identity(config: TrainConfig, data: EmotionDataModule) -> dict[str, str | int]:
    """What must be the same when a run is resumed, by config key; CSVs by their digest."""
    return {
        "model.name": config.model.name,
        "seed": config.seed,
        "data.batch_size": config.data.batch_size,
        "data.train": data.train.sha256,
        "data.validation": data.validation.sha256,
    }


class Deliverables:
    """The paths under ``output_dir`` that belong to one model."""

    def __init__(self, output_dir: Path, model_name: str) -> None:
        self.output_dir = output_dir
        self.checkpoint = output_dir / f"best_{model_name}.pt"
        self.previous = output_dir / f"best_{model_name}.previous.pt"
        self.confusion_matrix = output_dir / "visualizations" / f"{model_name}_confusion_matrix.png"
        self.training_curves = output_dir / "visualizations" / f"{model_name}_training_curves.png"

    def require_free(self) -> None:
        """Make the folders; refuse to go on where a file stands that is not ours. Raises :class:`UserError`."""
        require_writable(self.output_dir, "output_dir")
        require_writable(self.confusion_matrix.parent, "output_dir")
        self.require_ours()
        with locked(self.output_dir):
            read_report(self.output_dir)

    def require_ours(self) -> None:
        """Refuse to replace a file that is not ours. Raises :class:`UserError`."""
        for path in (self.checkpoint, self.previous):
            require_ours(path, is_checkpoint, "output_dir")
        for path in (self.confusion_matrix, self.training_curves):
            require_ours(path, is_our_figure, "output_dir")


class ArtifactWriter(Callback):
    """Writes the checkpoint, the report entry and the pictures of the best epoch, once training has ended.

    The scores are computed with the very weights that are written. ``report`` holds the merged report afterwards.

    Args:
        config: The run's resolved config.
        data: The run's CSVs, tokenised.
        backbone: Where the weights came from.
        best: Chooses the best epoch.
        run_dir: The run's own folder; its id in the report.
        sweep: The folder of the sweep that the run belongs to, if any.
    """

    def __init__(
        self,
        config: TrainConfig,
        data: EmotionDataModule,
        backbone: Backbone,
        best: ModelCheckpoint,
        run_dir: Path,
        sweep: str | None,
    ) -> None:
        self.config, self.data, self.backbone, self.best = config, data, backbone, best
        self.run_dir, self.sweep = run_dir, sweep
        self.deliverables = Deliverables(Path(config.output_dir), config.model.name)
        self.report: TrainingReport | None = None
        self._history: list[EpochRecord] = []
        self._train_seconds = 0.0
        self._started = perf_counter()

    def state_dict(self) -> dict[str, Any]:
        """A resumed run reports its whole history."""
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

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        values = {name: value.item() for name, value in trainer.callback_metrics.items()}
        if not all(math.isfinite(values[loss]) for loss in ("train/loss", "val/loss")):
            raise UserError(
                f"model.learning_rate: training diverged in epoch {trainer.current_epoch + 1} (the loss is not finite),"
                f" found {self.config.model.learning_rate}; try a lower one, or trainer.precision=32-true"
            )
        record = EpochRecord(
            epoch=trainer.current_epoch + 1,
            train_loss=values["train/loss"],
            val_loss=values["val/loss"],
            val_accuracy=values["val/accuracy"],
            val_macro_f1=values["val/macro_f1"],
        )
        self._history.append(record)
        if trainer.is_global_zero:
            log.info(
                "epoch %d/%d: loss %.4f training, %.4f validation; accuracy %.4f, macro F1 %.4f",
                *(record.epoch, trainer.max_epochs, record.train_loss, record.val_loss),
                *(record.val_accuracy, record.val_macro_f1),
            )

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._train_seconds += perf_counter() - self._started

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        best_epoch = self._load_best_epoch(pl_module)
        model: Any = pl_module.model
        deliverable = Checkpoint(
            model=model.to(trainer.strategy.root_device).eval(),
            tokenizer=self.data.encoder.tokenizer,
            tokenizer_files=self.backbone.tokenizer_files(),
            model_id=self.config.model.backbone,
            model_name=self.config.model.name,
            max_length=self.config.data.max_length,
            normalization=self.config.model.normalization,
            commit=self.backbone.commit,
        )
        entry = self._entry(deliverable, best_epoch)
        deliverable.metadata = entry.model_dump(
            include={"accuracy", "macro_f1", "per_class", "best_epoch", "run_id", "config", "data", "environment"}
        )
        self.report = self._publish(deliverable, entry)

    def _load_best_epoch(self, pl_module: LightningModule) -> int:
        content = torch.load(self.best.best_model_path, map_location="cpu", weights_only=True)
        pl_module.load_state_dict(content["state_dict"])
        return int(content["epoch"]) + 1

    def _entry(self, deliverable: Checkpoint, best_epoch: int) -> ModelEntry:
        validation = self.data.validation
        evaluation = evaluate(validation.labels, deliverable.predict(validation.texts))
        model = deliverable.model
        return ModelEntry(
            **asdict(evaluation),
            target_met=evaluation.accuracy >= ACCURACY_TARGET,
            best_epoch=best_epoch,
            latency_ms_per_sample=latency_ms_per_sample(deliverable, validation.texts),
            model_size_mb=sum(t.numel() * t.element_size() for t in (*model.parameters(), *model.buffers())) / 1e6,
            num_parameters=sum(p.numel() for p in model.parameters()),
            train_seconds=self._train_seconds,
            history=self._history,
            checkpoint=self.deliverables.checkpoint.name,
            checkpoint_sha256="",
            run_id=str(self.run_dir),
            config=asdict(self.config),
            data=DataRecord(train=_data_file(self.data.train), validation=_data_file(validation)),
            environment=Environment(versions=versions(), hardware=hardware(), git_commit=git_commit()),
        )

    def _publish(self, deliverable: Checkpoint, entry: ModelEntry) -> TrainingReport:
        """Put the run's files in place and merge its entry, while no other process does."""
        name, paths = deliverable.model_name, self.deliverables
        with locked(paths.output_dir):
            report = read_report(paths.output_dir)
            run = RunRecord(
                run_id=entry.run_id,
                model_name=name,
                sweep=self.sweep,
                seed=self.config.seed,
                accuracy=entry.accuracy,
                macro_f1=entry.macro_f1,
                train_seconds=entry.train_seconds,
                finished=datetime.now(UTC).isoformat(timespec="seconds"),
                validation_sha256=entry.data.validation.sha256,
                kept=True,
            )
            run.kept = replaces(run, sweep_rival(report, run))
            if run.kept:
                paths.require_ours()
                for abandoned in paths.output_dir.glob(f".{paths.checkpoint.stem}.*.pt"):
                    abandoned.unlink()  # a killed process left it: nobody else writes while this one holds the lock
                self._replace(deliverable, entry, keep_previous=not is_of_sweep(report, name, self.sweep))
            merge(report, run, entry if run.kept else None)
            write_report(report, paths.output_dir)
        return report

    def _replace(self, deliverable: Checkpoint, entry: ModelEntry, keep_previous: bool) -> None:
        """Write the checkpoint and the pictures; nothing is replaced before all are written."""
        paths, name = self.deliverables, deliverable.model_name
        title = f"{name} on validation: macro F1 {entry.macro_f1:.3f}, accuracy {entry.accuracy:.3f}"
        with (
            atomic(paths.confusion_matrix) as matrix,
            atomic(paths.training_curves) as curves,
            atomic(paths.checkpoint) as weights,
        ):
            save_figure(confusion_matrix_figure(entry.confusion_matrix, title), matrix)
            save_figure(training_curves_figure(entry.history, entry.best_epoch, name), curves)
            write(deliverable.content(), weights)
            entry.checkpoint_sha256 = sha256(weights)
            if keep_previous and paths.checkpoint.exists():
                with atomic(paths.previous) as previous:  # a second name, so that the first is never missing
                    link_or_copy(paths.checkpoint, previous)


def _data_file(data: LabelledTexts) -> DataFile:
    return DataFile(
        path=str(Path(data.path).resolve()),
        sha256=data.sha256,
        rows=len(data.texts),
        label_counts=data.label_counts(),
    )
