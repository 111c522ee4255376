"""The benchmark's sides do the same work, in turns, and its figures are what they measured."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertForSequenceClassification

from conftest import model_config, sample_rows, write_csv
from emotion.benchmark import corpora, parts, prediction_sides, sides, startup, training_sides
from emotion.benchmark.measurement import Measurement
from emotion.benchmark.model_files import HUGGING_FACE, model_files
from emotion.benchmark.run import benchmark
from emotion.benchmark.sides import FILE, OURS, PREDICTION, TRAINING, _functions, run_side
from emotion.checkpoint import load
from emotion.config import PROJECT, compose_config, resolve
from emotion.data import LabelledTexts
from emotion.errors import UserError
from emotion.pretrained import load_tokenizer
from emotion.report.benchmark_plots import benchmark_figure
from emotion.report.benchmark_report import BenchmarkResults, tables
from emotion.report.benchmark_schema import PARTS, BenchmarkReport, DeviceScaling, Scaling, Spread
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


def padded_widths(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Columns of each batch that a Hugging Face side trains on, from now on."""
    widths: list[int] = []

    class Watching(training_sides.Counting):
        def __call__(self, samples: list[Any]) -> Any:
            batch = super().__call__(samples)
            widths.append(batch["input_ids"].shape[1])
            return batch

    monkeypatch.setattr(training_sides, "Counting", Watching)
    return widths


def test_the_other_training_sides_pad_as_their_names_say(
    config: BenchmarkConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(config, data=replace(config.data, batch_size=10))
    widths = {}
    for side in TRAINING:
        if side != OURS:
            with monkeypatch.context() as patched:
                widths[side] = padded_widths(patched)
                _functions()[f"train/{side}"](config)
    assert widths["trainer_padded"] == widths["loop_padded"] == [48] * 9
    assert len(widths["trainer_dynamic"]) == 9
    assert sum(widths["trainer_grouped"]) < sum(widths["trainer_dynamic"]) < 9 * 48


def test_the_last_of_two_epochs_is_timed_where_something_is_compiled(config: BenchmarkConfig) -> None:
    for side in ("trainer_dynamic", "loop_padded"):
        once, twice = (_functions()[f"train/{side}"](replace(config, compile=choice)) for choice in (False, True))
        assert (once.rows, once.tokens, once.updates) == (twice.rows, twice.tokens, twice.updates), side


def test_the_padded_loop_pads_and_the_pipeline_takes_batches(
    config: BenchmarkConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes: list[torch.Size] = []
    forward = BertForSequenceClassification.forward

    def watched(self: Any, *arguments: Any, **inputs: Any) -> Any:
        shapes.append(inputs["input_ids"].shape)
        return forward(self, *arguments, **inputs)

    config = replace(config, weights=str(model_files(load(str(config.weights)), tmp_path)[HUGGING_FACE]))
    monkeypatch.setattr(BertForSequenceClassification, "forward", watched)
    monkeypatch.setattr(prediction_sides, "SINGLE_TEXTS", 0)
    monkeypatch.setattr(prediction_sides, "WARM_UP_TEXTS", 1)
    found = {}
    for side in ("loop_padded", "pipeline_batched", "pipeline_1"):
        shapes.clear()
        _functions()[f"predict/{side}"](config)
        found[side] = shapes[1:]
    assert found["loop_padded"] == [(32, 48), (32, 48), (26, 48)]
    assert [rows for rows, _ in found["pipeline_batched"]] == [32, 32, 26]
    assert [rows for rows, _ in found["pipeline_1"]] == [1] * ROWS


def test_other_work_is_found_after_the_first_round() -> None:
    calls: list[int] = []

    def check(title: str, results: dict[str, list[int]]) -> None:
        raise UserError(f"{title}: {results}")

    with pytest.raises(UserError, match=r"^part: {'a': \[None\]}$"):
        parts.in_turns("part", {"a": lambda: calls.append(1)}, 3, check)
    assert calls == [1]


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
        config = replace(config, **{group: replace(getattr(config, group), **{name: value})})
    with pytest.raises(UserError, match=f"^{message}"):
        benchmark(config)


def test_a_side_that_is_killed_is_not_told_by_its_last_words(
    config: BenchmarkConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(_: object, errors: Path, __: object) -> int:
        errors.write_text("all is well\n")
        return -9

    monkeypatch.setattr(sides, "_start_fork", killed)
    with pytest.raises(UserError, match=r"^predict/emotion: must run, found exit code -9$"):
        run_side(f"predict/{OURS}", config)


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
        startup_seconds={"train.py --help": Spread.of([0.5, 0.7, 0.9])},
        scaling={
            f"{part}_{unit}": Scaling(sizes=[10, 1000], seconds=[2.0, seconds], slope=0.9)
            for part, seconds in (("train", 200.0), ("predict", 20.0)) for unit in ("rows", "words")
        },
        devices=DeviceScaling(rows=64, one_process_seconds=Spread.of([9, 8]), two_processes_seconds=Spread.of([5, 5]),
                              speedup=Spread.of([1.8, 1.6])),
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


def test_parts_of_the_same_work_are_merged_and_other_reports_kept_beside(
    config: BenchmarkConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    results = BenchmarkResults(tmp_path / "out")
    results.require_free()
    report = report_of(config, monkeypatch, tmp_path)
    assert results.with_earlier_parts(report) == report
    results.publish(report)
    new = report.model_copy(update={**dict.fromkeys(PARTS), "measured": "2026-02-02"})
    assert results.with_earlier_parts(new) == report.model_copy(update={"measured": "2026-02-02"})
    assert [path.name for path in results.report.parent.glob("*.json")] == ["benchmark_report.json"]
    other = new.model_copy(update={"quick": False})
    assert results.with_earlier_parts(other) == other
    assert read_json(results.report.with_name("benchmark_report.2026-01-01.json"), BenchmarkReport) == report


def test_startup_is_timed_from_the_command_on() -> None:
    wait = "import time; time.sleep(0.3); raise SystemExit(3)"
    assert 0.3 < startup._seconds(["-c", wait], 3) < 10
    with pytest.raises(UserError, match=r"^startup: .* must exit with 0, found 3"):
        startup._seconds(["-c", wait], 0)
    for command in startup.COMMANDS.values():
        assert startup._seconds(*command) > 0


def test_the_tables_hold_medians_and_ranges(
    config: BenchmarkConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = tables(report_of(config, monkeypatch, tmp_path))
    # two rounds of 64 rows in 2 and 3 seconds beside ours in 1 and 2
    assert "| HF Trainer, grouped by length | 26.7 (21.3-32.0) | 1.75 (1.50-2.00) |" in text
    assert "| pipeline, in batches | 7 (6-7) | 1.46 (1.43-1.50) | 5.00 | 100.0% |" in text
    assert "| train.py --help | 0.70 (0.50-0.90) |" in text
    assert "| train, more rows | 2.0 at 10, 200.0 at 1,000 | 0.90 |" in text
    assert "| two processes | 5.0 | 1.70 (1.60-1.80) |" in text
    assert "FLOP utilisation is" in text


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
