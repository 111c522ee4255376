"""Repeated and contradicting texts, against pandas; and a training without them."""

from pathlib import Path

import pandas as pd
import pytest

from emotion.config import compose_config, resolve
from emotion.data import EmotionDataModule, LabelledTexts, audit_splits, without_conflicts
from emotion.data.same_texts import repeats_between, repeats_within
from emotion.errors import UserError
from emotion.training import TrainConfig
from support.files import sample_rows, write_csv
from support.labels import EMOTION6

TRAIN = [("a", 0), (" a\n", 0), ("b", 1), ("b", 2), ("A", 3), ("", 4), (" ", 5), ("seen", 0), ("held", 1), ("b ", 1)]
VALIDATION = [("seen", 0), ("held", 2), ("new", 1), ("new", 1)]


def split(rows: list[tuple[str, int]]) -> LabelledTexts:
    return LabelledTexts("", "", [text for text, _ in rows], [label for _, label in rows], EMOTION6)


def test_a_text_is_the_same_but_for_white_space_at_its_ends() -> None:
    found = repeats_within("train", split(TRAIN))
    assert found.agreeing.rows == [{"train": [2, 3]}]
    assert found.conflicting.rows == [{"train": [4, 5, 11]}, {"train": [7, 8]}]
    assert found.conflicting.texts == 2
    assert found.conflicting.row_count("train") == 5
    assert [each.text for each in found.conflicting.examples] == ["b", ""]
    assert found.conflicting.examples[0].labels == {"train": {4: "joy", 5: "love", 11: "joy"}}


def test_texts_of_two_splits_are_told_by_their_labels() -> None:
    ((first, second, found),) = repeats_between({"train": split(TRAIN), "validation": split(VALIDATION)})
    assert (first, second) == ("train", "validation")
    assert found.agreeing.rows == [{"train": [9], "validation": [2]}]
    assert found.conflicting.rows == [{"train": [10], "validation": [3]}]


def test_all_copies_of_what_is_contradicted_are_left_out() -> None:
    kept = without_conflicts(split(TRAIN), split(VALIDATION))
    assert list(zip(kept.texts, kept.labels, strict=True)) == [("a", 0), (" a\n", 0), ("A", 3), ("seen", 0)]
    assert kept.csv_rows(range(4)) == [2, 3, 6, 9]
    assert len(without_conflicts(split(TRAIN)).texts) == 5


def test_the_counts_are_those_of_pandas() -> None:
    rows = [(text if place % 3 else "the same", label) for place, (text, label) in enumerate(sample_rows("train", 300))]
    frame = pd.DataFrame(rows, columns=["text", "label"])
    labels = frame.groupby(frame["text"].str.strip())["label"].agg(["size", "nunique"])
    found = repeats_within("train", split(rows))
    assert found.conflicting.texts == ((labels["size"] > 1) & (labels["nunique"] > 1)).sum() == 1
    assert found.agreeing.texts == ((labels["size"] > 1) & (labels["nunique"] == 1)).sum()
    assert found.conflicting.row_count("train") == 100


def test_training_leaves_out_what_the_audit_names(tmp_path: Path) -> None:
    csvs = {"train": TRAIN, "validation": VALIDATION}
    paths = {name: write_csv(tmp_path / f"{name}.csv", rows) for name, rows in csvs.items()}  # type: ignore[arg-type]
    given = [f"data.{name}={path}" for name, path in paths.items()]

    def read(*overrides: str) -> EmotionDataModule:
        config = resolve(compose_config("train", ["data=csv", *given, *overrides]), TrainConfig)
        return EmotionDataModule.read(config.data, EMOTION6, config.seed)

    whole, rest = read(), read("data.drop_conflicts=true")
    assert len(whole.train.texts) == 10
    assert whole.train.rows is None
    dropped = audit_splits({"train": whole.train, "validation": whole.validation}, 128).dropped_rows
    assert sorted([*dropped, *rest.train.csv_rows(range(len(rest.train.texts)))]) == list(range(2, 12))
    assert rest.train.sha256 == whole.train.sha256


def test_a_training_without_rows_is_refused(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "train.csv", [("x", 0), ("x", 1)])
    overrides = ["data=csv", f"data.train={path}", f"data.validation={path}", "data.drop_conflicts=true"]
    config = resolve(compose_config("train", overrides), TrainConfig)
    with pytest.raises(UserError, match=r"data\.drop_conflicts: must leave training rows, found 2 rows"):
        EmotionDataModule.read(config.data, EMOTION6, config.seed)
