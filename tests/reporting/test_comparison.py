"""Comparisons of models from their rows, and what is said of them in words."""

import numpy as np
import pytest
from scipy.stats import norm

from emotion.errors import UserError
from emotion.evaluation import Interval, MacroF1Difference, mcnemar_p
from emotion.reporting import Comparison, Rows, baseline_warnings, compare_rows, verdict
from support.training_reports import baseline, entry, report_of, run_record

NAMES = ("sadness", "joy")


def rows(labels: list[int], predicted: list[int], names: tuple[str, ...] = NAMES) -> Rows:
    return Rows(np.array(labels), np.eye(len(names))[predicted], names)


def test_each_pair_is_tested_and_corrected_for_all() -> None:
    labels = [0] * 30 + [1] * 30
    predicted = {"a": labels, "b": [1] * 6 + labels[6:], "c": [1] * 20 + labels[20:]}
    found = compare_rows({name: rows(labels, each) for name, each in predicted.items()}, "validation")
    assert [(each.first, each.second) for each in found] == [("a", "b"), ("a", "c"), ("b", "c")]
    p_values = [mcnemar_p(labels, predicted[each.first], predicted[each.second]) for each in found]
    assert [each.mcnemar_p for each in found] == p_values
    a_b, a_c, b_c = p_values
    assert a_c < b_c < a_b
    assert [each.holm_p for each in found] == pytest.approx([a_b, 3 * a_c, 2 * b_c])
    assert found[1].is_distinguishable
    own = [2 * norm.sf(abs(each.difference.difference) / each.difference.standard_error) for each in found]
    assert own[1] < own[2] < own[0]
    assert [each.difference_holm_p for each in found] == pytest.approx([own[0], 3 * own[1], 2 * own[2]])


def test_many_comparisons_need_more_than_one_interval_beyond_zero() -> None:
    lucky = comparison(0.004, 0.0002, 0.008, 4_000)
    assert lucky.is_distinguishable
    assert not lucky.model_copy(update={"difference_holm_p": 0.12}).is_distinguishable
    assert lucky.model_copy(update={"difference_holm_p": 0.03}).is_distinguishable


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (rows([0, 1], [0, 1]), "a and b: must be predictions of the same rows, found 3 and 2"),
        (rows([0, 0, 1], [0, 1, 0]), r"found label 1 and 0 in row 3 \(the header is row 1; 2 rows differ\)"),
        (rows([0, 1, 0], [0, 1, 0], ("sadness", "love")), "found other classes: sadness, joy and sadness, love"),
    ],
)
def test_other_rows_are_refused(other: Rows, words: str) -> None:
    with pytest.raises(UserError, match=words):
        compare_rows({"a": rows([0, 1, 0], [0, 1, 0]), "b": other}, "validation")


def comparison(difference: float, low: float, high: float, rows_needed: int | None) -> Comparison:
    found = MacroF1Difference(difference, Interval(low, high), 0.005)
    return Comparison(first="A", second="B", data="test", rows=2_000, difference=found, mcnemar_p=0.02, holm_p=0.04,
                      rows_needed=rows_needed)  # fmt: skip


def test_the_verdict_says_whether_and_when_models_can_be_told_apart() -> None:
    better = verdict(comparison(0.02, 0.004, 0.036, 1_234))
    assert better.startswith("A is better than B: +2.00 points of macro F1 on the same 2,000 rows of test")
    assert "95 % interval +0.40 to +3.60; McNemar's p = 0.04 after Holm's correction" in better
    unclear = verdict(comparison(0.002, -0.004, 0.008, 34_512))
    assert unclear.startswith("A cannot be told from B")
    assert unclear.endswith("about 35,000 rows would be needed to tell them apart.")
    assert "needed" not in verdict(comparison(0.0, 0.0, 0.0, None))


def test_a_model_that_does_not_beat_the_svm_is_marked() -> None:
    weak, lucky, strong = entry(run_record("A")), entry(run_record("B")), entry(run_record("C"))
    weak.baselines = {"tfidf_svm": baseline(-0.1, -0.2, 0.0)}
    lucky.baselines = {"tfidf_svm": baseline(0.1, -0.1, 0.3)}
    strong.baselines = {"tfidf_svm": baseline(0.1, 0.05, 0.15)}
    first, second = baseline_warnings(report_of(A=weak, B=lucky, C=strong))
    assert first.startswith("A does NOT beat the baseline")
    assert second.startswith("B beats the baseline by no more than chance would")
