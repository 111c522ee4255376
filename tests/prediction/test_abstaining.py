"""Rows under a minimum confidence are marked, and the others are scored alone."""

from pathlib import Path

import pytest
from sklearn.metrics import accuracy_score, f1_score

from emotion.errors import UserError
from emotion.prediction import Prediction, predict_csv
from emotion.reporting import print_prediction
from support.files import sample_rows, write_csv
from support.prediction import predict_config, read_rows

pytestmark = pytest.mark.usefixtures("one_thread")
ROWS = sample_rows("test", 60)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "in.csv", ROWS)


def predict(weights: dict[str, Path], path: Path, **options: object) -> tuple[Prediction, list[str], list[list[str]]]:
    prediction = predict_csv(predict_config(weights=weights["minilm"], csv=path, **options))
    header, *rows = read_rows(prediction.output)
    return prediction, header, rows


@pytest.mark.parametrize("probabilities", [False, True])
def test_rows_below_are_marked_after_all_other_columns(
    probabilities: bool, weights: dict[str, Path], path: Path
) -> None:
    _, header, plain = predict(weights, path, probabilities=probabilities)
    threshold = sorted(float(row[4]) for row in plain)[20]  # of this row, which does not abstain
    prediction, marked_header, marked = predict(weights, path, probabilities=probabilities, min_confidence=threshold)
    assert marked_header == [*header, "abstained"]
    assert [row[:-1] for row in marked] == plain
    assert [row[-1] for row in marked] == [str(float(row[4]) < threshold) for row in plain]
    assert prediction.abstained_rows == 20

    truth = [label for (_, label), row in zip(ROWS, marked, strict=True) if row[-1] == "False"]
    answers = [int(row[2]) for row in marked if row[-1] == "False"]
    assert prediction.answered_evaluation is not None
    assert prediction.answered_evaluation.accuracy == pytest.approx(accuracy_score(truth, answers))
    assert prediction.answered_evaluation.macro_f1 == pytest.approx(f1_score(truth, answers, average="macro"))


def test_a_confidence_that_is_written_as_the_minimum_is_enough(weights: dict[str, Path], path: Path) -> None:
    _, _, plain = predict(weights, path)
    for threshold in sorted({float(row[4]) for row in plain})[:50:12]:
        prediction, *_ = predict(weights, path, min_confidence=threshold)
        assert prediction.abstained_rows == sum(float(row[4]) < threshold for row in plain)


@pytest.mark.parametrize(("threshold", "abstained"), [(0.0, 0), (1.0, 60)])
def test_no_row_or_all_rows_may_abstain(
    threshold: float, abstained: int, weights: dict[str, Path], path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prediction, _, rows = predict(weights, path, min_confidence=threshold)
    assert prediction.abstained_rows == abstained
    assert {row[-1] for row in rows} == {str(bool(abstained))}
    assert prediction.answered_evaluation is None
    print_prediction(prediction)
    assert f"{abstained} of 60 rows abstained" in capsys.readouterr().out


def test_without_labels_rows_abstain_too(weights: dict[str, Path], tmp_path: Path) -> None:
    path = write_csv(tmp_path / "in.csv", [("so sad", "")], ("text", "note"))
    prediction, *_ = predict(weights, path, min_confidence=1.0)
    assert (prediction.abstained_rows, prediction.evaluation) == (1, None)


def test_a_column_of_that_name_is_refused_only_where_it_is_added(weights: dict[str, Path], tmp_path: Path) -> None:
    path = write_csv(tmp_path / "in.csv", [("a", "b")], ("text", "abstained"))
    predict(weights, path)
    with pytest.raises(UserError, match="must not have a column 'abstained' yet, found it"):
        predict(weights, path, min_confidence=0.5)


def test_a_threshold_must_be_a_share() -> None:
    with pytest.raises(UserError, match=r"^min_confidence: must be a number >= 0 and <= 1 or null, found 1.5$"):
        predict_config(weights="w.pt", csv="c.csv", min_confidence=1.5)


def test_the_console_tells_the_scores_of_the_answered_rows(
    weights: dict[str, Path], path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prediction, _, rows = predict(weights, path)
    threshold = sorted(float(row[4]) for row in rows)[30]
    prediction, *_ = predict(weights, path, min_confidence=threshold)
    print_prediction(prediction)
    printed = capsys.readouterr().out
    assert prediction.answered_evaluation is not None
    assert "30 of 60 rows abstained" in printed
    assert f"the other rows: accuracy {prediction.answered_evaluation.accuracy:.4f}" in printed
