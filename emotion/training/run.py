"""Fine-tune one backbone; only this module wires a training run together."""

import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from pathlib import Path

from lightning import seed_everything
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import OmegaConf
from transformers import PreTrainedTokenizerBase

from emotion.data import EmotionDataModule, LabelledTexts, TextEncoder
from emotion.errors import UserError
from emotion.files import marked, require_unchanged
from emotion.isolation import isolated
from emotion.jobs import Job, job_identity, log_file
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
from emotion.reporting import EpochRecord, TrainingReport
from emotion.scoring import read_sets
from emotion.training.artifact_writer import ArtifactWriter
from emotion.training.augmentation import Augmentation
from emotion.training.averaging import averaging
from emotion.training.callbacks import (
    EpochCheckpoint,
    LossGuard,
    ResumeState,
)
from emotion.training.classifier import EmotionClassifier
from emotion.training.config import TrainConfig
from emotion.training.deliverables import Deliverables
from emotion.training.devices import check_devices, process_count, processes_blamed
from emotion.training.fitting import fit
from emotion.training.losses import check_class_weights
from emotion.training.resume import CHECKPOINTS, check_resume, claim_run, find_state, finished_report
from emotion.training.stopping import early_stopping

log = logging.getLogger(__name__)


@isolated()
def train(
    config: TrainConfig,
    run_dir: Path,
    sweep: str | None = None,
    earlier_runs: Iterable[Path] = (),
    watch: Callable[[EpochRecord], object] = lambda _: None,
) -> TrainingReport | None:
    """Fine-tune one backbone and write its deliverables.

    Args:
        config: The resolved config.
        run_dir: Folder for logs and resume checkpoints.
        sweep: The folder of the sweep that the run belongs to, if any.
        earlier_runs: Folders of earlier runs, the newest first. With ``resume=auto``, the newest one of the same
            settings, data and versions goes on if it ended early; in a sweep, a finished one is not done again.
        watch: Called after each validation; what it raises ends the training, which can be resumed.

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
    columns = config.data.text_column, config.data.label_column
    sets = read_sets(config.data.evaluation_paths, *columns, labels, renamed=config.data.map)
    check_class_weights(config.optimizer, labels)
    digests = {name: each.sha256 for name, each in sets.items()}
    identity = job_identity(config.work(), data.train.sha256, data.validation.sha256, digests)
    if (
        config.resume == "auto"
        and sweep is not None
        and (finished := finished_report(config, run_dir, identity)) is not None
    ):
        log.info("the run in %s is finished already (resume=never would do it again)", run_dir)
        return finished
    job = claim_run(config, run_dir, identity, earlier_runs)
    with log_file(job.folder / "train.log") if job.folder != run_dir else nullcontext():
        if job.is_resumed:
            state = find_state(job.folder)
            config = config.updated(trainer=config.trainer.updated(ckpt_path=state and str(state)))
            log.info("resuming the run in %s, which ended early (resume=never would start a new one)", job.folder)
        return _train(config, data, sets, job, sweep, watch)


def _train(
    config: TrainConfig,
    data: EmotionDataModule,
    sets: Mapping[str, LabelledTexts],
    job: Job,
    sweep: str | None,
    watch: Callable[[EpochRecord], object],
) -> TrainingReport | None:
    """Do what :func:`train` says, on data that was read, in the folder of ``job``."""
    run_dir, labels = job.folder, data.train.label_set
    check_resume(config, data)
    Deliverables(Path(config.output_dir), config.model.name).require_free(sets)
    _require_free_run_dir(run_dir)
    backbone = find_backbone(config.model)
    check_max_length(config, backbone)
    tokenizer = load_tokenizer(backbone.folder, config.model.normalization)
    _check_padding(tokenizer, config)
    multiple = padding_multiple(config.compile, pick_device(config.trainer.accelerator))
    data.tokenise(TextEncoder(tokenizer, config.model.normalization, config.data.max_length, multiple))
    if config.augmentation.is_on:
        augmentation = Augmentation(config.augmentation, data.train.texts, data.train.labels, len(labels), config.seed)
        data.rows_of_epoch = lambda epoch: data.changed_train_rows(augmentation.texts(epoch))

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
        [corpus.name for corpus in data.validation.corpora],
    )
    # A resumed run goes on in the folder it came from, where its best epoch lies.
    state = config.trainer.ckpt_path
    folder = Path(state).resolve().parent if state is not None else run_dir / CHECKPOINTS
    job = job if folder == job.folder / CHECKPOINTS else Job(folder.parent, job.identity)
    best = EpochCheckpoint(folder, "best", monitor="val/macro_f1", within_epochs=config.trainer.val_check_interval < 1)
    last = EpochCheckpoint(folder, "last")  # ModelCheckpoint(save_last=True) skips epochs that are not the best
    writer = ArtifactWriter(config, data, backbone, best, sets, run_dir, sweep, watch)
    guard = LossGuard("model.learning_rate", config.model.learning_rate, folder)
    _log_start(config, classifier, data)
    run_dir.mkdir(parents=True, exist_ok=True)
    resume_state = ResumeState(folder / "last.ckpt", config.save_every_minutes)
    with marked(run_dir / "config.yaml", "hydra.run.dir", _is_earlier_config) as temporary:
        OmegaConf.save(OmegaConf.create(config.model_dump()), temporary)
    # Of several processes, the first keeps the record.
    record = job.recorded() if rank_zero_only.rank == 0 else nullcontext()  # type: ignore[attr-defined]
    with record, batch_size_blamed("data.batch_size", config.data.batch_size), processes_blamed(config.trainer):
        further = [*averaging(config.optimizer), *early_stopping(config.trainer)]
        fit(classifier, data, config, run_dir, [guard, *further, best, last, writer, resume_state])
    return writer.report


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


def _log_start(config: TrainConfig, classifier: EmotionClassifier, data: EmotionDataModule) -> None:
    parameters = sum(p.numel() for p in classifier.model.parameters())
    rows = len(data.train.texts), len(data.validation.texts)
    log.info("%s: %.1f M parameters; %d training rows, %d validation rows", config.model.name, parameters / 1e6, *rows)
    log.info("labels: %s", ", ".join(f"{index} {name}" for index, name in enumerate(data.train.label_set.names)))
    if pooling := getattr(classifier.model.config, "classifier_pooling", None):
        log.info("%s: classifier pooling is %r", config.model.name, pooling)
