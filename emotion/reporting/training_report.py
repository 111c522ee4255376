"""Collect ``emotion_classification_report.json`` from a file for each run.

A run writes ``emotion_runs/<run>.json`` once, so that no run's record depends on a file that other processes rewrite.
The report holds the same and is what people and programs read.

A run that replaces a checkpoint and pictures is announced first. If a process is killed in between, the announcement
says what was to become of the files (:func:`announced_run`), so that the next process can complete or undo it.
"""

import os
from hashlib import sha256
from pathlib import Path

from emotion.reporting.comparison import compare_models
from emotion.reporting.schema import ModelEntry, RunFile, RunRecord, TrainingReport
from emotion.reporting.store import read_json, write_json

REPORT_NAME = "emotion_classification_report.json"
RUNS = "emotion_runs"
"""Folder of the runs' own files."""
_ANNOUNCED = "being_published"


def read_report(output_dir: Path) -> TrainingReport:
    """Read the report of ``output_dir``, with the runs that it lacks although their files are there.

    Raises:
        UserError: A file is no report of this version or an earlier one.
    """
    path = output_dir / REPORT_NAME
    report = read_json(path, TrainingReport) if path.exists() else TrainingReport()
    for each in sorted(_run_files(output_dir), key=lambda each: each.run.finished):
        if _is_news(each.run, report):
            is_latest = each.run.finished >= _entry_finished(report, each.run.model_name)
            merge_run(report, each.run, each.entry if each.run.kept and is_latest else None)
    return report


def collect_report(output_dir: Path) -> TrainingReport:
    """Read the report as :func:`read_report` does, and write it if it lacked runs. The caller holds the lock."""
    path, report = output_dir / REPORT_NAME, read_report(output_dir)
    if report.runs and not (path.exists() and read_json(path, TrainingReport) == report):
        write_report(report, output_dir)
    return report


def write_run(run: RunRecord, entry: ModelEntry, output_dir: Path) -> None:
    """Write the run's own file, atomically; the same run replaces its own."""
    path = _run_path(run, output_dir)
    path.parent.mkdir(exist_ok=True)
    write_json(RunFile(run=run, entry=entry), path)


def announce_run(run: RunRecord, entry: ModelEntry, output_dir: Path) -> None:
    """Note down a run that is about to replace files. The caller holds the lock."""
    path = output_dir / RUNS / _ANNOUNCED
    path.parent.mkdir(exist_ok=True)
    write_json(RunFile(run=run, entry=entry), path)


def announced_run(output_dir: Path) -> RunFile | None:
    """Return the run that was announced and neither completed nor withdrawn. The caller holds the lock."""
    path = output_dir / RUNS / _ANNOUNCED
    return read_json(path, RunFile) if path.exists() else None


def complete_run(output_dir: Path) -> None:
    """Give the announced run its own file, atomically: its files are in place."""
    path = output_dir / RUNS / _ANNOUNCED
    os.replace(path, _run_path(read_json(path, RunFile).run, output_dir))


def withdraw_run(output_dir: Path) -> None:
    """Forget the announced run: its files never came into place."""
    (output_dir / RUNS / _ANNOUNCED).unlink()


def _run_path(run: RunRecord, output_dir: Path) -> Path:
    return output_dir / RUNS / f"{run.model_name}_{sha256(run.run_id.encode()).hexdigest()[:12]}.json"


def _run_files(output_dir: Path) -> list[RunFile]:
    paths = sorted((output_dir / RUNS).glob("*.json"))
    return [read_json(path, RunFile) for path in paths if not path.name.startswith(".")]  # a killed process' half file


def _is_news(run: RunRecord, report: TrainingReport) -> bool:
    """Return whether the report lacks ``run``, or has an earlier state of it, as when it was resumed in its folder."""
    known = {each.run_id: each for each in report.runs}.get(run.run_id)
    return known is None or (known != run and known.finished <= run.finished)


def _entry_finished(report: TrainingReport, model_name: str) -> str:
    """Return when the run of the model's entry ended; "" if there is none."""
    entry = report.models.get(model_name)
    return max((run.finished for run in report.runs if entry is not None and run.run_id == entry.run_id), default="")


def write_report(report: TrainingReport, output_dir: Path) -> None:
    """Compare the report's models, and write the report, atomically."""
    report.comparisons = compare_models(report, output_dir)
    write_json(report, output_dir / REPORT_NAME)


def sweep_rival(report: TrainingReport, run: RunRecord) -> RunRecord | None:
    """Find the best other run of the sweep and the model of ``run``, on its validation data."""
    if run.sweep is None:
        return None
    contest = (run.sweep, run.model_name, run.validation_sha256)
    others = [each for each in report.runs if each.run_id != run.run_id]
    rivals = [each for each in others if (each.sweep, each.model_name, each.validation_sha256) == contest]
    return max(rivals, key=lambda each: each.selection_f1, default=None)


def replaces(run: RunRecord, rival: RunRecord | None) -> bool:
    """Return whether ``run`` takes its model's place: always, unless a ``rival`` has at least its macro F1."""
    return rival is None or run.selection_f1 > rival.selection_f1


def succeeds_itself(report: TrainingReport, run: RunRecord) -> bool:
    """Return whether the model's entry is ``run``'s own, or its sweep's, whose weaker runs are not worth keeping."""
    entry = report.models.get(run.model_name)
    of_sweep = {each.run_id for each in report.runs if run.sweep is not None and each.sweep == run.sweep}
    return entry is not None and entry.run_id in {run.run_id, *of_sweep}


def merge_run(report: TrainingReport, run: RunRecord, entry: ModelEntry | None) -> None:
    """Add ``run``, or replace its earlier record; put ``entry`` in its model's place; and update the best model.

    Args:
        report: Changed in place.
        run: The run; the same ``run_id`` counts once.
        entry: None = the run was not kept.
    """
    report.runs = [each for each in report.runs if each.run_id != run.run_id] + [run]
    if entry is not None:
        report.models[run.model_name] = entry
    comparable = {
        name: each.selection_f1
        for name, each in report.models.items()
        if each.data.validation.sha256 == run.validation_sha256
    }
    report.best_model = max(comparable, key=comparable.__getitem__, default=None)
