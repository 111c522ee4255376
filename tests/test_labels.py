"""Cells of a label column."""

import pytest

from emotion.labels import EMOTIONS, parse_label


def test_the_emotions_stand_in_the_order_of_their_indices():
    assert EMOTIONS == ("sadness", "joy", "love", "anger", "fear", "surprise")


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
    parsed = parse_label(cell)
    assert parsed == label
    assert type(parsed) is int


@pytest.mark.parametrize(
    "cell",
    ["7", "6", "-1", "2.5", "hapy", "", "   ", "nan", "inf", "-inf", "True", "False", "None", "1 2", "1,0", "joy!"],
)
def test_anything_else_is_none(cell: str):
    assert parse_label(cell) is None
