"""Row-level predictions: what was written can be read, and other files are refused."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from emotion.errors import UserError
from emotion.reporting import Rows, is_rows, read_rows, write_rows

NAMES = ("calm, really", 'so "angry"', "怒")
PROBABILITIES = np.random.default_rng(0).dirichlet(np.ones(3), size=5).astype(np.float32)


def test_rows_survive_the_file(tmp_path: Path) -> None:
    labels = [2, 0, 1, 1, 0]
    write_rows(Rows(np.array(labels), PROBABILITIES, NAMES), tmp_path / "rows.csv")
    rows = read_rows(tmp_path / "rows.csv")
    assert rows.labels.tolist() == labels
    assert rows.names == NAMES
    np.testing.assert_array_equal(rows.probabilities.astype(np.float32), PROBABILITIES)
    frame = pd.read_csv(tmp_path / "rows.csv")
    assert frame["row"].tolist() == [2, 3, 4, 5, 6], "the header of the labelled CSV is row 1"
    assert frame["predicted_label"].tolist() == PROBABILITIES.argmax(1).tolist()


@pytest.mark.parametrize("text", ["", "row,label,predicted_label\n2,1,1\n", "text,label\na,1\n", "\x00\xff"])
def test_other_files_are_not_ours(text: str, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(text, encoding="latin-1")
    assert not is_rows(tmp_path / "rows.csv")
    with pytest.raises(UserError, match="must be row-level predictions of this program"):
        read_rows(tmp_path / "rows.csv")
