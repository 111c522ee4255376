"""The frontier and the compressed model that is published next to the original."""

import sys
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import to_hex

from emotion.checkpoint import content as content_of
from emotion.checkpoint import load, save, write
from emotion.compression import CompressConfig
from emotion.compression.results import CompressionResults, best_variant
from emotion.config import compose_config, resolve
from emotion.errors import UserError
from emotion.evaluation import Interval, MacroF1Difference
from emotion.files import sha256
from emotion.reporting import (
    CompressionReport,
    Rows,
    Variant,
    frontier_figure,
    is_our_figure,
    read_compression_report,
    read_json,
    read_rows,
    save_figure,
    write_rows,
)
from emotion.reporting.compression_plots import pareto_front
from support.compression_reports import compression_report, variant
from support.onnx_models import constant_logits
from support.predictors import untrained

VARIANTS = {
    "big_and_good": variant(80.0, 1.0, 0.91),
    "small": variant(20.0, 2.0, 0.896),
    "fast": variant(30.0, 5.0, 0.897),
    "smallest_but_worse": variant(10.0, 9.0, 0.85),
}


@pytest.mark.parametrize(
    ("max_drop", "prefer", "expected"),
    [
        (0.005, "size", "small"),
        (0.005, "speed", "fast"),
        (0.0, "size", "big_and_good"),
        (1.0, "size", "smallest_but_worse"),
    ],
)
def test_the_smallest_or_fastest_within_the_allowed_drop_is_best(max_drop: float, prefer: str, expected: str) -> None:
    assert best_variant(compression_report(VARIANTS), list(VARIANTS), max_drop, prefer) == expected


def test_speed_is_that_of_single_texts_and_of_batches() -> None:
    """The geometric mean: 3 x 3 beats 8 x 1 and 1 x 8."""
    speeds = {"even": (3.0, 3.0), "alone": (8.0, 1.0), "together": (1.0, 8.0)}
    variants = {
        name: variant().model_copy(update={"speedup_batch_1": alone, "speedup": together})
        for name, (alone, together) in speeds.items()
    }
    assert best_variant(compression_report(variants), list(variants), 1.0, "speed") == "even"


def test_the_frontier_shows_each_variant_at_its_values() -> None:
    report = compression_report({"prune": variant(60.0, 1.0, 0.88), "small": variant(9.0, 4.0, 0.91)})
    by_size, by_speed = frontier_figure(report).axes
    for axes, place in ((by_size, "size_ratio"), (by_speed, "speedup_batch_1")):
        points = {tuple(points.get_offsets()[0]) for points in axes.collections}
        assert points == {(getattr(v, place), report.points(name)) for name, v in report.variants.items()}
        assert {text.get_text() for text in axes.texts} == set(report.variants)
        _, front = axes.lines
        assert list(front.get_xdata()) == [getattr(report.variants["small"], place)], "it beats all others"
    assert by_size.xaxis_inverted()


def test_the_frontier_tells_apart_what_the_rows_can_tell_apart() -> None:
    """A point is hollow if the interval of its difference includes 0, and the interval is drawn."""
    worse, same = (variant(size, 1.0, score) for size, score in ((60.0, 0.87), (9.0, 0.895)))
    worse.difference = MacroF1Difference(-0.03, Interval(-0.05, -0.01), 0.01)
    same.difference = MacroF1Difference(-0.005, Interval(-0.02, 0.01), 0.01)
    by_size, _ = frontier_figure(compression_report({"worse": worse, "same": same})).axes
    marks = [each for each in by_size.collections if isinstance(each, PathCollection)]
    faces = {round(float(each.get_offsets()[0][1]), 6): to_hex(each.get_facecolor()[0]) for each in marks}
    assert faces[-0.5] == "#ffffff"
    assert "#ffffff" not in (faces[-3.0], faces[0.0])
    intervals = [each.get_segments()[0][:, 1] for each in by_size.collections if isinstance(each, LineCollection)]
    assert sorted(map(tuple, intervals)) == [pytest.approx((-5.0, -1.0)), pytest.approx((-2.0, 1.0))]


def test_a_variant_that_lost_everything_is_drawn_at_the_bottom_with_its_score() -> None:
    report = compression_report({"small": variant(9.0, 4.0, 0.88), "ruined": variant(60.0, 3.0, 0.08)})
    for axes in frontier_figure(report).axes:
        heights = sorted(float(points.get_offsets()[0][1]) for points in axes.collections)
        assert heights == pytest.approx([-7.0, -2.0, 0.0])
        assert {text.get_text() for text in axes.texts} == {"original", "small", "ruined (0.08)"}


def test_no_name_covers_another_or_a_point() -> None:
    crowd = {"prune": (80.0, 1.1, 0.84), "half": (46.0, 0.5, 0.855), "quantize": (36.0, 0.41, 0.86),
             "combined": (34.0, 0.38, 0.836), "onnx": (99.7, 2.0, 0.9), "onnx_int8": (24.0, 2.1, 0.899)}  # fmt: skip
    figure = frontier_figure(compression_report({name: variant(*values) for name, values in crowd.items()}))
    figure.draw_without_rendering()
    for axes in figure.axes:
        boxes = [text.get_window_extent() for text in axes.texts]
        points = [axes.transData.transform(each.get_offsets()[0]) for each in axes.collections]
        assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
        assert not any(box.contains(*point) for box in boxes for point in points)
        for text, box in zip(axes.texts, boxes, strict=True):
            assert box.x0 >= axes.transData.transform(text.xy)[0], "a name must begin to the right of its point"


def test_no_variant_is_best_if_none_is_good_enough() -> None:
    worse = compression_report({"worse": variant(1.0, 9.0, 0.5)})
    assert best_variant(worse, ["original", "worse"], 0.1, "size") is None, "the original is not a compressed model"
    assert best_variant(worse, ["worse"], 0.5, "size") == "worse"
    assert best_variant(worse, [], 0.5, "size") is None, "its file is gone"


def test_the_front_holds_the_variants_that_no_other_dominates() -> None:
    merits = {"a": 1.0, "b": 2.0, "c": 2.0, "d": 3.0, "e": 0.5, "f": 3.0}
    scores = {"a": 0.9, "b": 0.8, "c": 0.7, "d": 0.6, "e": 0.9, "f": 0.6}

    def beaten(name: str) -> bool:
        return any(
            merits[other] >= merits[name]
            and scores[other] >= scores[name]
            and (merits[other] > merits[name] or scores[other] > scores[name])
            for other in merits
        )

    front = pareto_front(merits, scores)
    assert {(merits[name], scores[name]) for name in front} == {
        (merits[name], scores[name]) for name in merits if not beaten(name)
    }
    assert [merits[name] for name in front] == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("suffix", ["png", "pdf"])
def test_the_frontier_is_drawn_in_a_file_that_is_recognised_as_ours(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"pareto_frontier.{suffix}"
    save_figure(frontier_figure(compression_report(VARIANTS)), path)
    assert path.stat().st_size > 5000
    assert is_our_figure(path)
    path.write_bytes(b"%PDF-1.4 of somebody else")
    assert not is_our_figure(path)


@pytest.fixture
def results(tmp_path: Path) -> CompressionResults:
    results = CompressionResults(tmp_path, "MiniLM")
    results.require_free([], may_choose=True)
    return results


def with_file(results: CompressionResults, backbone: Path, **variants: Variant) -> CompressionReport:
    """A report on variants whose file exists."""
    path = results.folder / "model.pt"
    save(untrained("minilm", backbone), path)
    return compression_report({n: v.model_copy(update={"sha256": sha256(path)}) for n, v in variants.items()})


def test_the_best_variant_is_copied_next_to_the_original(
    results: CompressionResults, backbones: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    report = with_file(results, backbones["minilm"], small=variant(20.0, 2.0, 0.896))
    stale = results.output_dir / "best_MiniLM_compressed.onnx"
    content = content_of(untrained("minilm", backbones["minilm"]))
    write({**content, "onnx_model": constant_logits(1, 6)}, stale)  # an earlier choice in another format
    published = results.publish(report, max_drop=0.005, prefer="size")
    assert published.chosen is not None
    assert published.chosen.variant == "small"
    published_file = results.output_dir / published.chosen.file
    assert published_file.name == "best_MiniLM_compressed.pt"
    assert published_file.read_bytes() == (results.folder / "model.pt").read_bytes()
    assert load(published_file).predict(["so happy"]) == load(results.folder / "model.pt").predict(["so happy"])
    assert not stale.exists()
    assert all(path.is_file() for path in (results.comparison, *results.frontier))
    later = results.publish(compression_report({"prune": variant(70.0)}), max_drop=None, prefer="size")
    assert later.chosen == published.chosen, "a run that makes no choice keeps the earlier one"
    assert "earlier" not in caplog.text
    again = results.publish(compression_report({"small": variant(21.0)}), max_drop=None, prefer="size")
    assert again.chosen is None, "the name now belongs to another model"
    assert f"{published_file} is an earlier run's choice" in caplog.text


def test_nothing_is_copied_if_all_variants_lose_too_much(
    results: CompressionResults, backbones: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    report = with_file(results, backbones["minilm"], small=variant(20.0, 2.0, 0.5))
    assert results.publish(report, max_drop=0.005, prefer="size").chosen is None
    assert "no variant is within max_drop=0.005" in caplog.text
    assert not list(results.output_dir.glob("best_*"))
    earlier = results.chosen(".pt")
    earlier.write_bytes((results.folder / "model.pt").read_bytes())
    results.publish(report, max_drop=0.005, prefer="size")
    assert f"{earlier} is an earlier run's choice" in caplog.text


def test_a_file_that_is_not_the_measured_one_is_not_copied(
    results: CompressionResults, backbones: dict[str, Path]
) -> None:
    report = with_file(results, backbones["minilm"], small=variant(20.0, 2.0, 0.896))
    other = untrained("minilm", backbones["minilm"])
    other.max_length = 9  # as after a run that stopped before it measured
    save(other, results.folder / "model.pt")
    assert results.publish(report, max_drop=0.005, prefer="size").chosen is None


def test_a_choice_in_onnx_does_not_stop_a_run_that_lacks_onnx_and_chooses_none(
    results: CompressionResults, backbones: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    content = content_of(untrained("minilm", backbones["minilm"]))
    write({**content, "onnx_model": constant_logits(1, 6)}, results.chosen(".onnx"))
    monkeypatch.setitem(sys.modules, "onnx", None)
    results.require_free([], may_choose=False)
    with pytest.raises(UserError, match="found no onnx: pip install"):
        results.require_free([], may_choose=True)


def rows_of(variants: Mapping[str, Variant], first: float) -> dict[str, dict[str, Rows]]:
    """Predictions of two rows of validation for each variant."""
    probabilities = np.array([[first, 1 - first], [1 - first, first]])
    return {name: {"validation": Rows(np.array([0, 1]), probabilities, ("calm", "cross"))} for name in variants}


def test_predictions_are_written_with_the_report(results: CompressionResults) -> None:
    report = compression_report({"small": variant(20.0)})
    published = results.publish(report, None, "size", rows_of(report.variants, 0.9))
    assert read_compression_report(results.folder) == published
    for name, each in published.variants.items():
        assert each.predictions is not None
        path = results.folder / each.predictions.file
        assert path == results.folder / "predictions" / f"MiniLM_{name}.csv"
        assert sha256(path) == each.predictions.sha256
        assert read_rows(path).probabilities.tolist() == [[0.9, 0.1], [0.1, 0.9]]


def test_a_report_set_aside_keeps_its_predictions(results: CompressionResults) -> None:
    first = compression_report({"small": variant(20.0)})
    results.publish(first, None, "size", rows_of(first.variants, 0.9))
    second = compression_report({"small": variant(20.0)}, weights="other")
    results.publish(second, None, "size", rows_of(second.variants, 0.6))
    (aside,) = results.folder.glob("compression_report.*.json")
    kept = read_json(aside, CompressionReport)
    for path, report, probability in ((aside, kept, 0.9), (None, read_compression_report(results.folder), 0.6)):
        assert report is not None, path
        for each in report.variants.values():
            assert each.predictions is not None
            rows = results.folder / each.predictions.file
            assert sha256(rows) == each.predictions.sha256
            assert read_rows(rows).probabilities[0, 0] == probability


def test_predictions_that_a_killed_process_replaced_are_not_taken_for_the_earlier_ones(
    results: CompressionResults,
) -> None:
    first = compression_report({"small": variant(20.0), "half": variant(45.0)})
    results.publish(first, None, "size", rows_of(first.variants, 0.9))
    write_rows(
        rows_of({"small": variant()}, 0.6)["small"]["validation"], results.folder / "predictions" / "MiniLM_small.csv"
    )
    second = compression_report({"prune": variant(60.0)})
    merged = results.publish(second, None, "size", rows_of(second.variants, 0.7))
    assert merged.variants["small"].predictions is None
    assert merged.variants["half"].predictions is not None


def test_predictions_that_were_edited_are_not_replaced(results: CompressionResults) -> None:
    report = compression_report({"prune": variant(60.0)})
    results.publish(report, None, "size", rows_of(report.variants, 0.9))
    chain = resolve(compose_config("compress", ["technique=prune"]), CompressConfig)
    results.require_free([chain], may_choose=True)
    path = results.folder / "predictions" / "MiniLM_prune.csv"
    path.write_text(path.read_text().replace("0.9", "0.8"))
    with pytest.raises(UserError, match=r"^output_dir: .*MiniLM_prune\.csv was changed or replaced since this program"):
        results.require_free([chain], may_choose=True)


@pytest.mark.parametrize(
    "name",
    [
        "best_MiniLM_compressed.pt",
        "best_MiniLM_compressed.onnx",
        "compression_results/MiniLM_prune.pt",
        "compression_results/visualizations/pareto_frontier.pdf",
    ],
)
def test_what_is_not_ours_is_not_replaced(name: str, results: CompressionResults) -> None:
    foreign = results.output_dir / name
    foreign.write_text("mine")
    chain = resolve(compose_config("compress", ["technique=prune"]), CompressConfig)
    with pytest.raises(UserError, match="was not written by this program"):
        results.require_free([chain], may_choose=True)
    assert foreign.read_text() == "mine"
