"""Predicting CSVs, compared with a plain transformers loop over one text at a time."""

import csv
import math
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from emotion import checkpoint, run_inference
from emotion.data import TextEncoder, open_csv
from emotion.errors import UserError
from emotion.models import Predictor
from emotion.prediction import predict_csv
from support.files import files_in, sample_rows, write_csv
from support.labels import EMOTION6
from support.prediction import MAX_LENGTH, TEXTS, predict_config, read_rows
from support.predictors import KINDS, NAMES, out_of_memory

ADDED = ["predicted_label", "predicted_emotion", "confidence", "empty_text", "truncated_text"]

pytestmark = pytest.mark.usefixtures("one_thread")


def reference_probabilities(kind: str, backbone: Path, weights: Path, texts: Sequence[str]) -> list[list[float]]:
    """(texts, 6), from the saved tensors in a model of transformers, one text at a time, without padding."""
    content = torch.load(weights, weights_only=True)
    config = AutoConfig.from_pretrained(backbone, num_labels=6)
    model = AutoModelForSequenceClassification.from_config(config).eval()
    model.load_state_dict(content["model_state_dict"], strict=True)
    tokenizer = AutoTokenizer.from_pretrained(backbone, **({"normalization": True} if kind == "bertweet" else {}))
    rows = []
    for text in texts:
        if kind == "cardiff":  # as its model card does
            words = ["@user" if t.startswith("@") and len(t) > 1 else t for t in text.split(" ")]
            text = " ".join("http" if t.startswith("http") else t for t in words)
        ids = tokenizer(text, truncation=True, max_length=MAX_LENGTH, return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            rows.append(model(input_ids=ids).logits[0].softmax(-1).tolist())
    return rows


def write_rows(path: Path, header: list[str], rows: Iterable[Sequence[object]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def write_texts(path: Path, texts: Sequence[str]) -> Path:
    return write_rows(path, ["text"], ([text] for text in texts))


@pytest.mark.parametrize("kind", KINDS)
def test_run_inference_equals_a_plain_loop(
    kind: str, weights: dict[str, Path], backbones: dict[str, Path], tmp_path: Path
):
    rows = [[f"0{i}", text, "x"] for i, text in enumerate(TEXTS)]
    path = write_rows(tmp_path / "input.csv", ["id", "text", "id"], rows)
    before = path.read_bytes()

    labels = run_inference(str(weights[kind]), str(path))

    expected = reference_probabilities(kind, backbones[kind], weights[kind], TEXTS)
    assert labels == [row.index(max(row)) for row in expected]
    assert len(set(labels)) >= 4, "a reference of one class proves little"
    assert all(type(label) is int for label in labels)
    assert path.read_bytes() == before
    assert files_in(tmp_path).keys() == {"input.csv", "input_predictions.csv"}

    header, *written = read_rows(tmp_path / "input_predictions.csv")
    assert header == ["id", "text", "id", *ADDED]
    assert [row[:3] for row in written] == rows
    assert [int(row[3]) for row in written] == labels
    assert [row[4] for row in written] == [EMOTION6.names[label] for label in labels]
    assert [float(row[5]) for row in written] == pytest.approx([max(row) for row in expected], abs=5e-4)
    assert [row[6] for row in written] == [str(not text.strip()) for text in TEXTS]


def test_texts_that_are_too_long_are_counted_and_marked(
    weights: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    path = write_texts(tmp_path / "input.csv", ["so happy", "so happy " * 200, "sad"])
    run_inference(str(weights["minilm"]), str(path))
    header, *rows = read_rows(tmp_path / "input_predictions.csv")
    assert [row[header.index("truncated_text")] for row in rows] == ["False", "True", "False"]
    assert f"input.csv: 1 texts have more than {MAX_LENGTH} tokens" in caplog.text


@pytest.mark.parametrize("escape", [True, False])
def test_formulas_are_kept_or_escaped(escape: bool, weights: dict[str, Path], tmp_path: Path):
    cells = ["=cmd|' /C calc'!A0", "+1", "-1", "@sum(a1)", "\tx", "plain = text", "", "'=1"]
    path = write_rows(tmp_path / "input.csv", ["text", "id"], [[cell, cell] for cell in cells])
    predict_csv(predict_config(weights=weights["minilm"], csv=path, escape_formulas=escape))
    _, *rows = read_rows(tmp_path / "input_predictions.csv")
    expected = [f"'{cell}" if escape and place < 5 else cell for place, cell in enumerate(cells)]
    assert [row[:2] for row in rows] == [[cell, cell] for cell in expected]


@pytest.mark.parametrize("change", ["shrinks", "is replaced", "gets other bytes"])
def test_a_csv_that_changes_while_it_is_read_is_refused(
    change: str, weights: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = write_texts(tmp_path / "input.csv", [f"text number {row}" for row in range(70_000)])
    predict = Predictor.predict_texts

    def meddling(self: Predictor, texts: Sequence[str], *_: Any) -> Any:
        if change == "shrinks":
            with path.open("r+b") as file:
                file.truncate(path.stat().st_size - 1000)
        elif change == "is replaced":
            write_texts(tmp_path / "other.csv", ["another"] * 70_000).replace(path)
        else:
            with path.open("r+b") as file:
                file.seek(path.stat().st_size - 1000)  # in the second chunk
                file.write(b"\xff\xfe" * 4)
        few = predict(self, texts[:4])
        return few._replace(probabilities=torch.full((len(texts), 6), 1 / 6), truncated=np.zeros(len(texts), bool))

    monkeypatch.setattr(Predictor, "predict_texts", meddling)
    with pytest.raises(UserError, match=r"input\.csv: must stay as it is while it is read"):
        predict_csv(predict_config(weights=weights["minilm"], csv=path))
    assert files_in(tmp_path).keys() <= {"input.csv", "other.csv"}


def test_rows_without_finite_logits_are_named_and_nothing_is_written(weights: dict[str, Path], tmp_path: Path):
    predictor = checkpoint.load(weights["minilm"])
    odd, plain = ({*row.tolist()} for row in predictor.encoder.encode(["zebra", "so sad"]))
    with torch.no_grad():
        predictor.torch_model.get_input_embeddings().weight[list(odd - plain)] = torch.nan
    checkpoint.save(predictor, tmp_path / "broken.pt")
    path = write_texts(tmp_path / "input.csv", ["so sad", "zebra", "so sad", "zebra zebra"])
    with pytest.raises(UserError, match=r"must give finite logits, found others for rows 3, 5 of .*input\.csv"):
        run_inference(str(tmp_path / "broken.pt"), str(path))
    assert files_in(tmp_path).keys() == {"broken.pt", "input.csv"}


def test_only_a_text_column_is_needed_and_empty_lines_are_rows(weights: dict[str, Path], tmp_path: Path):
    path = tmp_path / "only.text.csv"
    path.write_bytes('\ufefftext\r\nso happy\r\n\r\n""\r\nNone'.encode())
    labels = run_inference(str(weights["minilm"]), str(path))
    header, *rows = read_rows(tmp_path / "only.text_predictions.csv")
    assert header == ["text", *ADDED]
    assert [row[0] for row in rows] == ["so happy", "", "", "None"]
    assert [row[4] for row in rows] == ["False", "True", "True", "False"]
    assert len(labels) == 4
    assert labels[1] == labels[2]


def test_short_rows_are_predicted_as_empty_texts(weights: dict[str, Path], tmp_path: Path):
    path = tmp_path / "input.csv"
    path.write_text("id;text\n1;good\n2\n", encoding="utf-16")
    prediction = predict_csv(predict_config(weights=weights["minilm"], csv=path))
    assert prediction.empty_rows == 1
    assert [row[:2] for row in read_rows(prediction.output)[1:]] == [["1", "good"], ["2", ""]]


def test_batch_size_and_chunks_do_not_change_the_predictions(weights: dict[str, Path], tmp_path: Path):
    path = write_texts(tmp_path / "input.csv", TEXTS)
    results = {
        size: predict_csv(predict_config(weights=weights["minilm"], csv=path, batch_size=size)).labels
        for size in (1, 5, 500)
    }
    assert results[1] == results[5] == results[500]
    model = checkpoint.load(weights["minilm"])
    file = open_csv(path, ("text",))
    chunked = [label for frame in file.chunks(rows=7) for label in model.predict(file.column(frame, "text"))]
    assert chunked == results[1]


def test_more_rows_than_a_chunk_keep_their_order(weights: dict[str, Path], tmp_path: Path):
    texts = TEXTS[:10]
    rows = 65_536 + 25  # equal texts of a chunk are computed once, so this costs little
    path = write_rows(tmp_path / "input.csv", ["row", "text"], ([i, texts[i * i % 10]] for i in range(rows)))
    labels = run_inference(str(weights["minilm"]), str(path))
    once = run_inference(str(weights["minilm"]), str(write_texts(tmp_path / "once.csv", texts)))
    assert len(set(once)) > 1
    assert labels == [once[i * i % 10] for i in range(rows)]
    header, *written = read_rows(tmp_path / "input_predictions.csv")
    assert header == ["row", "text", *ADDED]
    assert [int(row[0]) for row in written] == list(range(rows))
    assert [int(row[2]) for row in written] == labels


def test_probabilities_and_another_output(weights: dict[str, Path], backbones: dict[str, Path], tmp_path: Path):
    path = write_rows(tmp_path / "input.csv", ["tweet", "note"], ([text, ""] for text in TEXTS))
    output = tmp_path / "new" / "folder" / "out.csv"
    config = predict_config(
        weights=weights["cardiff"], csv=path, output=output, probabilities=True, text_column="tweet", batch_size=7
    )
    prediction = predict_csv(config)
    assert prediction.output == output
    assert prediction.evaluation is None
    assert sorted(p.name for p in tmp_path.iterdir()) == ["input.csv", "new"]
    header, *rows = read_rows(output)
    assert header == ["tweet", "note", *ADDED, *(f"probability_{name}" for name in EMOTION6.names)]
    written = [[float(cell) for cell in row[7:]] for row in rows]
    expected = reference_probabilities("cardiff", backbones["cardiff"], weights["cardiff"], TEXTS)
    for row, wanted, label in zip(written, expected, prediction.labels, strict=True):
        assert row == pytest.approx(wanted, abs=5e-4)
        assert math.fsum(row) == pytest.approx(1, abs=1e-5)
        assert row.index(max(row)) == label


def test_a_label_column_gives_the_scores_that_sklearn_gives(weights: dict[str, Path], tmp_path: Path):
    rows = sample_rows("test", 80)
    # Numbers and names, mixed
    cells = [(text, EMOTION6.names[label].title() if i % 2 else label) for i, (text, label) in enumerate(rows)]
    prediction = predict_csv(predict_config(weights=weights["minilm"], csv=write_csv(tmp_path / "input.csv", cells)))
    truth = [label for _, label in rows]
    assert prediction.evaluation is not None
    assert prediction.evaluation.accuracy == pytest.approx(accuracy_score(truth, prediction.labels))
    assert prediction.evaluation.macro_f1 == pytest.approx(f1_score(truth, prediction.labels, average="macro"))
    assert read_rows(prediction.output)[2][:2] == [rows[1][0], EMOTION6.names[rows[1][1]].title()]


def test_a_row_without_a_valid_label_is_predicted_without_scores(
    weights: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    path = write_csv(tmp_path / "input.csv", [("a", 1), ("b", "unknown"), ("", 2)])
    prediction = predict_csv(predict_config(weights=weights["minilm"], csv=path))
    assert len(prediction.labels) == 3
    assert prediction.evaluation is None
    assert any("row 3 (the header is row 1) has no valid label" in message for message in caplog.messages)
    assert any("1 rows have no text" in message for message in caplog.messages)


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_predicts_without_its_backbone(kind: str, weights: dict[str, Path], tmp_path: Path):
    """The folder that it was trained from may be gone, as the file holds all that is needed."""
    content = torch.load(weights[kind], weights_only=True)
    assert content["model_name"] == NAMES[kind]
    content["model_id"] = str(tmp_path / "gone")
    torch.save(content, tmp_path / "moved.pt")
    path = write_texts(tmp_path / "input.csv", TEXTS)
    expected = run_inference(str(weights[kind]), str(path))
    assert run_inference(str(tmp_path / "moved.pt"), str(path)) == expected


def test_the_next_chunk_is_tokenised_while_this_one_is_predicted(
    originals: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = checkpoint.load(originals["minilm"])
    texts = [text for text, _ in sample_rows("test", 20)]
    expected = [model.predict_proba(texts[start : start + 8]) for start in (0, 8, 16)]
    threads: set[str] = set()
    encode = TextEncoder.encode

    def spied(self: TextEncoder, chunk: list[str]) -> list[Any]:
        threads.add(threading.current_thread().name)
        return encode(self, chunk)

    monkeypatch.setattr("emotion.models.predictor.CHUNK_TEXTS", 8)
    monkeypatch.setattr(TextEncoder, "encode", spied)
    assert torch.equal(model.predict_proba(texts), torch.cat(expected))
    assert threading.current_thread().name not in threads


def test_a_batch_that_is_too_large_is_refused_in_one_line(
    originals: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Predictor, "predict_texts", out_of_memory)
    csv = write_csv(tmp_path / "in.csv", [("a", 0)])
    with pytest.raises(UserError, match=r"^batch_size: must fit into this machine's memory, found 32"):
        run_inference(str(originals["minilm"]), str(csv))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv"]
