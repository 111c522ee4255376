"""The compression report: merging by technique, reports of other weights, ranking and its picture."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from emotion.errors import UserError
from emotion.reporting import (
    COMPRESSION_REPORT_NAME,
    CompressionReport,
    Variant,
    comparison_figure,
    is_our_figure,
    merge_compression,
    ranked,
    read_compression_report,
    save_figure,
    write_compression_report,
)
from support.compression_reports import compression_report, variant


def publish(report: CompressionReport, folder: Path) -> CompressionReport:
    """Do what a run does at its end; return the merged report."""
    merged = merge_compression(report, folder)
    write_compression_report(merged, folder)
    return merged


def test_a_report_survives_the_file(tmp_path: Path) -> None:
    assert read_compression_report(tmp_path) is None
    written = publish(compression_report({"prune": variant(60.0)}, failed={"onnx": "no onnxruntime"}), tmp_path)
    assert read_compression_report(tmp_path) == written
    assert [path.name for path in tmp_path.iterdir()] == [COMPRESSION_REPORT_NAME]
    content = json.loads((tmp_path / "compression_report.json").read_text())
    assert content["schema_version"] == 3
    assert content["baseline"] == "original"
    assert content["variants"]["prune"]["latency"]["batch_32"]["p50_ms"] == 32.0
    assert content["variants"]["prune"]["per_class"]["fear"]["recall"] == 1.0
    assert content["failed"] == {"onnx": "no onnxruntime"}


def test_variants_of_the_same_weights_and_data_are_merged_by_technique(tmp_path: Path) -> None:
    publish(compression_report({"prune": variant(60.0), "quantize": variant(30.0, 0.6)}), tmp_path)
    merged = publish(compression_report({"prune": variant(20.0), "half": variant(45.0)}), tmp_path)
    assert {name: each.size_mb for name, each in merged.variants.items()} == {
        "original": 90.0,
        "prune": 20.0,
        "quantize": 30.0,
        "half": 45.0,
    }
    assert merged.ranking.by_size == ["prune", "quantize", "half", "original"]
    assert merged.ranking.by_speed[-1] == "quantize"
    assert read_compression_report(tmp_path) == merged
    assert [path.name for path in tmp_path.iterdir()] == [COMPRESSION_REPORT_NAME]


@pytest.mark.parametrize("other", [{"weights": "other"}, {"data": "other"}])
def test_the_report_of_other_weights_or_data_is_kept_under_another_name(other: dict[str, str], tmp_path: Path) -> None:
    first = publish(compression_report({"prune": variant(60.0)}, failed={"quantize": "no bitsandbytes"}), tmp_path)
    bytes_of_first = (tmp_path / COMPRESSION_REPORT_NAME).read_bytes()
    second = publish(compression_report({"half": variant(45.0)}, **other), tmp_path)
    assert second.variants.keys() == {"original", "half"}
    assert second.failed == {}
    assert read_compression_report(tmp_path) == second
    (kept,) = (path for path in tmp_path.iterdir() if path.name != COMPRESSION_REPORT_NAME)
    assert kept.name == "compression_report.MiniLM.2030-01-01T00-00-00+00-00.json"
    assert kept.read_bytes() == bytes_of_first
    assert CompressionReport.model_validate_json(kept.read_bytes()) == first


def test_a_technique_that_failed_is_listed_until_it_succeeds(tmp_path: Path) -> None:
    failed = {"quantize": "no bitsandbytes", "onnx": "no onnxruntime"}
    publish(compression_report({"prune": variant()}, failed=failed), tmp_path)
    assert publish(compression_report({"half": variant()}), tmp_path).failed == failed
    merged = publish(compression_report({"quantize": variant()}, failed={"onnx": "still none"}), tmp_path)
    assert merged.failed == {"onnx": "still none"}
    assert merged.variants.keys() == {"original", "prune", "half", "quantize"}


def test_rankings_put_the_best_first() -> None:
    ranking = ranked(
        {
            "original": variant(90.0, 1.0, 0.91),
            "small": variant(10.0, 2.0, 0.85),
            "fast": variant(50.0, 8.0, 0.80),
            "good": variant(60.0, 0.5, 0.92),
        }
    )
    assert ranking.by_size == ["small", "fast", "good", "original"]
    assert ranking.by_speed == ["fast", "small", "original", "good"]
    assert ranking.by_macro_f1 == ["good", "original", "small", "fast"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("precious", "must be a JSON report of this program"),
        ("\x00\xff", "must be a JSON report of this program"),
        ("[1]", "must have schema_version 1 to 3, found None"),
        ('{"schema_version": 4}', "must have schema_version 1 to 3, found 4"),
        ('{"schema_version": 1, "variants": {}}', "model_name: Field required"),
        ('{"schema_version": 1, "variants": {"prune": {}}}', r"\w+: Field required"),
    ],
)
def test_a_file_that_is_no_report_is_refused_in_one_line_and_kept(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / COMPRESSION_REPORT_NAME
    path.write_text(text, encoding="latin-1")
    before = path.read_bytes()
    for use in (lambda: read_compression_report(tmp_path), lambda: publish(compression_report({}), tmp_path)):
        with pytest.raises(UserError, match=words) as caught:
            use()
        assert "\n" not in str(caught.value)
        assert str(caught.value).startswith(str(path))
        assert str(caught.value).endswith("move it away")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {COMPRESSION_REPORT_NAME: before}


@pytest.mark.parametrize(
    ("name", "value"),
    [("accuracy", 1.2), ("macro_f1", float("nan")), ("sparsity", -0.1), ("size_mb", 0.0), ("mcnemar_p", 2.0), ("x", 1)],
)
def test_the_schema_refuses_impossible_numbers_and_unknown_fields(name: str, value: float) -> None:
    with pytest.raises(ValidationError):
        Variant(**{**variant().model_dump(), name: value})


def test_the_picture_shows_each_variants_size_speed_and_score() -> None:
    report = compression_report({"prune": variant(66.0, 1.02, 0.88), "onnx_int8": variant(23.0, 3.5, 0.905)})
    figure = comparison_figure(report)
    figure.canvas.draw()
    sizes, speeds, scores = figure.axes
    assert [label.get_text() for label in sizes.get_yticklabels()] == ["original", "prune", "onnx_int8"]
    assert [bar.get_width() for bar in sizes.patches] == [90.0, 66.0, 23.0]
    assert [bar.get_width() for bar in speeds.patches] == [2.0, 2.04, 7.0, 1.0, 1.02, 3.5]
    assert [bar.get_width() for bar in scores.patches] == [0.9, 0.88, 0.905]
    assert [text.get_text() for text in sizes.texts] == ["90.0 MB (100%)", "66.0 MB (73%)", "23.0 MB (26%)"]
    assert [text.get_text() for text in speeds.texts] == ["2.00x", "2.04x", "7.00x", "1.00x", "1.02x", "3.50x"]
    assert [text.get_text() for text in scores.texts] == ["0.9000", "0.8800 (-2.00)", "0.9050 (+0.50)"]
    top, bottom = (sizes.patches[index].get_window_extent().y0 for index in (0, 2))
    assert top > bottom, "the original comes first"


@pytest.mark.parametrize("count", [0, 1, 14])
def test_the_picture_has_room_for_any_number_of_variants(count: int, tmp_path: Path) -> None:
    variants = {f"a_long_technique_name_{number}": variant(80.0 - number, 1.0 + number) for number in range(count)}
    figure = comparison_figure(compression_report(variants))
    figure.canvas.draw()
    for axes in figure.axes:
        boxes = [text.get_window_extent() for text in (*axes.texts, axes.title)]
        for number, box in enumerate(boxes):
            assert not any(box.overlaps(other) for other in boxes[:number]), "texts must not cover each other"
            assert box.x1 <= figure.bbox.x1
    save_figure(figure, tmp_path / "picture.png")
    assert is_our_figure(tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 5000
