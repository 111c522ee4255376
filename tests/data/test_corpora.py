"""Several labelled CSVs as one split."""

import logging
from pathlib import Path

import numpy as np
import pytest

from emotion.config import compose_config, resolve
from emotion.data import corpus_weights, named_csvs, read_corpora
from emotion.errors import UserError
from emotion.labels import LabelSet
from emotion.training import TrainConfig
from support.files import write_csv

LABELS = LabelSet(("sadness", "joy"))
COLUMNS = "text", "label"
KEY = "data.train"


@pytest.fixture
def paths(tmp_path: Path) -> dict[str, str]:
    """Three rows at home, one on reddit."""
    home = write_csv(tmp_path / "home.csv", [("a", 0), ("b", 1), ("c", 1)])
    reddit = write_csv(tmp_path / "reddit.csv", [("d", "joy")])
    return {"home": str(home), "reddit": str(reddit)}


def test_rows_are_held_together_and_each_knows_its_csv(paths: dict[str, str]) -> None:
    data = read_corpora(paths, *COLUMNS, LABELS, KEY)
    assert (data.texts, data.labels) == (["a", "b", "c", "d"], [0, 1, 1, 1])
    assert data.path == f"{paths['home']}, {paths['reddit']}"
    assert data.csv_rows(range(4)) == [2, 3, 4, 2]
    alone = read_corpora({"reddit": paths["reddit"]}, *COLUMNS, LABELS, KEY)
    part = data.parts()["reddit"]
    assert (part.texts, part.path, part.sha256, part.corpora) == (["d"], alone.path, alone.sha256, ())
    assert alone.parts() == {}
    chosen = data.chosen([3, 0])
    assert {name: each.texts for name, each in chosen.parts().items()} == {"home": ["a"], "reddit": ["d"]}


def test_the_digest_is_of_all_csvs_in_their_order(paths: dict[str, str]) -> None:
    first = read_corpora(paths, *COLUMNS, LABELS, KEY).sha256
    other_order = dict(reversed(paths.items()))
    assert read_corpora(other_order, *COLUMNS, LABELS, KEY).sha256 != first
    write_csv(Path(paths["reddit"]), [("d", "sadness")])
    assert read_corpora(paths, *COLUMNS, LABELS, KEY).sha256 != first


@pytest.mark.parametrize(
    ("mixing", "shares"),
    [("equal", [0.5, 0.5]), (2.0, [3**0.5, 1.0]), (float("inf"), [0.5, 0.5]), ({"home": 1.0, "reddit": 3.0}, [1, 3])],
)
def test_each_csv_has_its_share_of_the_loss(paths: dict[str, str], mixing: object, shares: list[float]) -> None:
    weights = corpus_weights(read_corpora(paths, *COLUMNS, LABELS, KEY), mixing)  # type: ignore[arg-type]
    assert weights is not None
    assert weights.mean() == pytest.approx(1)
    assert len(set(weights[:3])) == 1
    np.testing.assert_allclose([weights[:3].sum() / 4, weights[3] / 4], np.array(shares) / sum(shares), rtol=1e-6)


def test_rows_are_named_in_words(paths: dict[str, str]) -> None:
    data = read_corpora(paths, *COLUMNS, LABELS, KEY)
    expected = f"rows 2, 4 of {paths['home']} and row 2 of {paths['reddit']} (the header is row 1)"
    assert data.places([0, 3, 2]) == expected
    assert data.places([]) == f"no row of {data.path}"
    assert data.parts()["home"].places([1]) == f"row 3 of {paths['home']} (the header is row 1)"


def test_a_map_to_no_class_is_refused_by_its_name(paths: dict[str, str]) -> None:
    with pytest.raises(UserError, match=r"^data\.map: must lead to .*sadness, joy.*, found 'glee'"):
        read_corpora(paths, *COLUMNS, LABELS, KEY, {"happiness": "glee"})


@pytest.mark.parametrize("mixing", ["proportional", 1.0])
def test_rows_count_the_same_by_default(paths: dict[str, str], mixing: object) -> None:
    assert corpus_weights(read_corpora(paths, *COLUMNS, LABELS, KEY), mixing) is None  # type: ignore[arg-type]


def test_weights_of_other_names_are_refused(paths: dict[str, str]) -> None:
    data = read_corpora(paths, *COLUMNS, LABELS, KEY)
    with pytest.raises(
        UserError, match=r"data\.mixing: must have a weight for each CSV of data\.train \(home, reddit\)"
    ):
        corpus_weights(data, {"home": 1.0})


def test_contradictions_between_csvs_and_absent_classes_are_told(
    paths: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    write_csv(Path(paths["reddit"]), [("a", 1), ("b", 1)])
    with caplog.at_level(logging.WARNING):
        read_corpora(paths, *COLUMNS, LABELS, KEY)
    assert "1 texts are in both with different labels" in caplog.text
    assert f"{paths['reddit']}: no row of sadness" in caplog.text


def test_other_names_of_classes_need_a_map(paths: dict[str, str]) -> None:
    write_csv(Path(paths["reddit"]), [("d", "Happiness"), ("e", "sadness")])
    with pytest.raises(UserError, match="must hold 0-1 or one of sadness, joy, found 'Happiness' in row 2"):
        read_corpora(paths, *COLUMNS, LABELS, KEY)
    data = read_corpora(paths, *COLUMNS, LABELS, KEY, {"happiness": "joy"})
    assert data.labels == [0, 1, 1, 1, 0]


def test_names_are_those_of_the_files_or_given() -> None:
    assert named_csvs("x/a.csv", KEY) == {"a": "x/a.csv"}
    assert named_csvs(["x/a.csv", "b.csv"], KEY) == {"a": "x/a.csv", "b": "b.csv"}
    assert named_csvs({"c": "x/a.csv"}, KEY) == {"c": "x/a.csv"}
    with pytest.raises(UserError, match=r"data\.train: must be files of different names, found a, a"):
        named_csvs(["x/a.csv", "y/a.csv"], KEY)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.mixing=often", "data.mixing: must be proportional, equal, a number >= 1 or a positive weight"),
        ("data.mixing=0.5", "data.mixing: must be"),
        ("data.mixing={a: 0, b: 1}", "data.mixing: must be"),
        ("data.train=[]", "data.train: must be a CSV, a list of CSVs or CSVs by name"),
        ("data.map={happiness: ''}", "data.map"),
        ("data.extra={validation-c: d.csv}", "data.extra: must have other names than the CSVs of validation"),
    ],
)
def test_wrong_settings_are_refused(override: str, message: str) -> None:
    composed = compose_config("train", ["data=csv", "data.train=[a.csv,b.csv]", "data.validation=c.csv", override])
    with pytest.raises(UserError) as raised:
        resolve(composed, TrainConfig)
    assert message in str(raised.value)
