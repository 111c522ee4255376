"""Label sets, and the cells of a label column."""

import pytest

from emotion.config import CONF
from emotion.config.labels import load_label_set
from emotion.errors import UserError
from emotion.labels import LabelSet, find_labels
from support.labels import EMOTION6

SENTIMENT = LabelSet(("negative", "Positive"))


def test_the_default_set_numbers_its_emotions_as_documented():
    assert load_label_set("emotion6").names == EMOTION6.names


@pytest.mark.parametrize("name", sorted(path.stem for path in (CONF / "labels").glob("*.yaml") if path.stem != "auto"))
def test_every_set_in_conf_is_usable(name: str):
    labels = load_label_set(name)
    assert all(labels.parse(each) == index for index, each in enumerate(labels.names))
    assert name.endswith(str(len(labels)))


@pytest.mark.parametrize(
    ("cell", "label"),
    [
        *((str(index), index) for index in range(6)),
        ("sadness", 0),
        ("surprise", 5),
        ("3.0", 3),
        ("5.000000000000000000e+00", 5),  # as numpy.savetxt writes it
        (" Joy ", 1),
        ("ANGER", 3),
        ("\t2\r\n", 2),
    ],
)
def test_an_index_or_a_name_is_a_label(cell: str, label: int):
    parsed = EMOTION6.parse(cell)
    assert parsed == label
    assert type(parsed) is int


@pytest.mark.parametrize(
    "cell",
    [
        "7",
        "6",
        "-1",
        "2.5",
        "0_1",
        "hapy",
        "",
        "   ",
        "nan",
        "inf",
        "-inf",
        "True",
        "None",
        "1 2",
        "1,0",
        "joy!",
        "1e99",
    ],
)
def test_anything_else_is_not_a_label(cell: str):
    assert EMOTION6.parse(cell) is None


@pytest.mark.parametrize("cell", ["joy, love", "[0, 2]", "anger;3", "1|2"])
def test_several_labels_are_recognised(cell: str):
    assert EMOTION6.holds_several(cell)


@pytest.mark.parametrize("cell", ["joy", "joy, happy", "", "3.0"])
def test_other_cells_do_not_hold_several(cell: str):
    assert not EMOTION6.holds_several(cell)


@pytest.mark.parametrize(
    ("cells", "names"),
    [
        (["1", "0", "2", "1"], ("0", "1", "2")),
        (["1.0", "0.0"], ("0", "1")),
        (["pos", "neg", "Pos "], ("neg", "pos")),
        (["Zorn", "angst", "Glück"], ("angst", "Glück", "Zorn")),
        (["喜", "怒"], ("喜", "怒")),
    ],
)
def test_the_set_of_labels_is_found_in_a_column(cells: list[str], names: tuple[str, ...]):
    assert find_labels(cells).names == names


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["0", "2"], "numbers must be 0 to 1 without a gap, found 0, 2"),
        (["1", "2"], "numbers must be 0 to 1 without a gap, found 1, 2"),
        (["0", "joy"], "must be all numbers or all names, found 'joy' in row 3"),
        (["joy", " "], "every row must have a label, found none in row 3"),
        (["joy", "love", "joy, love"], "every row must have one label, found 'joy, love' in row 4"),
        (["joy", "joy"], r"at least two names, found \['joy'\]"),
    ],
)
def test_a_column_without_a_clear_set_is_refused(cells: list[str], message: str):
    with pytest.raises(UserError, match=message):
        find_labels(cells)


@pytest.mark.parametrize(
    ("names", "colours", "message"),
    [
        (("joy",), (), "at least two names"),
        (("joy", "Joy "), (), "must differ in more than case, found 'Joy ' twice"),
        (("joy", " "), (), "must not be empty, found an empty name in place 1"),
        (("1", "0"), (), "a number must be in its own place, found 1 in place 0"),
        (("joy", "love"), ("#ffffff",), r"one colour a name \(2\), found 1"),
    ],
)
def test_unusable_names_are_refused(names: tuple[str, ...], colours: tuple[str, ...], message: str):
    with pytest.raises(UserError, match=message):
        LabelSet(names, colours)


def test_names_keep_their_spelling():
    assert SENTIMENT.names[SENTIMENT.parse("POSITIVE")] == "Positive"


def test_colours_are_given_by_name() -> None:
    colours = {"joy": "#e0a100", "fear": "#6b4fa0", "love": "#d4569a"}
    assert LabelSet.coloured(["fear", "joy"], colours) == LabelSet(("fear", "joy"), ("#6b4fa0", "#e0a100"))
    assert LabelSet.coloured(["fear", "hope"], colours) == LabelSet(("fear", "hope"))
    assert LabelSet.coloured(["fear", "joy"], None) == LabelSet(("fear", "joy"))
