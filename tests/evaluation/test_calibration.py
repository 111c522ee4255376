"""Calibration: by hand, against scikit-learn, and on data whose calibration is known."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss

from emotion.evaluation import (
    apply_temperature,
    brier_score,
    calibration_of,
    cross_fitted,
    expected_calibration_error,
    fit_temperature,
    negative_log_likelihood,
    perfect_calibration_error,
    reliability_bins,
    risk_coverage,
    score,
)


def simulated(rows: int, temperature: float = 1.0, classes: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of logits that are ``temperature`` times too large, and labels drawn from the true ones."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=2, size=(rows, classes))
    truth = softmax(logits, axis=1).cumsum(axis=1)
    labels = (rng.random((rows, 1)) > truth).sum(axis=1).clip(max=classes - 1)
    return softmax(temperature * logits, axis=1), labels


def binary(confidences: list[float], right: list[bool]) -> tuple[np.ndarray, list[int]]:
    """Two classes, of which the first is predicted."""
    return np.array([[each, 1 - each] for each in confidences]), [0 if each else 1 for each in right]


def test_the_error_is_the_mean_gap_of_bins_of_equally_many_rows() -> None:
    probabilities, labels = binary([0.6, 1.0, 0.7, 0.8], [False, True, True, True])
    # two bins: .6 and .7, half of them right; .8 and 1.0, all right
    assert expected_calibration_error(probabilities, labels, bins=2) == pytest.approx(0.5 * 0.15 + 0.5 * 0.1)
    bins = reliability_bins(probabilities, labels, bins=2)
    assert [(each.confidence, each.accuracy, each.rows) for each in bins] == [
        (pytest.approx(0.65), 0.5, 2),
        (pytest.approx(0.9), 1.0, 2),
    ]
    # one bin: confidence .775, accuracy .75; more bins than rows: each row by itself
    assert expected_calibration_error(probabilities, labels, bins=1) == pytest.approx(0.025)
    assert expected_calibration_error(probabilities, labels, bins=9) == pytest.approx((0.6 + 0.3 + 0.2 + 0) / 4)
    with pytest.raises(ValueError, match="at least one bin"):
        expected_calibration_error(probabilities, labels, bins=0)


def test_full_confidence_lies_in_the_last_bin() -> None:
    probabilities, labels = binary([1.0, 1.0, 0.9, 0.5], [True, False, True, True])
    last = reliability_bins(probabilities, labels, bins=2)[-1]
    assert (last.confidence, last.accuracy, last.rows) == (1.0, 0.5, 2)


def test_losses_are_scikit_learns() -> None:
    probabilities, labels = simulated(300)
    assert negative_log_likelihood(probabilities, labels) == pytest.approx(log_loss(labels, probabilities))
    theirs = brier_score_loss(labels, probabilities, labels=range(4), scale_by_half=False)
    assert brier_score(probabilities, labels) == pytest.approx(theirs)
    surely_wrong, label = binary([1.0], [False])
    assert np.isfinite(negative_log_likelihood(surely_wrong, label))


def test_the_temperature_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(6_000, 5))
    labels = (features @ rng.normal(size=(5, 3)) + rng.gumbel(size=(6_000, 3))).argmax(axis=1)
    model = LogisticRegression(C=1e4).fit(features[:30], labels[:30])  # of few rows, so too sure of itself
    theirs = CalibratedClassifierCV(FrozenEstimator(model), method="temperature").fit(features, labels)
    raw = model.predict_proba(features)
    found = fit_temperature(raw, labels)
    assert found > 1.5
    calibrated = apply_temperature(raw, found)
    np.testing.assert_allclose(calibrated, theirs.predict_proba(features), atol=1e-3)
    assert (calibrated.argmax(axis=1) == raw.argmax(axis=1)).all(), "labels stay as they are"


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_a_known_temperature_is_found(temperature: float) -> None:
    probabilities, labels = simulated(20_000, temperature)
    assert fit_temperature(probabilities, labels) == pytest.approx(temperature, rel=0.05)
    again = apply_temperature(apply_temperature(probabilities, 2.5), 1 / 2.5)
    np.testing.assert_allclose(again, probabilities, atol=1e-12)


def test_rows_that_are_all_right_make_no_model_sure_of_everything() -> None:
    """Their likelihood alone has no maximum: it would put any confidence at 1."""
    for rows in (1, 3):
        probabilities, labels = binary([0.9, 0.8, 1.0][:rows], [True] * rows)
        temperature = fit_temperature(probabilities, labels)
        assert 0.4 < temperature < 1
    doubtful, label = binary([0.6], [True])
    assert apply_temperature(doubtful, fit_temperature(doubtful, label)).max() < 0.7


def test_no_row_is_calibrated_by_a_fit_to_itself() -> None:
    probabilities, labels = simulated(60, temperature=4.0)
    before = cross_fitted(probabilities, labels, folds=5)
    for row in (0, 17, 59):
        changed = labels.copy()
        changed[row] = (labels[row] + 1) % 4
        fold_moves = cross_fitted(probabilities[[row]], labels[[row]])  # a single row has nothing to learn from
        np.testing.assert_array_equal(fold_moves, probabilities[[row]])
    temperatures = np.log(probabilities[:, 0] / probabilities[:, 1]) / np.log(before[:, 0] / before[:, 1])
    folds = {round(float(each), 9) for each in temperatures}
    assert len(folds) == 5, "each fold has its own temperature"
    for fold in folds:
        inside = np.isclose(temperatures, fold, atol=1e-8)
        others = fit_temperature(probabilities[~inside], labels[~inside])
        assert fold == pytest.approx(others, rel=1e-4)


def test_a_perfectly_calibrated_model_is_as_bad_as_noise_makes_it() -> None:
    probabilities, _ = simulated(500)
    found = perfect_calibration_error(probabilities)
    errors = [expected_calibration_error(*_drawn(probabilities, seed)) for seed in range(300)]
    assert found.mean == pytest.approx(np.mean(errors), rel=0.05)
    assert found.high == pytest.approx(np.quantile(errors, 0.95), rel=0.08)


def _drawn(probabilities: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    uniform = np.random.default_rng(seed).random((len(probabilities), 1))
    return probabilities, (uniform > probabilities.cumsum(axis=1)).sum(axis=1).clip(max=3)


def test_risk_falls_with_coverage_and_equal_confidences_are_answered_together() -> None:
    probabilities, labels = binary([0.9, 0.7, 0.7, 0.6], [True, False, True, False])
    found = risk_coverage(probabilities, labels)
    assert found.coverage == [0.25, 0.75, 1.0]
    assert found.risk == pytest.approx([0, 1 / 3, 0.5])
    assert found.area == pytest.approx((0 + 1 / 3 + 1 / 3 + 0.5) / 4)
    many, truth = simulated(5_000)
    assert len(risk_coverage(many, truth).coverage) <= 100
    assert risk_coverage(many, truth).risk[-1] == pytest.approx((many.argmax(axis=1) != truth).mean())


def test_the_error_of_a_calibrated_model_lies_within_what_noise_explains() -> None:
    probabilities, labels = simulated(2_000, temperature=3.0)
    after = cross_fitted(probabilities, labels)
    found = calibration_of(probabilities, after, labels, temperature=3.0, cross_fitted=True)
    assert found.ece_before > 0.1
    assert found.ece_after <= found.ece_perfect.high
    assert found.nll_after < found.nll_before
    assert found.brier_after < found.brier_before
    assert found.ece_interval.low <= found.ece_after
    assert sum(each.rows for each in found.reliability) == 2_000


def test_what_was_fitted_on_the_rows_is_judged_by_cross_fitting() -> None:
    raw, labels = simulated(400, temperature=3.0)
    temperature = fit_temperature(raw, labels)
    calibrated = apply_temperature(raw, temperature)
    names = ("a", "b", "c", "d")
    own = score(labels.tolist(), calibrated, names, temperature=temperature, fitted_on_these=True).calibration
    foreign = score(labels.tolist(), calibrated, names, temperature=temperature).calibration
    assert own.cross_fitted
    assert not foreign.cross_fitted
    assert own.ece_before == pytest.approx(expected_calibration_error(raw, labels))
    assert own.nll_after > foreign.nll_after, "the rows' own fit flatters"
    assert foreign.nll_after == pytest.approx(log_loss(labels, calibrated))


def test_one_row_gives_numbers() -> None:
    found = score([0], np.array([[0.8, 0.2]]), ("a", "b"), temperature=2.0, fitted_on_these=True).calibration
    numbers = (found.ece_before, found.ece_after, found.ece_interval.high, found.ece_perfect.high, found.nll_after)
    assert np.isfinite(numbers).all()
