"""Tables at the end of a run: they show the numbers of the report."""

from pathlib import Path

import pytest

from emotion.evaluation import evaluate
from emotion.prediction import Prediction
from emotion.reporting import TrainingReport, merge_run, print_compression, print_prediction, print_report
from support.compression_reports import compression_report, variant
from support.labels import EMOTION6
from support.training_reports import entry, run_record


def test_the_report_table_fits_80_columns_and_marks_the_best(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    report = TrainingReport()
    for run in (run_record("CardiffRoBERTa", 0.8125), run_record("MiniLM", 0.5)):
        merge_run(report, run, entry(run))
    print_report(report, "MiniLM", Path("[/outputs] [1]"))
    printed = capsys.readouterr().out
    assert "CardiffRoBERTa *" in printed
    assert "0.8125" in printed
    assert "MiniLM by class" in printed
    assert "pictures: [/outputs] [1]" in printed
    assert "…" not in printed


def test_the_compression_table_fits_80_columns_and_ranks(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    variants = {"trim_vocabulary": variant(466.0, 1.02, 0.88), "onnx_int8": variant(23.0, 13.5, 0.905)}
    report = compression_report(variants, failed={"quantize": "found [/lib] and [cpu]"})
    print_compression(report, Path("[/outputs]/compression_results"))
    printed = capsys.readouterr().out
    rows = [line.split() for line in printed.splitlines()]
    assert ["onnx_int8", "23.0", "26%", "13.50", "27.00", "0.9050", "+0.50", "99.0%", "0.50"] in rows
    assert ["trim_vocabulary", "466.0", "518%", "1.02", "2.04", "0.8800", "-2.00", "99.0%", "0.50"] in rows
    assert ["original", "90.0", "100%", "1.00", "2.00", "0.9000"] in rows
    assert "fastest: onnx_int8 > trim_vocabulary > original" in printed
    assert "best macro F1: onnx_int8 > original > trim_vocabulary" in printed
    assert "quantize failed: found [/lib] and [cpu]" in printed
    assert "pictures: [/outputs]/compression_results" in printed
    assert "…" not in printed
    assert max(map(len, printed.splitlines())) <= 80


def test_the_prediction_table_counts_the_labels(capsys: pytest.CaptureFixture[str]) -> None:
    evaluation = evaluate([1, 1, 4, 4], [1, 1, 4, 0], EMOTION6.names)
    print_prediction(Prediction([1, 1, 4, 0], EMOTION6.names, Path("[/out].csv"), 0, 0, evaluation))
    printed = capsys.readouterr().out
    assert "4 rows predicted" in printed
    assert ["joy", "2", "50.0%"] in [line.split() for line in printed.splitlines()]
    assert "accuracy 0.7500" in printed
    assert "Predictions: [/out].csv" in printed
