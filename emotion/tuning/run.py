"""Search for settings: ``scripts/tune.py``."""

import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from emotion.errors import UserError
from emotion.files import atomic, require_ours, require_writable
from emotion.isolation import isolated
from emotion.jobs import digests
from emotion.reporting import (
    DONE,
    FAILED,
    PRUNED,
    UNFINISHED,
    Environment,
    EpochRecord,
    TuningReport,
    TuningTrial,
    git_commit,
    hardware,
    is_our_figure,
    read_tuning_report,
    save_figure,
    tuning_figure,
    versions,
    write_tuning_report,
)
from emotion.training import CHECKPOINTS, Diverged, process_count, train
from emotion.tuning.config import TuningConfig, setting

if TYPE_CHECKING:
    from emotion.tuning.study import Study, Trial

log = logging.getLogger(__name__)

PICTURE_NAME = "tuning.png"


class _Pruned(Exception):
    """A training is worse than the median of others after as many validations."""


@isolated()
def tune(config: TuningConfig) -> TuningReport:
    """Train with settings that Optuna chooses; the best training's deliverables stay, with the report of all.

    A search that ended early goes on, with the trainings it was at. Several processes may share the folder.

    Raises:
        UserError: An input cannot be used, or the folder has a search of other settings or data.
    """
    if process_count(config.trainer) > 1:
        # Every further process would run all trainings again.
        raise UserError(f"trainer.devices: must be one device in a search, found {config.trainer.devices}")
    try:
        from emotion.tuning.study import Study
    except ModuleNotFoundError as error:
        raise UserError(f'a search needs optuna, found no {error.name}: pip install -e ".[tune]"') from error
    folder = Path(config.output_dir).resolve()
    require_writable(folder, "output_dir")
    require_ours(folder / PICTURE_NAME, is_our_figure, "output_dir")
    read_tuning_report(folder)  # to refuse a file that is none
    study = Study(folder, _work(config), config.seed)
    while _trained_next(config, study, folder):
        _write(config, study, folder)
    return _write(config, study, folder)


def _work(config: TuningConfig) -> dict[str, object]:
    """Return what must be the same when a search goes on, by what to call it."""
    settings = config.with_settings([], "search").work()
    return {"search": config.search, "settings": settings, "data": digests(config.inputs)}


def _trained_next(config: TuningConfig, study: "Study", folder: Path) -> bool:
    """Do the next trial; return whether there was one."""
    with study.next_trial(config.space, config.trials) as trial:
        if trial is None:
            return False
        shown = " ".join(setting(key, value) for key, value in trial.settings.items())
        log.info("trial %d (%d in all): %s", trial.place, config.trials, shown)
        place = folder / "trials" / str(trial.place)
        try:
            trial.tell(_train(config, trial, place, folder))
        except _Pruned:
            log.info("trial %d ended early: it is below the median", trial.place)
            trial.tell_pruned()
        except Diverged as error:
            log.warning("trial %d failed: %s", trial.place, error)
            trial.tell_failed()
        # Deliverables are in the output folder by now; resume states of all trials would fill a disk.
        shutil.rmtree(place / CHECKPOINTS, ignore_errors=True)
    return True


def _train(config: TuningConfig, trial: "Trial", place: Path, folder: Path) -> float:
    """Train once; return the macro F1 on validation."""
    recipe = config.trial(trial.settings)

    def watch(record: EpochRecord) -> None:
        is_bad = trial.report(round(record.epoch / recipe.trainer.val_check_interval), record.val_macro_f1)
        if is_bad and config.pruning:
            raise _Pruned

    report = train(recipe, place, str(folder), [place], watch)
    assert report is not None  # there is one process
    run = next(run for run in report.runs if run.run_id == str(place))
    return run.selection_f1


def _write(config: TuningConfig, study: "Study", folder: Path) -> TuningReport:
    """Write the report and the picture of what is known so far."""
    from optuna.trial import TrialState

    from emotion.tuning.study import begun_trials

    states = {TrialState.COMPLETE: DONE, TrialState.PRUNED: PRUNED, TrialState.FAIL: FAILED}
    trials = []
    for place, found in sorted(begun_trials(study.trials).items()):
        validations = [found.intermediate_values[step] for step in sorted(found.intermediate_values)]
        is_done = found.state == TrialState.COMPLETE
        trials.append(
            TuningTrial.model_validate(
                {
                    "number": place,
                    "state": states.get(found.state, UNFINISHED),
                    "settings": found.params,
                    "macro_f1": found.value if is_done else max(validations, default=None),
                    "validations": validations,
                }
            )
        )
    report = TuningReport(
        environment=Environment(versions=versions(), hardware=hardware(), git_commit=git_commit()),
        model_name=config.model.name,
        search=config.search,
        trials=trials,
        importance=study.importance,
    )
    write_tuning_report(report, folder)
    if report.best is not None:
        with atomic(folder / PICTURE_NAME) as temporary:
            save_figure(tuning_figure(report), temporary)
    return report
