"""Which texts are explained, and the command with its files."""

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from emotion import checkpoint
from emotion.config import compose_config, resolve
from emotion.errors import UserError
from emotion.evaluation import integrated_gradients, occlusion
from emotion.prediction import ExplainConfig, Explanation, explain
from support.command_server import Commands
from support.files import sample_rows, write_csv

pytestmark = pytest.mark.usefixtures("one_thread")
ROWS = sample_rows("test", 30)


def explained(originals: dict[str, Path], **values: object) -> Explanation:
    """What ``scripts/explain.py`` makes of the same options."""
    config = compose_config("explain", [])
    for key, value in {"weights": originals["minilm"], "accelerator": "cpu", **values}.items():
        config[key] = str(value) if isinstance(value, Path) else value
    return explain(resolve(config, ExplainConfig))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "in.csv", ROWS)


def give(lines: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines)))


def test_the_first_rows_are_explained(originals: dict[str, Path], path: Path) -> None:
    explanation = explained(originals, csv=path)
    predictor = checkpoint.load(originals["minilm"])
    assert [each.attribution for each in explanation.texts] == occlusion(predictor, [text for text, _ in ROWS[:10]])
    assert [(each.row, each.true_label) for each in explanation.texts] == [
        (row, label) for row, (_, label) in enumerate(ROWS[:10], start=2)
    ]
    few = explained(originals, csv=path, rows=2, method="integrated_gradients")
    assert [each.attribution for each in few.texts] == integrated_gradients(predictor, [text for text, _ in ROWS[:2]])
    assert len(explained(originals, csv=path, rows=1000).texts) == 30


def test_labels_are_optional_and_may_be_unknown(originals: dict[str, Path], tmp_path: Path) -> None:
    path = write_csv(tmp_path / "in.csv", [("a", "none"), ("b", "joy")])
    assert [each.true_label for each in explained(originals, csv=path).texts] == [None, 1]
    unlabelled = write_csv(tmp_path / "other.csv", [("a", "x")], ("text", "note"))
    assert [each.true_label for each in explained(originals, csv=unlabelled).texts] == [None]


def test_the_worst_mistakes_are_those_with_the_highest_confidence(originals: dict[str, Path], path: Path) -> None:
    explanation = explained(originals, csv=path, rows="worst")
    probabilities = checkpoint.load(originals["minilm"]).predict_proba([text for text, _ in ROWS])
    confidence, predicted = probabilities.max(dim=-1)
    mistakes = [place for place, (_, label) in enumerate(ROWS) if predicted[place] != label]
    assert len(mistakes) > 10
    expected = sorted(mistakes, key=lambda place: -float(confidence[place]))[:10]
    assert [each.row - 2 for each in explanation.texts] == expected
    assert [each.attribution.text for each in explanation.texts] == [ROWS[place][0] for place in expected]


def test_lines_of_standard_input_are_texts(originals: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    give('\ufeffsay "no", please\r\n\n  \n我爱你\nlast'.encode(), monkeypatch)
    texts = explained(originals).texts
    assert [(each.row, each.attribution.text) for each in texts] == [
        (1, 'say "no", please'),
        (4, "我爱你"),
        (5, "last"),
    ]
    give(b"one\ntwo\nthree", monkeypatch)
    assert len(explained(originals, rows=2).texts) == 2


@pytest.mark.parametrize(
    ("lines", "values", "message"),
    [
        (b"\n  \n", {}, "standard input: must hold a text in a line, found none"),
        (b"caf\xe9", {}, "standard input: must be text in UTF-8"),
        (b"", {"rows": "worst"}, "rows: worst needs a csv with labels, found standard input"),
        (b"", {"rows": "best"}, "rows: must be a whole number >= 1 or worst, found 'best'"),
        (b"", {"rows": 0}, "rows: must be a whole number >= 1 or worst, found 0"),
        (b"", {"method": "shap"}, "method: must be one of occlusion, integrated_gradients, found 'shap'"),
    ],
)
def test_what_cannot_be_explained_is_refused(
    lines: bytes, values: dict[str, object], message: str, originals: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    give(lines, monkeypatch)
    with pytest.raises(UserError, match=f"^{message}"):
        explained(originals, **values)


def test_a_csv_without_rows_labels_or_mistakes_is_refused(originals: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("text,note\n")
    with pytest.raises(UserError, match="must have at least one row, found only a header"):
        explained(originals, csv=path)
    with pytest.raises(UserError, match="must have one column 'label'"):
        explained(originals, csv=path, rows="worst")
    (label,) = checkpoint.load(originals["minilm"]).predict(["so sad"])
    write_csv(path, [("so sad", label)])
    with pytest.raises(UserError, match="worst needs a labelled row that is predicted wrongly, found none in"):
        explained(originals, csv=path, rows="worst")


def test_the_command_prints_and_writes_what_it_found(
    originals: dict[str, Path], path: Path, tmp_path: Path, commands: Commands
) -> None:
    options = [f"weights={originals['minilm']}", f"csv={path}", "output=out", "accelerator=cpu", "rows=3"]
    done = commands.run("explain", tmp_path, *options)
    assert (done.code, done.err) == (0, "")
    assert " ".join(ROWS[0][0].split())[:20] in " ".join(done.out.split())
    assert "for: " in done.out
    written = json.loads((tmp_path / "out" / "attributions.json").read_text(encoding="utf-8"))
    assert [each["text"] for each in written["texts"]] == [text for text, _ in ROWS[:3]]
    for each in written["texts"]:
        for word in each["words"]:
            assert each["text"][word["start"] : word["end"]] == word["word"]
    with Image.open(tmp_path / "out" / "explanation.png") as image:
        assert image.width == 1920

    Image.new("RGB", (3, 3)).save(tmp_path / "out" / "explanation.png")
    refused = commands.run("explain", tmp_path, *options)
    assert refused.code == 1
    assert "explanation.png exists and was not written by this program" in refused.err
