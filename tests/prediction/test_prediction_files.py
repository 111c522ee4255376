"""Predictions replace earlier ones, never an input or anybody else's file."""

from pathlib import Path

import pytest

from emotion import run_inference
from emotion.errors import UserError
from emotion.prediction import predict_csv
from support.files import files_in, write_csv
from support.prediction import predict_config, read_rows

pytestmark = pytest.mark.usefixtures("one_thread")


def test_our_earlier_output_is_replaced_and_nothing_else(weights: dict[str, Path], tmp_path: Path):
    path = write_csv(tmp_path / "input.csv", [("a", 1)])
    output = tmp_path / "input_predictions.csv"
    run_inference(str(weights["minilm"]), str(path))
    first = output.read_bytes()
    write_csv(path, [("a", 1), ("b", 2)])
    run_inference(str(weights["minilm"]), str(path))
    assert output.read_bytes() != first
    assert len(read_rows(output)) == 3

    corrected = output.read_bytes().replace(b"False", b"True")
    output.write_bytes(corrected)
    with pytest.raises(UserError, match=r"^output: .*_predictions\.csv was changed or replaced since this program"):
        run_inference(str(weights["minilm"]), str(path))
    assert output.read_bytes() == corrected
    assert files_in(tmp_path).keys() == {"input.csv", "input_predictions.csv"}
    output.unlink()
    run_inference(str(weights["minilm"]), str(path))  # the name is free again


@pytest.mark.parametrize(
    ("header", "is_ours"),
    [
        ("text,label,predicted_label,predicted_emotion,confidence,empty_text", True),
        ("text,predicted_label,predicted_emotion,confidence,empty_text,probability_a,probability_b", True),
        ("text,predicted_label", False),
        ("text,predicted_label,predicted_emotion,confidence,empty_text,my_notes", False),
        ("text,predicted_emotion,predicted_label,confidence,empty_text", False),
    ],
)
def test_an_output_of_a_version_without_notes_is_recognised_by_its_last_columns(
    header: str, is_ours: bool, weights: dict[str, Path], tmp_path: Path
) -> None:
    path, output = write_csv(tmp_path / "input.csv", [("a", 1)]), tmp_path / "input_predictions.csv"
    earlier = f"{header}\n{','.join('0' for _ in header.split(','))}\n"
    output.write_text(earlier, encoding="utf-8")
    if is_ours:
        run_inference(str(weights["minilm"]), str(path))
        assert read_rows(output)[1][0] == "a"
    else:
        with pytest.raises(UserError, match="exists and was not written by this program"):
            run_inference(str(weights["minilm"]), str(path))
        assert output.read_text(encoding="utf-8") == earlier


def test_a_failure_keeps_the_earlier_output(weights: dict[str, Path], tmp_path: Path):
    path = write_csv(tmp_path / "input.csv", [("a", 1)])
    run_inference(str(weights["minilm"]), str(path))
    before = (tmp_path / "input_predictions.csv").read_bytes()
    # The bad row comes after a first chunk, which is predicted and written by then
    path.write_text("text,label\n" + "a,1\n" * 65_600 + "b,2,surplus\n")
    with pytest.raises(UserError, match="found 3 in row 65602 "):
        run_inference(str(weights["minilm"]), str(path))
    assert (tmp_path / "input_predictions.csv").read_bytes() == before
    assert files_in(tmp_path).keys() == {"input.csv", "input_predictions.csv"}


@pytest.mark.parametrize("name", ["input.csv", "link.csv", "hard.csv", "weights.pt"])
def test_the_output_never_replaces_an_input(name: str, weights: dict[str, Path], tmp_path: Path):
    path = write_csv(tmp_path / "input.csv", [("a", 1)])
    (tmp_path / "link.csv").symlink_to(path)
    (tmp_path / "hard.csv").hardlink_to(path)
    (tmp_path / "weights.pt").write_bytes(weights["minilm"].read_bytes())
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    config = predict_config(weights=tmp_path / "weights.pt", csv=path, output=tmp_path / name)
    with pytest.raises(UserError, match=r"^output: (must be another file than csv|.* was not written by this program)"):
        predict_csv(config)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_an_earlier_output_is_not_predicted_again(weights: dict[str, Path], tmp_path: Path):
    run_inference(str(weights["minilm"]), str(write_csv(tmp_path / "input.csv", [("a", 1)])))
    with pytest.raises(UserError, match="must not have a column 'predicted_label' yet, found it"):
        run_inference(str(weights["minilm"]), str(tmp_path / "input_predictions.csv"))
    path = write_csv(tmp_path / "other.csv", [("a", 1)], ("text", "probability_sadness"))
    run_inference(str(weights["minilm"]), str(path))  # a clash only where the column is asked for
    with pytest.raises(UserError, match="must not have a column 'probability_sadness' yet"):
        predict_csv(predict_config(weights=weights["minilm"], csv=path, probabilities=True))
