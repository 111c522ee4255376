"""Train a recipe, and each of its changes, over the same seeds: ``scripts/ablate.py``."""

import logging
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from emotion.ablation.config import AblationConfig
from emotion.data import LabelledTexts, only_csv
from emotion.errors import UserError
from emotion.files import atomic, link_or_copy, require_ours, require_unchanged, require_writable, sha256
from emotion.isolation import isolated
from emotion.jobs import Job, job_identity
from emotion.reporting import (
    ABLATION_REPORT_NAME,
    BASE,
    TABLES_NAME,
    VALIDATION,
    AblationReport,
    AblationRun,
    Environment,
    RowsFile,
    RunRecord,
    SetScores,
    ablation_figure,
    ablation_panels,
    compared_sets,
    git_commit,
    hardware,
    intact_rows,
    is_our_figure,
    is_rows,
    read_ablation_report,
    save_figure,
    switch_effects,
    versions,
    write_ablation_report,
    write_ablation_tables,
)
from emotion.scoring import data_file, read_sets
from emotion.temporaries import temporary_folder
from emotion.training import TrainConfig, process_count, train

log = logging.getLogger(__name__)

PICTURE_NAME = "ablation.png"
SPLIT_SEED = 0
"""Draws the rows that are set apart, the same ones for every ablation of a CSV."""


@isolated()
def ablate(config: AblationConfig) -> AblationReport:
    """Train the recipe as it is and with each change, once a seed; write the report, the tables and the rows.

    Trainings that the folder's report holds already are not done again, and one that ended early goes on.

    Raises:
        UserError: An input cannot be used, or the folder has the ablation of another recipe or of other data.
    """
    if process_count(config.trainer) > 1:
        # Every further process would run all trainings again.
        raise UserError(f"trainer.devices: must be one device in an ablation, found {config.trainer.devices}")
    folder = Path(config.output_dir).resolve()
    train_rows, compared = _read(config)
    sets = read_sets(
        config.data.evaluation_paths,
        *(config.data.text_column, config.data.label_column, train_rows.label_set),
        renamed=config.data.map,
    )
    require_writable(folder, "output_dir")
    require_ours(folder / PICTURE_NAME, is_our_figure, "output_dir")
    require_unchanged(folder / TABLES_NAME, "output_dir")
    report = _report(config, train_rows, compared, folder)
    grid = [(seed, switch) for seed in config.seeds for switch in (BASE, *config.chosen)]
    with Job(folder, job_identity(config.work())).recorded(), temporary_folder() as csvs:
        columns = config.data.text_column, config.data.label_column
        paths = {
            "train": train_rows.write(csvs / "train.csv", *columns),
            "validation": compared.write(csvs / "validation.csv", *columns),
        }
        set_paths = {name: each.write(csvs / f"set_{name}.csv", *columns) for name, each in sets.items()}
        digests = {name: sha256(Path(path)) for name, path in {**paths, **set_paths}.items()}
        for number, (seed, switch) in enumerate(grid, start=1):
            place = folder / "runs" / f"{switch}_{seed}"
            recipe = config.training(switch, seed, paths, set_paths, train_rows.label_set.names, str(place / "outputs"))
            identity = job_identity(recipe.work(), digests)
            if _is_done(report, switch, seed, identity, folder):
                log.info("%d of %d: %s, seed %d, is done already", number, len(grid), switch, seed)
                continue
            log.info("%d of %d: %s, seed %d", number, len(grid), switch, seed)
            run = _train(recipe, switch, seed, identity, place, folder)
            report.runs = [each for each in report.runs if (each.switch, each.seed) != (switch, seed)] + [run]
            write_ablation_report(report, folder)
        report.effects = {data: switch_effects(report, folder, data) for data in compared_sets(report)}
        write_ablation_report(report, folder)
        write_ablation_tables(report, folder)
        if panels := ablation_panels(report):
            with atomic(folder / PICTURE_NAME) as temporary:
                save_figure(ablation_figure(panels, f"{report.model_name}: what each change adds"), temporary)
    return report


def _read(config: AblationConfig) -> tuple[LabelledTexts, LabelledTexts]:
    """Return the rows to learn from, and those that choose the epochs and compare the changes."""
    data = config.data
    columns = data.text_column, data.label_column
    path = only_csv(data.train, "data.train")
    train_rows = LabelledTexts.read(path, *columns, config.labels.label_set(), "data.train", data.map)
    rows = len(train_rows.texts)
    if config.apart + (config.rows or 1) > rows:
        key, found = ("rows", config.rows) if config.rows is not None else ("apart", config.apart)
        limit = rows - config.apart if config.rows is not None else rows - 1
        raise UserError(f"{key}: must be <= {limit}, as {path} has {rows} rows, found {found}")
    order = np.random.default_rng(SPLIT_SEED).permutation(rows).tolist()
    end = None if config.rows is None else config.apart + config.rows
    learned = train_rows.chosen(sorted(order[config.apart : end]))
    if config.apart:
        return learned, train_rows.chosen(sorted(order[: config.apart]))
    validation = only_csv(data.validation, "data.validation")
    return learned, LabelledTexts.read(validation, *columns, train_rows.label_set, "data.validation", data.map)


def _report(config: AblationConfig, train_rows: LabelledTexts, compared: LabelledTexts, folder: Path) -> AblationReport:
    """Return the folder's report, to go on with, or a new one."""
    recipe = config.recipe_of(BASE)
    new = AblationReport(
        environment=Environment(versions=versions(), hardware=hardware(), git_commit=git_commit()),
        model_name=config.model.name,
        recipe=recipe.recipe(),
        switches=config.chosen,
        train=data_file(train_rows),
        compared_on=data_file(compared),
        runs=[],
    )
    earlier = read_ablation_report(folder)
    if earlier is None:
        return new
    for key in ("recipe", "train", "compared_on"):
        if getattr(earlier, key) != getattr(new, key):
            path = folder / ABLATION_REPORT_NAME
            raise UserError(
                f"output_dir: must be a folder without an ablation of another recipe or other data, found {path}"
            )
    new.switches = earlier.switches | config.chosen
    changed = {name for name, settings in config.chosen.items() if earlier.switches.get(name, settings) != settings}
    new.runs = [run for run in earlier.runs if run.switch not in changed]
    return new


def _is_done(report: AblationReport, switch: str, seed: int, identity: str, folder: Path) -> bool:
    wanted = switch, seed, identity
    return any(
        (r.switch, r.seed, r.identity) == wanted and intact_rows(r.rows, folder) is not None for r in report.runs
    )


def _train(recipe: TrainConfig, switch: str, seed: int, identity: str, place: Path, folder: Path) -> AblationRun:
    """Train once, keep the row-level predictions, and remove the rest, which takes room."""
    report = train(recipe, place, str(folder), [place])
    assert report is not None  # there is one process
    (run,) = report.runs
    entry = report.models[recipe.model.name]
    files = _keep_rows(run, place, folder, f"{switch}_{seed}")
    found = AblationRun(
        switch=switch,
        seed=seed,
        identity=identity,
        accuracy=run.accuracy,
        macro_f1=run.macro_f1,
        best_epoch=entry.best_epoch,
        train_seconds=run.train_seconds,
        rows=files[VALIDATION],
        evaluations={
            name: SetScores(**{**each.model_dump(), "predictions": files[name]})
            for name, each in run.evaluations.items()
        },
    )
    shutil.rmtree(place)
    with suppress(OSError):  # another training's is left
        place.parent.rmdir()
    return found


def _keep_rows(run: RunRecord, place: Path, folder: Path, name: str) -> Mapping[str, RowsFile]:
    kept = {}
    for data, scores in {VALIDATION: run.predictions, **{k: v.predictions for k, v in run.evaluations.items()}}.items():
        assert scores is not None  # of this version
        path = folder / "predictions" / name / f"{data}.csv"
        require_writable(path.parent, "output_dir")
        require_ours(path, is_rows, "output_dir")
        with atomic(path) as temporary:
            link_or_copy(place / scores.file, temporary)
        kept[data] = RowsFile(file=path.relative_to(folder).as_posix(), sha256=scores.sha256)
    return kept
