"""Fine-tune one backbone; only this module wires a training run together."""

import logging
import os
import threading
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch
from lightning import Trainer, seed_everything
from lightning.pytorch.callbacks import Callback, LearningRateMonitor
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import OmegaConf
from transformers import PreTrainedTokenizerBase

from emotion.data import EmotionDataModule, TextEncoder
from emotion.errors import UserError
from emotion.files import marked, require_unchanged
from emotion.isolation import isolated, log_level
from emotion.jobs import Job, finished_notes, job_identity, log_file
from emotion.models import (
    Backbone,
    batch_size_blamed,
    find_backbone,
    load_config,
    load_pretrained,
    load_tokenizer,
    pick_device,
    position_limit,
)
from emotion.models.fast import padding_multiple, speed_up_
from emotion.progress import shows_bars
from emotion.reporting import TrainingReport, read_report
from emotion.training.artifact_writer import ArtifactWriter
from emotion.training.callbacks import (
    AtomicCheckpointIO,
    ConfusionMatrixLogger,
    EpochCheckpoint,
    LossGuard,
    ProgressBar,
    ResumeState,
)
from emotion.training.classifier import EmotionClassifier, check_class_weights
from emotion.training.config import TrainConfig
from emotion.training.deliverables import Deliverables
from emotion.training.devices import check_devices, process_count, processes_blamed, starts_all_processes
from emotion.training.progress_log import ProgressLog
from emotion.training.resume import CHECKPOINTS, check_resume, find_state

log = logging.getLogger(__name__)

_RESUMED_RUN = "EMOTION_RESUMED_RUN"
"""Environment variable that tells a run's further processes which run goes on."""


@isolated()
def train(
    config: TrainConfig, run_dir: Path, sweep: str | None = None, earlier_runs: Iterable[Path] = ()
) -> TrainingReport | None:
    """Fine-tune one backbone and write its deliverables.

    Args:
        config: The resolved config.
        run_dir: Folder for logs and resume checkpoints.
        sweep: The folder of the sweep that the run belongs to, if any.
        earlier_runs: Folders of earlier runs, the newest first. With ``resume=auto``, the newest one of the same
            settings, data and versions goes on if it ended early; in a sweep, a finished one is not done again.

    Returns:
        The merged report of ``config.output_dir``; None on all processes but the first.

    Raises:
        UserError: An input cannot be used; nothing was trained or overwritten.
    """
    run_dir = run_dir.resolve()
    check_devices(config.trainer)
    if sweep is not None and process_count(config.trainer) > 1:
        # Every further process runs the script again, and would run the whole sweep again.
        raise UserError(f"trainer.devices: must be one device in a sweep, found {config.trainer.devices}")
    data = EmotionDataModule.read(config.data, config.labels.label_set(), config.seed)
    labels = data.train.label_set
    check_class_weights(config.optimizer, labels)
    identity = job_identity(config.work(), data.train.sha256, data.validation.sha256)
    if config.resume == "auto" and sweep is not None and (finished := _finished(config, run_dir, identity)) is not None:
        log.info("the run in %s is finished already (resume=never would do it again)", run_dir)
        return finished
    job = _claim(config, run_dir, identity, earlier_runs)
    with log_file(job.folder / "train.log") if job.folder != run_dir else nullcontext():
        if job.is_resumed:
            state = find_state(job.folder)
            config = config.updated(trainer=config.trainer.updated(ckpt_path=state and str(state)))
            log.info("resuming the run in %s, which ended early (resume=never would start a new one)", job.folder)
        return _train(config, data, job, sweep)


def _train(config: TrainConfig, data: EmotionDataModule, job: Job, sweep: str | None) -> TrainingReport | None:
    """Do what :func:`train` says, on data that was read, in the folder of ``job``."""
    run_dir, labels = job.folder, data.train.label_set
    check_resume(config, data)
    Deliverables(Path(config.output_dir), config.model.name).require_free()
    _require_free_run_dir(run_dir)
    backbone = find_backbone(config.model)
    check_max_length(config, backbone)
    tokenizer = load_tokenizer(backbone.folder, config.model.normalization)
    _check_padding(tokenizer, config)
    multiple = padding_multiple(config.compile, pick_device(config.trainer.accelerator))
    data.tokenise(TextEncoder(tokenizer, config.model.normalization, config.data.max_length, multiple))

    seed_everything(config.seed, verbose=False)
    model = load_pretrained(backbone, labels)
    if config.fast:
        speed_up_(model)
    classifier = EmotionClassifier(
        model,
        config.optimizer,
        config.model.learning_rate,
        config.seed,
        data.train.counts(),
        config.compile,
        config.fast,
    )
    # A resumed run goes on in the folder it came from, where its best epoch lies.
    state = config.trainer.ckpt_path
    folder = Path(state).resolve().parent if state is not None else run_dir / CHECKPOINTS
    job = job if folder == job.folder / CHECKPOINTS else Job(folder.parent, job.identity)
    best = EpochCheckpoint(folder, "best", monitor="val/macro_f1")
    last = EpochCheckpoint(folder, "last")  # ModelCheckpoint(save_last=True) skips epochs that are not the best
    writer = ArtifactWriter(config, data, backbone, best, run_dir, sweep)
    guard = LossGuard("model.learning_rate", config.model.learning_rate, folder)
    _log_start(config, classifier, data)
    run_dir.mkdir(parents=True, exist_ok=True)
    resume_state = ResumeState(folder / "last.ckpt", config.save_every_minutes)
    with marked(run_dir / "config.yaml", "hydra.run.dir", _is_earlier_config) as temporary:
        OmegaConf.save(OmegaConf.create(config.model_dump()), temporary)
    # Of several processes, the first keeps the record.
    record = job.recorded() if rank_zero_only.rank == 0 else nullcontext()  # type: ignore[attr-defined]
    with record, batch_size_blamed("data.batch_size", config.data.batch_size), processes_blamed(config.trainer):
        fit(classifier, data, config, run_dir, [guard, best, last, writer, resume_state])
    return writer.report


def _claim(config: TrainConfig, run_dir: Path, identity: str, earlier_runs: Iterable[Path]) -> Job:
    """Return the job to do: one that ended early, if that may go on, or a new one."""
    if (told := os.environ.get(_RESUMED_RUN)) is not None:
        return Job(Path(told), identity, is_resumed=True)
    if config.resume == "never" or config.trainer.ckpt_path is not None or not starts_all_processes(config.trainer):
        return Job(run_dir, identity)
    job = Job.claim(run_dir, identity, earlier_runs)
    if job.is_resumed:
        os.environ[_RESUMED_RUN] = str(job.folder)
    return job


def _finished(config: TrainConfig, run_dir: Path, identity: str) -> TrainingReport | None:
    """Return the merged report if the run of ``identity`` in ``run_dir`` is finished and in the report."""
    if finished_notes(run_dir, identity) is None:
        return None
    report = read_report(Path(config.output_dir))
    return report if str(run_dir) in (run.run_id for run in report.runs) else None


def fit(
    classifier: EmotionClassifier,
    data: EmotionDataModule,
    config: TrainConfig,
    run_dir: Path,
    callbacks: list[Callback],
) -> None:
    """Train ``classifier`` on ``data``, both made for ``config``; logs go to ``run_dir``."""
    with (
        log_level("lightning.pytorch", logging.WARNING),
        warnings.catch_warnings(),
        _determinism_restored(),
        _threads_quiet(),
    ):
        # The log level leaves out Lightning's tips and lists of hardware.
        # Texts are tokenised beforehand; what is left to load does not need workers.
        warnings.filterwarnings("ignore", ".*does not have many workers.*")
        warnings.filterwarnings("ignore", ".*smaller than the logging interval.*")  # epochs are logged anyway
        # The data module goes on within an epoch; Lightning loads no state of a loader that was made beforehand.
        warnings.filterwarnings("ignore", ".*your dataloader is not resumable.*")
        warnings.filterwarnings("ignore", ".*LeafSpec.*")  # Lightning's own use of a deprecated name
        warnings.filterwarnings("ignore", ".*exists and is not empty.*")  # resuming into the same folder
        warnings.filterwarnings("ignore", ".*sync_dist=True.*")  # torchmetrics has counted the rows of all processes
        trainer = build_trainer(config, run_dir, callbacks)
        trainer.fit(classifier, data, ckpt_path=config.trainer.ckpt_path, weights_only=True)


def build_trainer(config: TrainConfig, run_dir: Path, callbacks: list[Callback]) -> Trainer:
    """Build the Lightning trainer of a run, deterministic, with our own sampler on each process."""
    settings = config.trainer
    logger = TensorBoardLogger(run_dir, name="tensorboard", version="")
    logger.log_hyperparams(config.model_dump())
    bar: list[Callback] = [ProgressBar(leave=True)] if settings.enable_progress_bar else []
    if not shows_bars():
        bar.append(ProgressLog())
    return Trainer(
        accelerator=settings.accelerator,
        devices=settings.devices,
        strategy=settings.strategy,
        precision=settings.precision,  # type: ignore[arg-type]
        max_epochs=settings.max_epochs,
        gradient_clip_val=settings.gradient_clip_val,
        limit_train_batches=settings.limit_train_batches,
        limit_val_batches=settings.limit_val_batches,
        log_every_n_steps=settings.log_every_n_steps,
        enable_progress_bar=settings.enable_progress_bar,
        deterministic=True,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        enable_model_summary=False,
        logger=logger,
        plugins=[AtomicCheckpointIO()],
        callbacks=[*callbacks, ConfusionMatrixLogger(), LearningRateMonitor(), *bar],
    )


def check_max_length(config: TrainConfig, backbone: Backbone) -> None:
    """Raise :class:`UserError` if texts may have more tokens than the backbone has positions for."""
    limit = position_limit(load_config(backbone.folder))
    if limit is not None and config.data.max_length > limit:
        raise UserError(
            f"data.max_length: must be <= {limit}, the tokens that {config.model.name} has positions for,"
            f" found {config.data.max_length}"
        )


def _check_padding(tokenizer: PreTrainedTokenizerBase, config: TrainConfig) -> None:
    if tokenizer.pad_token_id is None:
        raise UserError(
            f"model.backbone: must have a tokenizer with a padding token, found none in {config.model.backbone}"
        )


def _require_free_run_dir(run_dir: Path) -> None:
    """Refuse a folder with resume states or a config that no run of this program left there.

    Raises:
        UserError: It has such files.
    """
    config = run_dir / "config.yaml"
    require_unchanged(config, "hydra.run.dir", _is_earlier_config)
    states = run_dir / "checkpoints"
    foreign = next(states.glob("*.ckpt"), None)
    if foreign is not None and not config.exists():
        raise UserError(f"hydra.run.dir: {foreign} was not written by this program; choose another folder")


def _is_earlier_config(path: Path) -> bool:
    """Return whether version 0.1.0 may have written a run's ``config.yaml``."""
    try:
        return {"data", "model", "optimizer", "trainer"} <= set(OmegaConf.load(path))
    except Exception:  # anything but YAML fails in many ways
        return False


@contextmanager
def _determinism_restored() -> Iterator[None]:
    """Restore the setting of deterministic algorithms, which Lightning switches on for good, at the block's end."""
    before = torch.are_deterministic_algorithms_enabled()
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


@contextmanager
def _threads_quiet() -> Iterator[None]:
    """Leave out the tracebacks of TensorBoard's thread where it cannot write: the error is raised here as well."""
    before = threading.excepthook
    threading.excepthook = lambda found: None if isinstance(found.exc_value, OSError) else before(found)
    try:
        yield
    finally:
        threading.excepthook = before


def _log_start(config: TrainConfig, classifier: EmotionClassifier, data: EmotionDataModule) -> None:
    parameters = sum(p.numel() for p in classifier.model.parameters())
    rows = len(data.train.texts), len(data.validation.texts)
    log.info("%s: %.1f M parameters; %d training rows, %d validation rows", config.model.name, parameters / 1e6, *rows)
    log.info("labels: %s", ", ".join(f"{index} {name}" for index, name in enumerate(data.train.label_set.names)))
    if pooling := getattr(classifier.model.config, "classifier_pooling", None):
        log.info("%s: classifier pooling is %r", config.model.name, pooling)
