"""The commands and their scripts: ``emotion-train``, ``-compress``, ``-predict``, ``-evaluate``, ``-audit``, ...

Each imports torch only once its config is checked (:mod:`emotion.command`).
"""

import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from emotion.command import run_command
from emotion.config import compose_config, resolve
from emotion.jobs import earlier_folders


def train() -> None:
    """Fine-tune a backbone."""
    command = ["python", *sys.argv]

    def job(config: Any) -> None:
        from emotion.reporting import print_report
        from emotion.training import Interrupted, stop_on_signals, train

        run_dir, sweep = _place()
        try:
            with stop_on_signals():
                report = train(config, run_dir, sweep, _earlier_jobs(run_dir, sweep))
        except Interrupted as stop:
            goes_on_by_itself = stop.state is None or config.resume == "auto"
            _say_stopped(stop.signal, command if goes_on_by_itself else [*command, f"trainer.ckpt_path={stop.state}"])
            raise
        if report is not None:
            print_report(report, config.model.name, Path(config.output_dir))

    def after_sweep(configs: Sequence[Any]) -> None:
        from emotion.article import ReportConfig, write_article
        from emotion.reporting import print_article, print_sweep, read_report

        for folder in dict.fromkeys(config.output_dir for config in configs):
            report = read_report(Path(folder))
            if not report.models:  # all jobs failed
                continue
            print_sweep(report, Path(folder))
            print_article(write_article(resolve(_report_of(folder), ReportConfig)))

    run_command("train", "emotion.training", "TrainConfig", job, after_sweep)


def compress() -> None:
    """Compress a fine-tuned model."""
    command = ["python", *sys.argv]

    def job(config: Any) -> None:
        from emotion.compression import compress
        from emotion.reporting import print_compression

        run_dir, sweep = _place()
        overrides = HydraConfig.get().overrides.task
        with _stoppable(command, at_once=True):
            compress(config, overrides, run_dir, print_compression, sweep, _earlier_jobs(run_dir, sweep))

    run_command("compress", "emotion.compression", "CompressConfig", job)


def _report_of(output_dir: str) -> DictConfig:
    """Compose the config of ``scripts/report.py`` for a folder."""
    config = compose_config("report", [])
    config.output_dir = output_dir
    return config


def predict() -> None:
    """Predict a CSV, or many files."""

    def job(config: Any) -> None:
        from emotion.partitions import names_many

        if names_many(config.csv):
            from emotion.partitions import predict_partitions, print_partitions

            print_partitions(predict_partitions(config))
            return
        from emotion.prediction import predict_csv
        from emotion.reporting import print_prediction

        print_prediction(predict_csv(config))

    run_command("predict", "emotion.prediction", "PredictConfig", job)


def evaluate() -> None:
    """Evaluate checkpoints on labelled CSVs."""

    def job(config: Any) -> None:
        from emotion.reporting import print_evaluation
        from emotion.scoring import evaluate_checkpoints

        print_evaluation(evaluate_checkpoints(config), config.folder)

    run_command("evaluate", "emotion.scoring", "EvaluateConfig", job)


def report() -> None:
    """Write a page, an article's tables and figures, and model cards from an output folder."""

    def job(config: Any) -> None:
        from emotion.article import write_article
        from emotion.reporting import print_article

        print_article(write_article(config))

    run_command("report", "emotion.article", "ReportConfig", job)


def explain() -> None:
    """Show which words speak for the labels of some texts."""

    def job(config: Any) -> None:
        from emotion.prediction import explain
        from emotion.reporting import print_explanation, require_explanation_folder, write_explanation

        if config.output is not None:
            require_explanation_folder(Path(config.output))
        explanation = explain(config)
        if config.output is not None:
            write_explanation(explanation, Path(config.output))
        print_explanation(explanation, config.output)

    run_command("explain", "emotion.prediction", "ExplainConfig", job)


def export() -> None:
    """Write a folder for the Hugging Face hub."""

    def job(config: Any) -> None:
        from emotion.article import export
        from emotion.reporting import print_export

        print_export(export(config))

    run_command("export", "emotion.article", "ExportConfig", job)


def audit() -> None:
    """Audit labelled CSVs."""
    command = ["python", *sys.argv]

    def job(config: Any) -> None:
        from emotion.audit import audit
        from emotion.reporting import print_audit

        with _stoppable(command, at_once=True):
            report = audit(config)
        print_audit(report, Path(config.output_dir))

    run_command("audit", "emotion.audit", "AuditConfig", job)


def ablate() -> None:
    """Compare changes of the training recipe."""
    command = ["python", *sys.argv]

    def job(config: Any) -> None:
        from emotion.ablation import ablate
        from emotion.reporting import print_ablation

        with _stoppable(command):
            report = ablate(config)
        print_ablation(report, Path(config.output_dir))

    run_command("ablate", "emotion.ablation", "AblationConfig", job)


def tune() -> None:
    """Search for settings."""
    command = ["python", *sys.argv]

    def job(config: Any) -> None:
        from emotion.reporting import print_tuning
        from emotion.tuning import tune

        with _stoppable(command):
            report = tune(config)
        print_tuning(report, Path(config.output_dir))

    run_command("tune", "emotion.tuning", "TuningConfig", job)


def soup() -> None:
    """Average the weights of several checkpoints."""

    def job(config: Any) -> None:
        from emotion.soup import make_soup, print_soup

        print_soup(make_soup(config))

    run_command("soup", "emotion.soup", "SoupConfig", job)


def export_page() -> None:
    """Write a page that classifies in the browser."""

    def job(config: Any) -> None:
        from emotion.web import export_page

        written = export_page(config)
        print(f"{written.path}: {written.megabytes:.1f} MB; open it in a browser")

    run_command("export_page", "emotion.web", "ExportPageConfig", job)


def serve() -> None:
    """Answer texts over HTTP."""

    def job(config: Any) -> None:
        from emotion.serving import serve

        serve(config)

    run_command("serve", "emotion.serving", "ServeConfig", job)


def benchmark() -> None:
    """Compare with other tools on the same work."""

    def job(config: Any) -> None:
        from emotion.benchmark import benchmark
        from emotion.reporting import print_benchmark

        print_benchmark(benchmark(config), config.output_dir)

    run_command("benchmark", "emotion.benchmark", "BenchmarkConfig", job)


def _place() -> tuple[Path, str | None]:
    """Return the running job's own folder, and its sweep's folder if it is part of one."""
    config = HydraConfig.get()
    sweep = str(Path(config.sweep.dir).resolve()) if config.mode == RunMode.MULTIRUN else None
    return Path(config.runtime.output_dir), sweep


def _earlier_jobs(run_dir: Path, sweep: str | None) -> list[Path]:
    """List the folders in which the same job may have ended early; a sweep's jobs have their places in its folder."""
    return [run_dir] if sweep is not None else earlier_folders(run_dir)


@contextmanager
def _stoppable(command: list[str], at_once: bool = False) -> Iterator[None]:
    """Let signals end the work within, and say how to go on.

    Args:
        command: That goes on, started again.
        at_once: Whether the work ends at once; otherwise a training ends after the update under way.
    """
    from emotion.training import Interrupted, stop_on_signals

    try:
        with stop_on_signals(at_once=at_once):
            yield
    except Interrupted as stop:
        _say_stopped(stop.signal, command)
        raise


def _say_stopped(signal: str, command: list[str]) -> None:
    if os.environ.get("LOCAL_RANK", "0") == "0":  # the first of several processes
        print(f"stopped by {signal}; to go on: {shlex.join(command)}", file=sys.stderr)
