"""Tables at the end of a run: they show the numbers of the report."""

from pathlib import Path

import pytest

from emotion.inference import Prediction
from emotion.metrics import evaluate
from emotion.report.console import print_prediction, print_report
from emotion.report.schema import TrainingReport
from emotion.report.training_report import merge
from test_report import entry, run_record


def test_the_report_table_fits_80_columns_and_marks_the_best(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    report = TrainingReport()
    for run in (run_record("CardiffRoBERTa", 0.8125), run_record("MiniLM", 0.5)):
        merge(report, run, entry(run))
    print_report(report, "MiniLM", Path("outputs"))
    printed = capsys.readouterr().out
    assert "CardiffRoBERTa *" in printed
    assert "0.8125" in printed
    assert "MiniLM by class" in printed
    assert "outputs" in printed
    assert "…" not in printed


def test_the_prediction_table_counts_the_labels(capsys: pytest.CaptureFixture[str]) -> None:
    evaluation = evaluate([1, 1, 4, 4], [1, 1, 4, 0])
    print_prediction(Prediction([1, 1, 4, 0], Path("out.csv"), 0, evaluation))
    printed = capsys.readouterr().out
    assert "4 rows predicted" in printed
    assert ["joy", "2", "50.0%"] in [line.split() for line in printed.splitlines()]
    assert "accuracy 0.7500" in printed
    assert "out.csv" in printed
