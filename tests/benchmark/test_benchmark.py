"""Sides take turns, sides that do different work are refused, and figures are what was measured."""

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emotion.benchmark import BenchmarkConfig, benchmark, corpora, parts, startup, turns
from emotion.benchmark.measurement import Measurement
from emotion.benchmark.sides import OURS, TRAINING
from emotion.config import PROJECT
from emotion.data import LabelledTexts
from emotion.errors import UserError
from emotion.reporting import BenchmarkReport, BenchmarkResults, CompressionSpeed, read_json
from support.benchmarks import ROWS, measured
from support.files import sample_rows
from support.labels import EMOTION6

pytestmark = pytest.mark.usefixtures("one_thread")


def test_results_are_checked_after_the_first_round() -> None:
    calls: list[int] = []

    def check(title: str, results: dict[str, list[int]]) -> None:
        raise UserError(f"{title}: {results}")

    with pytest.raises(UserError, match=r"^part: {'a': \[None\]}$"):
        turns.in_turns("part", {"a": lambda: calls.append(1)}, 3, check)
    assert calls == [1]


def test_tasks_take_turns() -> None:
    calls: list[str] = []
    tasks = {name: lambda name=name: calls.append(name) or len(calls) for name in "ab"}  # type: ignore[misc, func-returns-value]
    assert turns.in_turns("", tasks, 3) == {"a": [1, 3, 5], "b": [2, 4, 6]}


def test_ratios_are_those_of_each_round(config: BenchmarkConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config.updated(rounds=3)
    others = {f"train/{side}": [8.0, 9.0, 20.0] for side in TRAINING if side != OURS}
    measured(monkeypatch, {f"train/{OURS}": [2.0, 3.0, 4.0], **others})
    speed = parts.training(config)
    ratio = speed.sides["trainer_grouped"].speedup_of_ours
    assert (ratio.median, ratio.minimum, ratio.maximum) == (4.0, 3.0, 5.0)
    assert speed.sides[OURS].rows_per_second.median == 64 / 3
    # two layers of 4 * 32 * 32 weights, 4 * 32 biases, 2 * 32 * 48 + 48 + 32 and two norms; pooler and head
    parameters = 2 * (4 * 32 * 33 + 2 * 32 * 48 + 48 + 32 + 4 * 32) + 32 * 33 + 6 * 33
    assert speed.flops_per_token == 6 * parameters
    assert speed.utilisation == pytest.approx(6 * parameters * 1000 / 3 / 1e9)


def test_sides_that_do_different_work_are_refused(config: BenchmarkConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    updates = iter([2] * 9 + [3])
    monkeypatch.setattr(parts, "run_side", lambda *_: Measurement(seconds=1, rows=9, tokens=5, updates=next(updates)))
    with pytest.raises(UserError, match=r"^train: all sides must do the same work, found .*\(9, 5, 2\), \(9, 5, 3\)"):
        parts.training(config)


def test_fp32_sides_with_different_labels_are_refused(
    config: BenchmarkConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    labels = iter([[0] * 1000] * 3 + [[0] * 998 + [1] * 2] + [[0] * 1000] * 100)
    monkeypatch.setattr(
        parts, "run_side", lambda *_: Measurement(seconds=1, rows=9, labels=next(labels), single_ms=[1])
    )
    with pytest.raises(UserError, match=r"^predict/pipeline_batched: must give at least 99.9% .*, found 99.8%"):
        parts.prediction(config.updated(rounds=1), tmp_path)


@pytest.mark.parametrize("power", [1, 2])
def test_the_slope_is_the_exponent_of_the_cost(
    config: BenchmarkConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, power: int
) -> None:
    def run(_: str, config: BenchmarkConfig) -> Measurement:
        lines = Path(config.data.train).read_text(encoding="utf-8").splitlines()
        words = np.mean([len(line.split()) for line in lines[1:]])
        size = len(lines) - 1 if "rows" in config.data.train else words
        return Measurement(seconds=3 * size**power, rows=1)

    monkeypatch.setattr(parts, "run_side", run)
    data = LabelledTexts.read(config.data.train, "text", "label", EMOTION6, "data.train")
    measured = parts.scaling(config.updated(quick=True), data, tmp_path)
    assert set(measured) == {"train_rows", "predict_rows", "train_words", "predict_words"}
    assert all(curve.slope == pytest.approx(power) for curve in measured.values())


def test_each_row_is_drawn_once_and_made_up_rows_rarely_repeat(config: BenchmarkConfig) -> None:
    data = LabelledTexts.read(config.data.train, "text", "label", EMOTION6, "data.train")
    source = sample_rows("train", ROWS)
    drawn = corpora.draw(data, 40, seed=1)
    assert len(set(drawn)) == 40
    assert set(drawn) <= set(source)
    assert sorted(corpora.draw(data, 1000, seed=1)) == sorted(source)
    made = list(corpora.made_up(data, 500, seed=1))
    assert len({text for text, _ in made}) > 490
    words = {word for text, _ in source for word in text.split()}
    assert all(set(text.split()) <= words for text, _ in made)
    assert all(len(text.split()) == 7 for text, _ in corpora.made_up(data, 9, 1, words=7))


@pytest.mark.slow
def test_the_command_measures_in_other_processes_and_writes_its_files(config: BenchmarkConfig, tmp_path: Path) -> None:
    """Two processes train together: the work is the same, and each row is seen once."""
    command = [
        *(sys.executable, PROJECT / "scripts" / "benchmark.py", "benchmark=devices", "quick=true", "data=csv"),
        *(f"data.train={config.data.train}", f"data.validation={config.data.train}"),
        *(f"model.backbone={config.model.backbone}", f"output_dir={tmp_path / 'out'}", "trainer.accelerator=cpu"),
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    results = BenchmarkResults(tmp_path / "out")
    report = read_json(results.report, BenchmarkReport)
    assert report.quick
    assert report.devices is not None
    assert report.devices.rows == 64, "a quick benchmark has no more rows"
    assert report.training is None
    assert results.tables.read_text(encoding="utf-8").count("|") > 9


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data.max_length": 129}, "data.max_length: must be <= 128, the tokens that MiniLM has positions for"),
        ({"trainer.devices": [1]}, r"trainer.devices: must be 1 in a benchmark, found \[1\]"),
        ({"trainer.precision": "16-mixed"}, "trainer.precision: must be 32-true or bf16-mixed"),
    ],
)
def test_what_the_sides_cannot_do_is_refused_at_once(
    config: BenchmarkConfig, changes: dict[str, Any], message: str
) -> None:
    for key, value in changes.items():
        group, name = key.split(".")
        config = config.updated(**{group: getattr(config, group).updated(**{name: value})})
    with pytest.raises(UserError, match=f"^{message}"):
        benchmark(config)


def test_startup_is_timed_from_the_start_of_the_command() -> None:
    wait = "import time; time.sleep(0.3); raise SystemExit(3)"
    assert 0.3 < startup._seconds(["-c", wait], 3) < 10
    with pytest.raises(UserError, match=r"^startup: .* must exit with 0, found 3"):
        startup._seconds(["-c", wait], 0)
    for command in startup.COMMANDS.values():
        assert startup._seconds(*command) > 0


def test_the_report_names_the_weights_and_settings_that_were_measured(
    config: BenchmarkConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config.updated(benchmark=config.benchmark.updated(parts=["compress"]))
    measured = CompressionSpeed(tokens=9, sides={})
    monkeypatch.setattr(parts, "compression", lambda *_: measured)
    report = benchmark(config)
    assert report.compression == measured
    digest = hashlib.sha256(Path(str(config.weights)).read_bytes()).hexdigest()
    assert (report.weights_sha256, report.random_weights, report.compiled) == (digest, False, False)
    other = benchmark(config.updated(weights=None, random_weights=True, compile=True))
    assert (other.weights_sha256, other.random_weights, other.compiled) == (None, True, True)


def test_weights_of_another_model_are_refused_at_once(config: BenchmarkConfig, originals: dict[str, Path]) -> None:
    with pytest.raises(UserError, match=r"^weights: must be MiniLM in float32 .*, found BERTweet in float32"):
        benchmark(config.updated(weights=str(originals["bertweet"])))
    assert not list(Path(config.output_dir).rglob("*.json"))
