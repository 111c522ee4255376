"""``emotion_classification_report.json``, which is collected from a file for each run.

A run writes ``emotion_runs/<run>.json`` once, so that no run's record rests on a file that other processes rewrite.
The report holds the same and is what people and programs read.
"""

from hashlib import sha256
from pathlib import Path

from emotion.reporting.schema import ModelEntry, RunFile, RunRecord, TrainingReport
from emotion.reporting.store import read_json, write_json

REPORT_NAME = "emotion_classification_report.json"
RUNS = "emotion_runs"
"""Folder of the runs' own files."""


def read_report(output_dir: Path) -> TrainingReport:
    """Read the report of ``output_dir``, with the runs that it lacks although their files are there.

    Raises:
        UserError: A file is no report of this version or an earlier one.
    """
    path = output_dir / REPORT_NAME
    report = read_json(path, TrainingReport) if path.exists() else TrainingReport()
    known = {run.run_id for run in report.runs}
    published = [read_json(file, RunFile) for file in sorted((output_dir / RUNS).glob("*.json"))]
    for each in sorted(published, key=lambda each: each.run.finished):
        if each.run.run_id not in known:
            merge_run(report, each.run, each.entry if each.run.kept else None)
    return report


def write_run(run: RunRecord, entry: ModelEntry, output_dir: Path) -> None:
    """Write the run's own file, atomically; the same run replaces its own."""
    folder = output_dir / RUNS
    folder.mkdir(exist_ok=True)
    name = f"{run.model_name}_{sha256(run.run_id.encode()).hexdigest()[:12]}.json"
    write_json(RunFile(run=run, entry=entry), folder / name)


def write_report(report: TrainingReport, output_dir: Path) -> None:
    """Check and write the report, atomically."""
    write_json(report, output_dir / REPORT_NAME)


def sweep_rival(report: TrainingReport, run: RunRecord) -> RunRecord | None:
    """The best run before ``run`` of its sweep, its model and on its validation data."""
    if run.sweep is None:
        return None
    contest = (run.sweep, run.model_name, run.validation_sha256)
    rivals = [each for each in report.runs if (each.sweep, each.model_name, each.validation_sha256) == contest]
    return max(rivals, key=lambda each: each.macro_f1, default=None)


def replaces(run: RunRecord, rival: RunRecord | None) -> bool:
    """Whether ``run`` takes its model's place: always, but after a run of its sweep with a macro F1 as high."""
    return rival is None or run.macro_f1 > rival.macro_f1


def is_of_sweep(report: TrainingReport, model_name: str, sweep: str | None) -> bool:
    """Whether the model's entry comes from ``sweep``: a sweep's own weaker run is not worth keeping as `previous`."""
    entry = report.models.get(model_name)
    runs = {run.run_id for run in report.runs if sweep is not None and run.sweep == sweep}
    return entry is not None and entry.run_id in runs


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
        name: each.macro_f1
        for name, each in report.models.items()
        if each.data.validation.sha256 == run.validation_sha256
    }
    report.best_model = max(comparable, key=comparable.__getitem__, default=None)
