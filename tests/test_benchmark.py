"""The benchmark's sides do the same work, in turns, and its figures are what they measured."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from conftest import model_config, sample_rows, write_csv
from emotion.benchmark import corpora, parts
from emotion.benchmark.measurement import Measurement
from emotion.benchmark.model_files import HUGGING_FACE, model_files
from emotion.benchmark.sides import FILE, OURS, PREDICTION, TRAINING, _functions, run_side
from emotion.checkpoint import load
from emotion.config import PROJECT, compose_config, resolve
from emotion.data import LabelledTexts
from emotion.errors import UserError
from emotion.pretrained import load_tokenizer
from emotion.report.benchmark_report import BenchmarkResults, tables
from emotion.report.benchmark_schema import BenchmarkReport
from emotion.report.json_file import read_json
from emotion.schemas.benchmark import BenchmarkConfig

pytestmark = pytest.mark.usefixtures("one_thread")
ROWS = 90


@pytest.fixture
def config(backbones: dict[str, Path], originals: dict[str, Path], tmp_path: Path) -> BenchmarkConfig:
    """A tiny backbone and 90 rows in batches of 32, which leaves a batch that is not full."""
    rows = write_csv(tmp_path / "rows.csv", sample_rows("train", ROWS))
    overrides = ["data=csv", f"data.train={rows}", f"data.validation={rows}", f"weights={originals['minilm']}"]
    short = ["trainer.max_epochs=1", "trainer.enable_progress_bar=false", f"output_dir={tmp_path / 'out'}"]
    composed = resolve(
        compose_config("benchmark", [*overrides, *short, "rounds=2", "data.max_length=48"]), BenchmarkConfig
    )
    return replace(composed, model=model_config("minilm", backbones["minilm"]))


def test_all_training_sides_do_the_same_work(config: BenchmarkConfig) -> None:
    tokenizer = load_tokenizer(Path(config.model.backbone), "none")
    tokens = sum(min(len(tokenizer(text).input_ids), 48) for text, _ in sample_rows("train", ROWS))
    for side in TRAINING:
        done = _functions()[f"train/{side}"](config)
        assert (done.rows, done.tokens, done.updates) == (ROWS, tokens, 3), side
        assert done.seconds > 0


def test_all_prediction_sides_give_the_same_labels(config: BenchmarkConfig, tmp_path: Path) -> None:
    expected = load(str(config.weights)).predict([text for text, _ in sample_rows("train", ROWS)])
    assert len(set(expected)) > 2
    models = model_files(load(str(config.weights)), tmp_path)
    for side in (*PREDICTION, FILE):
        if side == "onnx_int8":
            continue  # rounds; its agreement is reported
        weights = models.get(side, models[OURS if side in (OURS, FILE) else HUGGING_FACE])
        done = _functions()[f"predict/{side}"](replace(config, weights=str(weights)))
        assert done.labels == expected, side
        assert len(done.single_ms) == (0 if side == FILE else ROWS)


def test_tasks_take_turns() -> None:
    calls: list[str] = []
    tasks = {name: lambda name=name: calls.append(name) or len(calls) for name in "ab"}  # type: ignore[misc, func-returns-value]
    assert parts.in_turns("", tasks, 3) == {"a": [1, 3, 5], "b": [2, 4, 6]}


def measured(monkeypatch: pytest.MonkeyPatch, seconds: dict[str, list[float]], **work: object) -> None:
    """Let the sides take these seconds, round by round, instead of running."""
    rounds = {side: iter(values) for side, values in seconds.items()}
    same = {"rows": 64, "tokens": 1000, "updates": 2, "peak_flops": 1e9, "single_ms": [3.0, 5.0, 9.0]}

    def run(side: str, *_: object) -> Measurement:
        return Measurement(**{"seconds": next(rounds[side]), **same, **work})  # type: ignore[arg-type]

    monkeypatch.setattr(parts, "run_side", run)


def test_ratios_are_those_of_each_round(config: BenchmarkConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(config, rounds=3)
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


def test_sides_that_do_other_work_are_refused(config: BenchmarkConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    updates = iter([2] * 9 + [3])
    monkeypatch.setattr(parts, "run_side", lambda *_: Measurement(seconds=1, rows=9, tokens=5, updates=next(updates)))
    with pytest.raises(UserError, match=r"^train: all sides must do the same work, found .*\(9, 5, 2\), \(9, 5, 3\)"):
        parts.training(config)


def test_fp32_sides_with_other_labels_are_refused(
    config: BenchmarkConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    labels = iter([[0] * 1000] * 3 + [[0] * 998 + [1] * 2] + [[0] * 1000] * 100)
    monkeypatch.setattr(
        parts, "run_side", lambda *_: Measurement(seconds=1, rows=9, labels=next(labels), single_ms=[1])
    )
    with pytest.raises(UserError, match=r"^predict/pipeline_batched: must give at least 99.9% .*, found 99.8%"):
        parts.prediction(replace(config, rounds=1), tmp_path)


@pytest.mark.parametrize("power", [1, 2])
def test_the_slope_is_the_power_of_the_cost(
    config: BenchmarkConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, power: int
) -> None:
    def run(_: str, config: BenchmarkConfig) -> Measurement:
        lines = Path(config.data.train).read_text(encoding="utf-8").splitlines()
        words = np.mean([len(line.split()) for line in lines[1:]])
        size = len(lines) - 1 if "rows" in config.data.train else words
        return Measurement(seconds=3 * size**power, rows=1)

    monkeypatch.setattr(parts, "run_side", run)
    data = LabelledTexts.read(config.data.train, "text", "label", "data.train")
    measured = parts.scaling(replace(config, quick=True), data, tmp_path)
    assert set(measured) == {"train_rows", "predict_rows", "train_words", "predict_words"}
    assert all(curve.slope == pytest.approx(power) for curve in measured.values())


def test_rows_are_drawn_once_each_and_made_up_ones_do_not_repeat(config: BenchmarkConfig) -> None:
    data = LabelledTexts.read(config.data.train, "text", "label", "data.train")
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
    assert report.devices.rows == 64, "no more where it is to be quick"
    assert report.training is None
    assert results.tables.read_text(encoding="utf-8").count("|") > 9


def test_each_side_runs_in_a_fresh_process(config: BenchmarkConfig, capfd: pytest.CaptureFixture[str]) -> None:
    expected = load(str(config.weights)).predict([text for text, _ in sample_rows("train", ROWS)])
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        before = torch.get_rng_state()
        assert run_side(f"predict/{OURS}", config).labels == expected
        assert run_side(f"train/{OURS}", config).rows == ROWS  # seeds its process
        assert torch.equal(torch.get_rng_state(), before)
    assert capfd.readouterr() == ("", ""), "a side's noise would break the progress bar"


def test_a_side_that_fails_says_why_in_one_line(config: BenchmarkConfig) -> None:
    with pytest.raises(UserError, match=r"^predict/emotion: must run, found .*weights: .* no file at /nowhere"):
        run_side(f"predict/{OURS}", replace(config, weights="/nowhere"))


def report_of(config: BenchmarkConfig, monkeypatch: pytest.MonkeyPatch, folder: Path) -> BenchmarkReport:
    names = [f"train/{side}" for side in TRAINING] + [f"predict/{side}" for side in (*PREDICTION, FILE)]
    measured(monkeypatch, {name: [number + 1.0, number + 2.0] for number, name in enumerate(names)}, labels=[0, 1])
    from emotion.environment import hardware, versions

    environment = {"versions": versions(), "hardware": hardware(), "git_commit": None}
    return BenchmarkReport(
        model_name="MiniLM", data_sha256="0", batch_size=32, max_length=128, precision="32-true", device="cpu",
        rounds=2, quick=True, environment=environment, measured="2026-01-01",  # type: ignore[arg-type]
        training=parts.training(config), prediction=parts.prediction(config, folder),
    )  # fmt: skip


def test_the_tables_hold_medians_and_ranges(
    config: BenchmarkConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = tables(report_of(config, monkeypatch, tmp_path))
    # two rounds of 64 rows in 2 and 3 seconds beside ours in 1 and 2
    assert "| HF Trainer, grouped by length | 26.7 (21.3-32.0) | 1.75 (1.50-2.00) |" in text
    assert "| pipeline, in batches | 7 (6-7) | 1.46 (1.43-1.50) | 5.00 | 100.0% |" in text


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
