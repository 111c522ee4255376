"""A million rows, thousands of calls, and processes that fork: memory, files, threads and speed stay as they are."""

import csv
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import monotonic, sleep

import pytest

from emotion import checkpoint
from emotion.compression.steps.onnx import export_onnx
from support.campaigns import Campaign
from support.long_runs import TEXTS, megabytes, result, start

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.skipif(sys.platform != "linux", reason="memory, files and threads are counted as Linux shows them"),
]

CHUNK_ROWS = 65_536
LARGEST_GROWTH = 300
"""Megabytes that a prediction of any length may take beyond those of its first two chunks."""
LARGEST_LEAK = 20
"""Megabytes that calls may leave beyond those of the calls before them."""


def test_long_runs(campaign: Campaign, originals: dict[str, Path], tmp_path: Path) -> None:
    weights, onnx = originals["minilm"], tmp_path / "model.onnx"
    calls, files, rows = (10_000, 500, 1_000_000) if campaign.full else (100, 10, 1_000)
    if campaign.full:
        checkpoint.save(export_onnx(checkpoint.load(weights)), onnx)
    checks = [
        partial(child, weights, "fork"),
        partial(many_rows, weights, tmp_path, rows),
        partial(many_rows, onnx, tmp_path, rows, threads=2),
        partial(child, onnx, "fork"),
        partial(child, weights, "spawn"),
        partial(many_calls, f"{calls} calls of a predictor", "call_predictor", weights, calls),
        partial(many_calls, f"{files} calls of run_inference", "call_run_inference", weights, files, tmp_path),
    ]
    campaign.run(lambda _, number: checks[number](), few=1, every=len(checks))


def child(weights: Path, method: str) -> str:
    """Predict in a child process; with two threads, because one would not be waited for."""
    found = result(start("predict_in_child", weights, method, threads=2), 120)
    assert found["classes"] > 1
    assert found["same"]
    assert found["exitcode"] == 0
    return f"same labels after {method} ({weights.suffix})"


def many_calls(name: str, *work: object) -> str:
    growth = result(start(*work), 900)
    assert growth["megabytes"] < LARGEST_LEAK, growth
    assert growth["files"] <= 0, growth
    assert growth["threads"] <= 0, growth
    return f"{name} ({growth['megabytes']:+.1f} MB, {growth['files']:+d} files, {growth['threads']:+d} threads)"


def many_rows(weights: Path, folder: Path, rows: int, threads: int = 1) -> str:
    """Predict a long CSV in another process; look at its memory and at the growing output from outside.

    An ONNX model has as many sessions as threads.
    """
    path = folder / "long.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("row", "text"), *((row, text_of(row)) for row in range(rows))])
    process = start("predict_file", weights, path, threads=threads)
    watched: list[tuple[float, float, int]] = []  # seconds, megabytes, bytes written
    while process.poll() is None:
        with suppress(FileNotFoundError):  # it is renamed at the end
            written = [file.stat().st_size for file in folder.glob(".long_predictions.*.csv")]
            watched += [(monotonic(), megabytes(process.pid), size) for size in written]
        sleep(0.05)
    counts = result(process, 60)
    assert sum(counts) == rows
    assert compared(folder / "long_predictions.csv", checkpoint.load(weights).predict) == counts
    if rows <= 2 * CHUNK_ROWS:
        return f"{rows} rows ({weights.suffix})"
    return f"{weights.suffix}: " + figures(watched, (folder / "long_predictions.csv").stat().st_size, rows)


def text_of(row: int) -> str:
    return f"{TEXTS[row % len(TEXTS)][:40]} {row * 7919 % 100_003}"


def compared(path: Path, predict: Callable[[list[str]], list[int]]) -> list[int]:
    """Check that each row is there, in order, and has its label (of one in a hundred rows); count the labels."""
    counts = [0] * 6
    sample, labels = [], []
    with path.open(encoding="utf-8", newline="") as file:
        for row, cells in enumerate(csv.DictReader(file)):
            assert (cells["row"], cells["text"]) == (str(row), text_of(row))
            counts[int(cells["predicted_label"])] += 1
            if row % 101 == 0:
                sample.append(cells["text"])
                labels.append(int(cells["predicted_label"]))
    assert predict(sample) == labels
    return counts


def figures(watched: list[tuple[float, float, int]], size: int, rows: int) -> str:
    """Check that memory stays as after two chunks, and compare the speeds of the first and the last quarter."""
    settled = size * 2 * CHUNK_ROWS / rows
    before = max(memory for _, memory, written in watched if written <= settled)
    growth = max(memory for _, memory, _ in watched) - before
    assert growth < LARGEST_GROWTH, f"{before:.0f} MB after two chunks, {growth:.0f} MB more later"

    # The moments when half of each chunk was written; a chunk's time is from one to the next
    halves = [size * (chunk + 0.5) * CHUNK_ROWS / rows for chunk in range(rows // CHUNK_ROWS)]
    moments = [next(moment for moment, _, written in watched if written >= half) for half in halves]
    quarter = len(moments) // 4 or 1
    ratio = (moments[quarter] - moments[0]) / (moments[-1] - moments[-1 - quarter])
    speed = f"last quarter at {ratio:.2f} times the speed of the first"
    return f"{rows} rows ({before:.0f} MB after two chunks, {growth:.0f} MB more at most, {speed})"
