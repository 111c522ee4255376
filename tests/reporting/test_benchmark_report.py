"""The benchmark's report: its tables, its picture, and what happens to earlier reports."""

import json
import multiprocessing
from pathlib import Path

import pytest

from emotion.benchmark import BenchmarkConfig, parts
from emotion.benchmark.sides import FILE, PREDICTION, TRAINING
from emotion.errors import UserError
from emotion.reporting import (
    BenchmarkReport,
    BenchmarkResults,
    CompressedSide,
    CompressionSpeed,
    DeviceScaling,
    Scaling,
    Spread,
    hardware,
    read_json,
    versions,
)
from emotion.reporting.benchmark_plots import benchmark_figure
from emotion.reporting.benchmark_report import tables
from emotion.reporting.benchmark_schema import PARTS
from support.benchmarks import measured

pytestmark = pytest.mark.usefixtures("one_thread")


def report_of(config: BenchmarkConfig, monkeypatch: pytest.MonkeyPatch, folder: Path) -> BenchmarkReport:
    names = [f"train/{side}" for side in TRAINING] + [f"predict/{side}" for side in (*PREDICTION, FILE)]
    measured(monkeypatch, {name: [number + 1.0, number + 2.0] for number, name in enumerate(names)}, labels=[0, 1])
    small = CompressedSide(
        label="this project, small", device="cpu", size_mb=10.4, size_ratio=0.114, single_ms=Spread.of([2, 3]),
        speedup_batch_1=Spread.of([5, 7]), speedup=Spread.of([4]),
    )  # fmt: skip
    environment = {"versions": versions(), "hardware": hardware(), "git_commit": None}
    return BenchmarkReport(
        model_name="MiniLM", data_sha256="0", batch_size=32, max_length=128, precision="32-true", device="cpu",
        rounds=2, quick=True, environment=environment, measured="2026-01-01",  # type: ignore[arg-type]
        training=parts.training(config), prediction=parts.prediction(config, folder),
        startup_seconds={"train.py --help": Spread.of([0.5, 0.7, 0.9])},
        scaling={
            f"{part}_{unit}": Scaling(sizes=[10, 1000], seconds=[2.0, seconds], slope=0.9)
            for part, seconds in (("train", 200.0), ("predict", 20.0)) for unit in ("rows", "words")
        },
        devices=DeviceScaling(rows=64, one_process_seconds=Spread.of([9, 8]), two_processes_seconds=Spread.of([5, 5]),
                              speedup=Spread.of([1.8, 1.6])),
        compression=CompressionSpeed(tokens=31.6, sides={"small": small}),
    )  # fmt: skip


def test_the_picture_has_bars_and_curves(
    config: BenchmarkConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    training, prediction, by_rows, by_words = benchmark_figure(report_of(config, monkeypatch, tmp_path)).axes
    assert [label.get_text() for label in training.get_yticklabels()] == list(TRAINING.values())
    assert [label.get_text() for label in prediction.get_yticklabels()] == list(PREDICTION.values())
    for axes in (by_rows, by_words):
        assert [line.get_ydata().tolist() for line in axes.lines] == [[2, 200], [2, 20]]
        assert all(line.get_xdata().tolist() == [10, 1000] for line in axes.lines)


def test_parts_of_the_same_work_are_merged_and_other_reports_are_renamed(
    config: BenchmarkConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    results = BenchmarkResults(tmp_path / "out")
    results.require_free()
    report = report_of(config, monkeypatch, tmp_path)
    assert results.publish(report) == report
    empty = report.model_copy(update=dict.fromkeys(PARTS))
    new = empty.model_copy(update={"measured": "2026-02-02", "startup_seconds": {"train.py --help": Spread.of([9])}})
    expected = report.model_copy(update={"measured": "2026-02-02", "startup_seconds": new.startup_seconds})
    assert results.publish(new) == read_json(results.report, BenchmarkReport) == expected
    assert [path.name for path in results.report.parent.glob("*.json")] == ["benchmark_report.json"]
    for number, changed in enumerate(({"quick": False}, {"weights_sha256": "1"}, {"compiled": True})):
        other = new.model_copy(update={**changed, "measured": f"2026-03-0{number}"})
        assert results.publish(other) == other
    assert read_json(results.report.with_name("benchmark_report.2026-02-02.json"), BenchmarkReport) == expected


def test_the_tables_hold_medians_and_ranges(
    config: BenchmarkConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = tables(report_of(config, monkeypatch, tmp_path))
    # two rounds of 64 rows: in 2 and 3 seconds, while ours took 1 and 2
    assert "| HF Trainer, grouped by length | 26.7 (21.3-32.0) | 1.75 (1.50-2.00) |" in text
    assert "| pipeline, in batches | 7 (6-7) | 1.46 (1.43-1.50) | 5.00 | 100.0% |" in text
    assert "| train.py --help | 0.70 (0.50-0.90) |" in text
    assert "| train, more rows | 2.0 at 10, 200.0 at 1,000 | 0.90 |" in text
    assert "| this project, small | 10.4 | 11.4% | 2.5 (2.0-3.0) | 6.00 (5.00-7.00) | 4.00 |" in text
    assert "| two processes | 5.0 | 1.70 (1.60-1.80) |" in text
    assert "FLOP utilisation is" in text
    on_a_gpu = tables(report_of(config, monkeypatch, tmp_path).model_copy(update={"device": "cuda"}))
    assert "| this project, small (cpu) | 10.4 |" in on_a_gpu


def test_files_that_are_not_ours_are_kept(
    config: BenchmarkConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    results = BenchmarkResults(tmp_path / "out")
    results.require_free()
    results.publish(report_of(config, monkeypatch, tmp_path))
    results.require_free()  # ours are recognised
    assert results.picture.stat().st_size > 10_000
    assert json.loads(results.report.read_text())["training"]["rows"] == 64
    for path in (results.report, results.tables, results.picture):
        content = path.read_bytes()
        path.write_text("somebody's own")
        with pytest.raises(UserError, match="was not written by this program"):
            results.require_free()
        path.write_bytes(content)


def publish_part(folder: Path, report: BenchmarkReport, part: str) -> None:
    """What each of several processes does at its end."""
    others = {name: None for name in PARTS if name != part}
    BenchmarkResults(folder).publish(report.model_copy(update=others))


@pytest.mark.slow
def test_processes_that_measure_parts_at_once_lose_none(
    config: BenchmarkConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    parts_at_once = ("training", "prediction", "scaling")
    report = report_of(config, monkeypatch, tmp_path)
    report = report.model_copy(update={name: None for name in PARTS if name not in parts_at_once})
    folder = tmp_path / "out"
    BenchmarkResults(folder).require_free()
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=publish_part, args=(folder, report, part)) for part in parts_at_once]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=240)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert read_json(BenchmarkResults(folder).report, BenchmarkReport) == report
    assert len(list(folder.glob("*.json"))) == 1


def test_a_report_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    """It lacks the fields that came later, and may lack parts."""
    spread = {"median": 0.7, "minimum": 0.5, "maximum": 0.9}
    content = {
        "schema_version": 1, "model_name": "MiniLM", "data_sha256": "0", "batch_size": 32, "max_length": 128,
        "precision": "32-true", "device": "cpu", "rounds": 2, "quick": False, "measured": "2026-01-01",
        "environment": {"versions": {"torch": "2.13"}, "hardware": {"cores": 2}, "git_commit": None},
        "startup_seconds": {"train.py --help": spread},
    }  # fmt: skip
    (tmp_path / "benchmark_report.json").write_text(json.dumps(content))
    BenchmarkResults(tmp_path).require_free()
    report = read_json(tmp_path / "benchmark_report.json", BenchmarkReport)
    assert report.startup_seconds == {"train.py --help": Spread.of([0.5, 0.7, 0.9])}
    assert (report.compiled, report.weights_sha256, report.training) == (False, None, None)
