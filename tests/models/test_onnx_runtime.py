"""Several batches at a time, each in one thread, give what each gives alone."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import current_thread, main_thread
from typing import Any

import numpy as np
import pytest
import torch

from emotion.compression.steps.onnx import export_onnx
from emotion.errors import UserError
from emotion.models import OnnxClassifier, Predictor
from emotion.models.onnx_runtime import BATCH_TOKENS
from support.onnx_models import constant_logits
from support.predictors import untrained


@pytest.fixture(autouse=True)
def _three_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def exported(backbones: dict[str, Path]) -> Predictor:
    return export_onnx(untrained("minilm", backbones["minilm"]))


def test_a_batch_is_the_same_alone_and_among_others(exported: Predictor) -> None:
    texts = [f"word {number} " * (number % 11 + 1) for number in range(70)]
    rows = exported.encoder.encode(texts)
    together = exported.logits(rows, 8)
    model = exported.model
    for places, inputs in exported.batches(rows, 8):
        torch.testing.assert_close(together[places], model(**inputs).logits, rtol=1e-4, atol=1e-5)
    features = exported.features(texts)
    assert features is not None
    for place in (0, 33, 69):
        alone = exported.features([texts[place]])
        assert alone is not None
        torch.testing.assert_close(torch.tensor(features[place]), torch.tensor(alone[0]), rtol=1e-4, atol=1e-5)


def test_calls_at_the_same_time_give_what_each_gives_alone(exported: Predictor) -> None:
    calls = [[f"word {number} " * (number % 7 + 1) for number in range(size)] for size in (1, 2, 9, 40) * 6]
    expected = [exported.predict_proba(texts) for texts in calls]
    with ThreadPoolExecutor(3) as threads:
        for found, alone in zip(threads.map(exported.predict_proba, calls), expected, strict=True):
            torch.testing.assert_close(found, alone, rtol=1e-4, atol=1e-5)


def test_a_call_beside_another_computes_in_its_own_thread(exported: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the threads of both would wait for each other; a call that failed or was left early counts no more."""
    model, places = exported.model, list[bool]()
    assert isinstance(model, OnnxClassifier)
    run = OnnxClassifier._run

    def record(self: OnnxClassifier, session: Any, inputs: dict[str, np.ndarray]) -> Any:
        if inputs["input_ids"].shape[1] == ids.shape[1]:
            places.append(current_thread() is main_thread())
        return run(self, session, inputs)

    monkeypatch.setattr(OnnxClassifier, "_run", record)
    ids = np.ones((1, 4), dtype=np.int64)
    batches = [(number, {"input_ids": ids, "attention_mask": ids}) for number in range(4)]

    def in_own_thread() -> bool:
        places.clear()
        assert len(list(model.of_batches(batches))) == 4
        assert len(set(places)) == 1
        return places[0]

    assert not in_own_thread()
    short = {"input_ids": ids[:, :2], "attention_mask": ids[:, :2]}
    other = model.of_batches([(number, short) for number in range(4)])
    next(other)
    assert in_own_thread()
    other.close()  # type: ignore[attr-defined]
    assert not in_own_thread()
    with pytest.raises(UserError, match="must be an ONNX model that runs"):
        list(model.of_batches([(0, {"input_ids": ids}), *batches]))
    assert not in_own_thread()


def test_batches_hold_few_tokens_or_one_text(exported: Predictor) -> None:
    """One thread computes small batches faster; a text is never split, whatever its length."""
    texts = [f"word {number} " * (number % 11 + 1) for number in range(70)]
    rows = exported.encoder.encode([*texts, "very long " * 300])
    batches = list(exported.batches(rows, 8, most_tokens=40))
    assert sorted(place for places, _ in batches for place in places) == list(range(71))
    for places, inputs in batches:
        assert inputs["input_ids"].shape == (len(places), max(len(rows[place]) for place in places))
        assert inputs["input_ids"].numel() <= 40 or len(places) == 1
        assert len(places) <= 8
    assert max(len(places) for places, _ in batches) > 1
    together = exported.logits(rows, 8)
    for places, inputs in exported.batches(rows, 8, most_tokens=1):
        assert len(places) == 1
        torch.testing.assert_close(together[places], exported.model(**inputs).logits, rtol=1e-4, atol=1e-5)


def test_predictions_are_made_in_such_batches(exported: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes: list[tuple[int, ...]] = []
    computed = OnnxClassifier.of_batches

    def spied(self: OnnxClassifier, batches: Any) -> Any:
        batches = list(batches)
        shapes.extend(inputs["input_ids"].shape for _, inputs in batches)
        return computed(self, batches)

    monkeypatch.setattr(OnnxClassifier, "of_batches", spied)
    exported.predict([f"word {number} " * (number % 11 + 1) for number in range(100)])
    assert max(rows * tokens for rows, tokens in shapes if rows > 1) in range(64, BATCH_TOKENS + 1)


@pytest.mark.parametrize("threads", [1, 2, 64])
def test_any_number_of_threads_gives_the_same(exported: Predictor, threads: int) -> None:
    texts = [*(f"word {number} " * (number % 11 + 1) for number in range(30)), "", "endless " * 200_000, "怒り"]
    expected = exported.predict_proba(texts)
    torch.set_num_threads(threads)
    torch.testing.assert_close(exported.predict_proba(texts), expected, rtol=1e-4, atol=1e-5)
    exported.model = OnnxClassifier(exported.model.serialized, exported.model.config)  # with sessions of as many
    torch.testing.assert_close(exported.predict_proba(texts), expected, rtol=1e-4, atol=1e-5)
    for place in (0, 30, 31, 32):
        alone = exported.predict_proba([texts[place]])
        torch.testing.assert_close(alone[0], expected[place], rtol=1e-4, atol=1e-5)


def test_a_batch_that_fails_is_told(exported: Predictor) -> None:
    model = OnnxClassifier(constant_logits(8, 6), exported.model.config)
    rows = exported.encoder.encode([f"word {number}" for number in range(19)])
    exported.model = model
    with pytest.raises(UserError, match=r"gives logits .* found \(8, 6\)"):
        exported.logits(rows, 8)
