"""Rows unlike the text that a model was fitted to, in a predicted CSV."""

import logging
from pathlib import Path

import numpy as np
import pytest

from emotion.checkpoint import load, save
from emotion.errors import UserError
from emotion.prediction import predict_csv
from emotion.scoring import calibrate_
from support.labels import EMOTION6
from support.prediction import predict_config, read_rows
from support.predictors import untrained
from support.unfamiliar import labelled, made_of

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def weights(backbones: dict[str, Path], tmp_path: Path) -> Path:
    """A model that was fitted to rows of a few letters."""
    predictor = untrained("minilm", backbones["minilm"])
    calibrate_(predictor, labelled(made_of("abcdefgh", 200, seed=0), EMOTION6))
    save(predictor, tmp_path / "model.pt")
    return tmp_path / "model.pt"


def predicted(weights: Path, texts: list[str], folder: Path) -> list[bool]:
    path = folder / "texts.csv"
    path.write_text("\n".join(["text", *texts]) + "\n", encoding="utf-8")
    found = predict_csv(predict_config(weights=weights, csv=path))
    header, *rows = read_rows(found.output)
    assert header[-1] == "unfamiliar"
    strange = [row[-1] == "True" for row in rows]
    assert found.unfamiliar_rows == sum(strange)
    return strange


def test_rows_beyond_the_limit_are_marked(weights: Path, tmp_path: Path) -> None:
    texts = [*made_of("abcdefgh", 20, seed=1), *made_of("stuvwxyz", 20, seed=1)]
    model = load(weights)
    features = model.features(texts)
    assert features is not None
    assert model.familiarity is not None
    expected = model.familiarity.distances(features) > model.familiarity.limit
    assert 0 < expected.sum() < 40
    np.testing.assert_array_equal(predicted(weights, texts, tmp_path), expected)


def test_one_line_warns_of_a_csv_that_is_unlike(
    weights: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        alike = predicted(weights, made_of("abcdefgh", 300, seed=2), tmp_path)
    assert sum(alike) < 30
    assert not caplog.messages
    with caplog.at_level(logging.WARNING):
        strange = predicted(weights, made_of("stuvwxyz", 300, seed=2), tmp_path)
    (message,) = caplog.messages
    share = round(100 * sum(strange) / 300)
    assert f"{share} % of the rows are unlike the text that MiniLM was fitted to (5 % would be usual)" in message


def test_a_few_strange_rows_are_no_reason_to_warn(
    weights: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    strange = made_of("stuvwxyz", 300, seed=2)
    marked = [
        text for text, is_strange in zip(strange, predicted(weights, strange, tmp_path), strict=True) if is_strange
    ]
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert all(predicted(weights, marked[:2], tmp_path))
    assert not caplog.messages


def test_a_column_of_that_name_is_not_lost(weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "texts.csv"
    path.write_text("text,unfamiliar\na b,mine\n", encoding="utf-8")
    with pytest.raises(UserError, match="must not have a column 'unfamiliar' yet"):
        predict_csv(predict_config(weights=weights, csv=path))
    assert not path.with_name("texts_predictions.csv").exists()


def test_a_model_that_cannot_tell_writes_no_column(backbones: dict[str, Path], tmp_path: Path) -> None:
    save(untrained("minilm", backbones["minilm"]), tmp_path / "model.pt")
    path = tmp_path / "texts.csv"
    path.write_text("text\na b\n", encoding="utf-8")
    found = predict_csv(predict_config(weights=tmp_path / "model.pt", csv=path))
    assert found.unfamiliar_rows is None
    assert "unfamiliar" not in found.output.read_text(encoding="utf-8")
