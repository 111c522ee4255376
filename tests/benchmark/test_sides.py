"""The benchmark's sides do the same work in the ways that their names say, each in its own process."""

import functools
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertForSequenceClassification

from emotion.benchmark import BenchmarkConfig, prediction_sides, sides, training_sides
from emotion.benchmark.model_files import HUGGING_FACE, model_files
from emotion.benchmark.sides import FILE, OURS, PREDICTION, TRAINING, _functions, run_side
from emotion.checkpoint import load
from emotion.errors import UserError
from emotion.models import load_tokenizer
from support.benchmarks import ROWS
from support.files import sample_rows

pytestmark = pytest.mark.usefixtures("one_thread")


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
            continue  # it rounds, so some labels may differ; the report says how many agree
        weights = models.get(side, models[OURS if side in (OURS, FILE) else HUGGING_FACE])
        done = _functions()[f"predict/{side}"](config.updated(weights=str(weights)))
        assert done.labels == expected, side
        assert len(done.single_ms) == (0 if side == FILE else ROWS)


def padded_widths(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that receives the columns of each batch that a Hugging Face side trains on from now on."""
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
    config = config.updated(data=config.data.updated(batch_size=10))
    widths = {}
    for side in TRAINING:
        if side != OURS:
            with monkeypatch.context() as patched:
                widths[side] = padded_widths(patched)
                _functions()[f"train/{side}"](config)
    assert widths["trainer_padded"] == widths["loop_padded"] == [48] * 9
    assert len(widths["trainer_dynamic"]) == 9
    assert sum(widths["trainer_grouped"]) < sum(widths["trainer_dynamic"]) < 9 * 48


def test_the_last_of_two_epochs_is_timed_if_the_model_is_compiled(
    config: BenchmarkConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0
    forward = BertForSequenceClassification.forward

    @functools.wraps(forward)  # the Trainer reads its signature
    def counted(self: Any, *arguments: Any, **inputs: Any) -> Any:
        nonlocal calls
        calls += self.training
        return forward(self, *arguments, **inputs)

    monkeypatch.setattr(BertForSequenceClassification, "forward", counted)
    for side in ("trainer_dynamic", "loop_padded"):
        found = {}
        for compiles in (False, True):
            calls = 0
            measured = _functions()[f"train/{side}"](config.updated(compile=compiles))
            found[compiles] = (measured.rows, measured.tokens, measured.updates, calls)
        rows, tokens, updates, batches = found[False]
        assert batches == updates, side
        assert found[True] == (rows, tokens, updates, 2 * batches), side


def test_the_padded_loop_pads_and_the_pipeline_takes_batches(
    config: BenchmarkConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes: list[torch.Size] = []
    forward = BertForSequenceClassification.forward

    def watched(self: Any, *arguments: Any, **inputs: Any) -> Any:
        shapes.append(inputs["input_ids"].shape)
        return forward(self, *arguments, **inputs)

    config = config.updated(weights=str(model_files(load(str(config.weights)), tmp_path)[HUGGING_FACE]))
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


def test_each_side_runs_in_a_fresh_process(config: BenchmarkConfig, capfd: pytest.CaptureFixture[str]) -> None:
    expected = load(str(config.weights)).predict([text for text, _ in sample_rows("train", ROWS)])
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        before = torch.get_rng_state()
        assert run_side(f"predict/{OURS}", config).labels == expected
        assert run_side(f"train/{OURS}", config).rows == ROWS  # seeds its process
        assert torch.equal(torch.get_rng_state(), before)
    assert capfd.readouterr() == ("", ""), "a side's output would break the progress bar"


def test_a_side_that_is_killed_is_reported_by_its_exit_code(
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
        run_side(f"predict/{OURS}", config.updated(weights="/nowhere"))
