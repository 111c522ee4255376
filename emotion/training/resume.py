"""Find the run that goes on and its state, and check what both must have in common."""

import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from emotion.checkpoint import require_intact
from emotion.data import EmotionDataModule
from emotion.errors import UserError
from emotion.jobs import Job, finished_notes
from emotion.reporting import TrainingReport, read_report
from emotion.training.config import AugmentationConfig, TrainConfig
from emotion.training.devices import starts_all_processes

log = logging.getLogger(__name__)

CHECKPOINTS = "checkpoints"
_RESUMED_RUN = "EMOTION_RESUMED_RUN"
"""Environment variable that tells a run's further processes which run goes on."""


def find_state(run_dir: Path) -> Path | None:
    """Return a run's last resume state or, if that is damaged, its best epoch's; None if it has neither."""
    for name in ("last.ckpt", "best.ckpt"):
        path = run_dir / CHECKPOINTS / name
        if path.is_file():
            try:
                require_intact(path)
            except UserError as error:
                log.warning("%s; going on from an earlier state", error)
            else:
                return path
    return None


# What earlier versions did, which recorded fewer keys.
_AS_BEFORE: dict[str, Any] = {
    "data.drop_conflicts": False,
    "data.mixing": "proportional",
    "data.map": "None",
    "optimizer.schedule": "linear",
    "optimizer.layer_decay": "1.0",
    "optimizer.logit_adjustment": "0.0",
    "optimizer.average": "none",
    "trainer.val_check_interval": "1.0",
    "trainer.patience": "None",
    **dict.fromkeys((f"augmentation.{name}" for name in AugmentationConfig.model_fields), "0.0"),
}


def run_identity(config: TrainConfig, data: EmotionDataModule) -> dict[str, str | int | float]:
    """Return what must be the same when a run is resumed, by config key; CSVs by their digest."""
    return {
        "model.name": config.model.name,
        "seed": config.seed,
        "data.batch_size": config.data.batch_size,
        "data.max_length": config.data.max_length,
        "data.drop_conflicts": config.data.drop_conflicts,
        "data.mixing": str(config.data.mixing),
        "data.map": str(config.data.map),
        "labels": ", ".join(data.train.label_set.names),
        "model.learning_rate": config.model.learning_rate,
        **{f"optimizer.{key}": str(value) for key, value in config.optimizer.model_dump().items()},
        **{f"augmentation.{key}": str(value) for key, value in config.augmentation.model_dump().items()},
        **{f"trainer.{key}": str(getattr(config.trainer, key)) for key in ("val_check_interval", "patience")},
        "data.train": data.train.sha256,
        "data.validation": data.validation.sha256,
    }


def claim_run(config: TrainConfig, run_dir: Path, identity: str, earlier_runs: Iterable[Path]) -> Job:
    """Return the job to do: one that ended early, if that may go on, or a new one."""
    if (told := os.environ.get(_RESUMED_RUN)) is not None:
        return Job(Path(told), identity, is_resumed=True)
    if config.resume == "never" or config.trainer.ckpt_path is not None or not starts_all_processes(config.trainer):
        return Job(run_dir, identity)
    job = Job.claim(run_dir, identity, earlier_runs)
    if job.is_resumed:
        os.environ[_RESUMED_RUN] = str(job.folder)
    return job


def finished_report(config: TrainConfig, run_dir: Path, identity: str) -> TrainingReport | None:
    """Return the merged report if the run of ``identity`` in ``run_dir`` is finished and in the report."""
    if finished_notes(run_dir, identity) is None:
        return None
    report = read_report(Path(config.output_dir))
    return report if str(run_dir) in (run.run_id for run in report.runs) else None


def check_resume(config: TrainConfig, data: EmotionDataModule) -> None:
    """Refuse a ``trainer.ckpt_path`` that this run cannot go on from.

    Raises:
        UserError: The file is no resume checkpoint, or one of other data, settings or seed, or of more epochs.
    """
    if config.trainer.ckpt_path is None:
        return
    path = Path(config.trainer.ckpt_path)
    if not path.is_file():
        raise UserError(
            f"trainer.ckpt_path: must be a resume checkpoint (checkpoints/last.ckpt), found no file at {path}"
        )
    try:
        require_intact(path)
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        epochs_done, written = int(content["epoch"]) + 1, content["callbacks"]["ArtifactWriter"]
        identity, has_best = dict(written["identity"]), bool(written["history"])
    except Exception as error:  # a file of another program fails in many ways
        raise UserError(
            f"trainer.ckpt_path: must be a resume checkpoint (checkpoints/last.ckpt), found {path}"
        ) from error
    identity = _AS_BEFORE | identity
    for key, value in run_identity(config, data).items():
        if identity.get(key, value) != value:
            raise UserError(f"{key}: must be as in the run that is resumed ({identity[key]}), found {value}")
    if has_best and not path.with_name("best.ckpt").is_file():
        raise UserError(f"trainer.ckpt_path: must have the run's best.ckpt in its folder, found {path} alone")
    # A run of exactly as many epochs lacks its deliverables if writing them failed; they are written now.
    if epochs_done > config.trainer.max_epochs:
        raise UserError(
            f"trainer.max_epochs: must be >= the {epochs_done} epochs of {path}, found {config.trainer.max_epochs}"
        )
