"""Distances from the text that a model was fitted to, against scikit-learn's and SciPy's own, and what they change."""

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.distance import mahalanobis
from sklearn.covariance import LedoitWolf

from emotion.checkpoint import load, save
from emotion.compression.steps.onnx import export_onnx
from emotion.data import LabelledTexts
from emotion.errors import UserError
from emotion.models import Familiarity, Predictor, doubt
from emotion.scoring import calibrate_
from support.files import TEXTS
from support.labels import EMOTION6
from support.predictors import KINDS, untrained
from support.unfamiliar import labelled, made_of


@pytest.fixture
def data() -> LabelledTexts:
    return labelled(made_of("abcdefgh", 150, seed=0), EMOTION6)


def test_the_distance_is_mahalanobiss_to_the_nearest_class() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=240)
    features = rng.normal(size=(240, 5)) @ rng.normal(size=(5, 5)) + 4 * labels[:, None]
    fitted = Familiarity.fit(features, labels)
    assert fitted is not None
    found, held_out = fitted
    means = np.stack([features[labels == each].mean(axis=0) for each in range(3)])
    precision = LedoitWolf(assume_centered=True).fit(features - means[labels]).precision_
    others = rng.normal(size=(20, 5)) * 3
    expected = np.array([min(mahalanobis(each, mean, precision) for mean in means) for each in others])
    distances = found.distances(others)
    np.testing.assert_allclose(distances / distances[0], expected / expected[0], rtol=1e-4)
    assert np.median(held_out) == pytest.approx(1)  # in units of the middle row that it was fitted to
    assert np.mean(held_out > found.limit) == pytest.approx(0.05, abs=0.005)
    # A row is farther from what was fitted without it.
    assert held_out.mean() > found.distances(features).mean()


def test_few_rows_or_rows_without_differences_say_nothing() -> None:
    rng = np.random.default_rng(0)
    assert Familiarity.fit(rng.normal(size=(99, 4)), np.zeros(99, dtype=int)) is None
    assert Familiarity.fit(np.ones((200, 4)), np.zeros(200, dtype=int)) is None
    labels = np.arange(200) % 2
    assert Familiarity.fit(np.ones((200, 4)) * labels[:, None], labels) is None  # each class is one text
    broken = rng.normal(size=(200, 4))
    broken[7, 2] = np.inf
    assert Familiarity.fit(broken, labels) is None


def test_distances_beyond_numbers_are_refused(backbones: dict[str, Path], data: LabelledTexts) -> None:
    predictor = untrained("minilm", backbones["minilm"])
    calibrate_(predictor, data)
    assert predictor.familiarity is not None
    huge = np.full_like(predictor.familiarity.whitening, 3e38)
    predictor.familiarity = replace(predictor.familiarity, whitening=huge)
    with pytest.raises(UserError, match="weights: must give finite"):
        predictor.predict_texts(TEXTS)


def test_threads_share_a_model(backbones: dict[str, Path], data: LabelledTexts) -> None:
    predictor = untrained("minilm", backbones["minilm"])
    calibrate_(predictor, data)
    expected = predictor.predict_texts(TEXTS).distances
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            for found in pool.map(lambda _: predictor.predict_texts(TEXTS).distances, range(60)):
                np.testing.assert_allclose(found, expected, rtol=1e-5)
    finally:
        sys.setswitchinterval(before)


def test_doubt_begins_beyond_the_middle_row() -> None:
    np.testing.assert_allclose(doubt(np.array([0.0, 0.7, 1.0, 2.0, 5.0])), [1, 1, 1, 1.5, 3])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fast", [True, False])
def test_features_are_what_the_head_reads(kind: str, fast: bool, backbones: dict[str, Path], tmp_path: Path) -> None:
    save(untrained(kind, backbones[kind]), tmp_path / "model.pt")
    predictor = load(tmp_path / "model.pt", fast=fast)
    features = predictor.features(TEXTS)
    assert features is not None
    for text, found in zip(TEXTS, features, strict=True):
        (row,) = predictor.encoder.encode([text])
        inputs = predictor.encoder.pad([row])
        with torch.no_grad():
            last = predictor.torch_model.base_model(**inputs).last_hidden_state
        pooling = getattr(predictor.torch_model.config, "classifier_pooling", "cls")
        expected = last[0].mean(dim=0) if pooling == "mean" else last[0, 0]
        np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-5)


def test_confidence_falls_with_distance_and_labels_stay(backbones: dict[str, Path], data: LabelledTexts) -> None:
    predictor = untrained("minilm", backbones["minilm"])
    before = predictor.predict(TEXTS)
    calibrated = calibrate_(predictor, data)
    assert predictor.familiarity is not None
    assert predictor.predict(TEXTS) == before
    plain = replace(predictor, familiarity=None)
    found, without = predictor.predict_texts(TEXTS), plain.predict_texts(TEXTS)
    assert found.probabilities.argmax(dim=-1).tolist() == without.probabilities.argmax(dim=-1).tolist() == before
    features = predictor.features(TEXTS)
    assert features is not None
    distances = predictor.familiarity.distances(features)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-4)
    assert without.distances is None
    scaled = without.probabilities.double().log() / torch.from_numpy(1 + 0.5 * np.maximum(distances - 1, 0))[:, None]
    torch.testing.assert_close(found.probabilities.double(), scaled.softmax(dim=-1), rtol=1e-3, atol=1e-4)
    assert calibrated.distances is not None
    assert (calibrated.distances != predictor.predict_texts(data.texts).distances).all()  # each as fitted without it


def test_text_of_other_tokens_is_unfamiliar(backbones: dict[str, Path], data: LabelledTexts) -> None:
    predictor = untrained("minilm", backbones["minilm"])
    calibrate_(predictor, data)
    shares = [share_unfamiliar(predictor, texts) for texts in (made_of("abcdefgh", 200, seed=1), TEXTS * 20)]
    assert shares[0] < 0.2 < shares[1]


def share_unfamiliar(predictor: Predictor, texts: list[str]) -> float:
    strange = predictor.is_unfamiliar(predictor.predict_texts(texts))
    assert strange is not None
    return float(strange.mean())


def test_a_checkpoint_keeps_it(backbones: dict[str, Path], data: LabelledTexts, tmp_path: Path) -> None:
    predictor = untrained("minilm", backbones["minilm"])
    calibrate_(predictor, data)
    save(predictor, tmp_path / "model.pt")
    loaded = load(tmp_path / "model.pt")
    expected, found = predictor.predict_texts(TEXTS), loaded.predict_texts(TEXTS)
    assert torch.equal(expected.probabilities, found.probabilities)
    np.testing.assert_array_equal(expected.distances, found.distances)


def test_onnx_has_the_same_features(backbones: dict[str, Path], data: LabelledTexts, tmp_path: Path) -> None:
    predictor = untrained("minilm", backbones["minilm"])
    exported = export_onnx(predictor)
    features, expected = exported.features(TEXTS), predictor.features(TEXTS)
    assert features is not None
    np.testing.assert_allclose(features, expected, rtol=1e-3, atol=1e-4)
    calibrate_(exported, data)
    save(exported, tmp_path / "model.onnx")
    loaded = load(tmp_path / "model.onnx").predict_texts(TEXTS)
    np.testing.assert_allclose(loaded.distances, exported.predict_texts(TEXTS).distances, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("limit", "far", "limit must be a number > 0"),
        ("limit", float("nan"), "limit must be a number > 0"),
        ("whitening", torch.zeros(3, 3), "whitening must be bytes"),
        ("whitening", [[1.0]], "whitening must be bytes"),
        ("whitening", torch.zeros(32 * 4, dtype=torch.uint8), "whitening must have 32 rows, found 1"),
        ("whitening", torch.full((32 * 32 * 4,), 255, dtype=torch.uint8), "whitening must be finite"),
        ("centres", torch.zeros(0, dtype=torch.uint8), "centres must be rows of 32 numbers, found 0 bytes"),
        ("centres", None, "centres must be bytes"),
    ],
)
def test_a_damaged_one_is_refused(
    name: str, value: object, problem: str, backbones: dict[str, Path], data: LabelledTexts, tmp_path: Path
) -> None:
    predictor = untrained("minilm", backbones["minilm"])
    calibrate_(predictor, data)
    save(predictor, tmp_path / "model.pt")
    content = torch.load(tmp_path / "model.pt", weights_only=True)
    content["familiarity"][name] = value
    torch.save(content, tmp_path / "damaged.pt")
    with pytest.raises(UserError, match=problem):
        load(tmp_path / "damaged.pt")
