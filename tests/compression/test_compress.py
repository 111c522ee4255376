"""Compression as a whole, on tiny models: deliverables, report and merging."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support

import emotion
import emotion_classifier
from emotion import compress_and_evaluate, run_inference
from emotion.config import compose_config
from emotion.reporting import CompressionReport, is_our_figure, read_rows
from support.compression_runs import ROWS, alone, digest, run
from support.files import files_in, write_csv
from support.labels import EMOTION6
from support.predictors import KINDS, NAMES

pytestmark = pytest.mark.usefixtures("one_thread")


def assert_is_what_the_file_predicts(variant: Any, labels: Sequence[int], original: Sequence[int]) -> None:
    """Compare the report's scores with scores of the labels that the file predicts."""
    truth = [label for _, label in ROWS]
    assert variant.accuracy == pytest.approx(accuracy_score(truth, labels))
    assert variant.macro_f1 == pytest.approx(f1_score(truth, labels, average="macro"))
    columns = precision_recall_fscore_support(truth, labels, labels=range(6), zero_division=0)
    for name, *expected in zip(EMOTION6.names, *columns, strict=True):
        scores = variant.per_class[name]
        assert [scores.precision, scores.recall, scores.f1, scores.support] == pytest.approx(expected)
    assert variant.agreement_with_original == sum(map(int.__eq__, labels, original)) / len(ROWS)
    right = [(a == label, b == label) for label, a, b in zip(truth, labels, original, strict=True)]
    gained, lost = right.count((True, False)), right.count((False, True))
    assert variant.mcnemar_p == pytest.approx(binomtest(gained, gained + lost).pvalue if gained + lost else 1)


@pytest.mark.parametrize("kind", KINDS)
def test_all_writes_deliverables_that_predict_what_the_report_says(
    kind: str, originals: dict[str, Path], csv: Path, tmp_path: Path
) -> None:
    name, out = NAMES[kind], tmp_path / "out"
    before = originals[kind].read_bytes()
    run(f"weights={originals[kind]}", f"data.validation={csv}", f"output_dir={out}", "technique=all")
    assert originals[kind].read_bytes() == before

    results = out / "compression_results"
    paths = {"original": originals[kind]}
    paths |= {each: results / f"{name}_{each}.pt" for each in ("prune", "quantize", "combined")}
    pictures = {f"visualizations/{each}" for each in ("compression_comparison.png", "pareto_frontier.png",
                                                      "pareto_frontier.pdf")}  # fmt: skip
    deliverables = {path.name for each, path in paths.items() if each != "original"}
    evidence = {f"predictions/{name}_{each}.csv" for each in paths}
    assert files_in(results).keys() == {*deliverables, *pictures, *evidence, "compression_report.json"}
    assert all(is_our_figure(results / picture) for picture in pictures)

    report = CompressionReport.model_validate_json((results / "compression_report.json").read_bytes())
    assert (report.schema_version, report.model_name, report.baseline) == (3, name, "original")
    assert (report.weights.path, report.weights.sha256) == (str(originals[kind]), digest(originals[kind]))
    assert (report.data.path, report.data.sha256, report.data.rows) == (str(csv), digest(csv), len(ROWS))
    assert report.variants.keys() == paths.keys()
    assert report.failed == {}

    # These models have no backbone on the hub or in a folder, so the file must hold all that is needed.
    labels = {each: run_inference(str(path), str(csv)) for each, path in paths.items()}
    assert len(set(labels["original"])) > 3
    assert labels["prune"] != labels["original"], "otherwise the scores below prove little"
    for each, variant in report.variants.items():
        assert_is_what_the_file_predicts(variant, labels[each], labels["original"])
        assert (variant.file, variant.sha256) == (paths[each].name, digest(paths[each]))
        assert variant.size_mb == paths[each].stat().st_size / 1e6
        assert variant.size_ratio == pytest.approx(paths[each].stat().st_size / len(before))
        assert variant.device == "cpu"
        assert variant.predictions is not None
        assert variant.predictions.file == f"predictions/{name}_{each}.csv"
        assert variant.predictions.sha256 == digest(results / variant.predictions.file)
        rows = read_rows(results / variant.predictions.file)
        assert rows.labels.tolist() == [label for _, label in ROWS]
        assert rows.probabilities.argmax(1).tolist() == labels[each]


def test_frontier_makes_each_of_its_models_and_the_smallest_that_is_as_good(
    originals: dict[str, Path], csv: Path, tmp_path: Path
) -> None:
    """As it is shipped, but for the length of the trainings and the depth of students: the original has two layers."""
    out = tmp_path / "out"
    overrides = ["distill.max_epochs=1", "drop_layers.keep=1", f"data.train={csv}", "max_drop=1", "rounds=1"]
    run(
        f"weights={originals['minilm']}",
        f"data.validation={csv}",
        f"output_dir={out}",
        "technique=frontier",
        *overrides,
    )
    results = out / "compression_results"
    report = CompressionReport.model_validate_json((results / "compression_report.json").read_bytes())
    assert report.failed == {}
    students = {"small", "tiny", "micro", "static"}
    assert report.variants.keys() == {"original", "quantize", "onnx", "onnx_int8", *students}
    original = run_inference(str(originals["minilm"]), str(csv))
    for name, variant in report.variants.items():
        if name != "original":
            assert variant.file is not None
            labels = run_inference(str(results / variant.file), str(csv))
            assert_is_what_the_file_predicts(variant, labels, original)
    smallest = min(report.variants.values(), key=lambda variant: variant.size_mb)
    (best,) = out.glob("best_MiniLM_compressed.*")
    assert digest(best) == smallest.sha256
    assert compose_config("compress", ["technique=frontier"]).max_drop == 0.005


def test_the_report_gives_size_speed_and_sparsity(weights: Path, csv: Path) -> None:
    report = run(f"weights={weights}", f"data.validation={csv}")
    variants = report.variants
    original = variants["original"]
    for variant in variants.values():
        for batch in (variant.latency.batch_1, variant.latency.batch_32):
            assert 0 < batch.p50_ms <= batch.p90_ms <= batch.p99_ms
        assert variant.latency_ms_per_sample == pytest.approx(variant.latency.batch_32.p50_ms / 32)
        assert variant.speedup == pytest.approx(original.latency.batch_32.p50_ms / variant.latency.batch_32.p50_ms)
        speedup = original.latency.batch_1.p50_ms / variant.latency.batch_1.p50_ms
        assert variant.speedup_batch_1 == pytest.approx(speedup)
    assert (original.speedup, original.speedup_batch_1, original.size_ratio) == (1, 1, 1)
    assert (original.agreement_with_original, original.mcnemar_p) == (1, 1)

    content = torch.load(weights, weights_only=True)["model_state_dict"]
    linear = [value for name, value in content.items() if name.endswith("weight") and ".layer." in name]
    matrices = sum(value.numel() for value in linear if value.ndim == 2)
    head = sum(content[name].numel() for name in content if name.startswith(("bert.pooler", "classifier")))
    everything = sum(value.numel() for value in content.values())
    assert original.memory_mb == pytest.approx(4 * everything / 1e6, rel=0.02)
    assert variants["prune"].memory_mb == original.memory_mb
    int8 = (matrices + 2 * (everything - matrices - head) + 4 * head) / 1e6
    assert variants["quantize"].memory_mb == pytest.approx(int8, rel=0.05)
    saved_by_zeros = 0.3 * 4 * matrices - math.ceil(matrices / 8)
    distances = 4 * (32 * 32 + 6 * 32)  # of texts from validation's, which this original has none of
    expected = original.size_mb + (distances - saved_by_zeros) / 1e6
    assert variants["prune"].size_mb == pytest.approx(expected, abs=12 * 500 / 1e6)
    assert variants["quantize"].size_ratio < 0.65
    assert variants["combined"].size_mb < 1.02 * variants["quantize"].size_mb

    zeros = sum(int((value == 0).sum()) for value in content.values())  # the padding's embedding
    assert (original.sparsity, original.sparsity_total) == (0, zeros / everything)
    assert variants["prune"].sparsity == pytest.approx(0.3, abs=2e-3)
    assert variants["prune"].sparsity_total == pytest.approx((0.3 * matrices + zeros) / everything, abs=1e-4)
    assert variants["quantize"].sparsity < 0.1  # weights that round to zero
    assert 0.298 < variants["combined"].sparsity < 0.4
    assert [variants[name].steps for name in ("original", "prune", "quantize", "combined")] == [
        [],
        ["prune"],
        ["quantize"],
        ["prune", "quantize"],
    ]
    assert variants["combined"].settings == {
        "prune": {"amount": 0.3, "scope": "layer", "include_head": False},
        "quantize": {"threshold": 6.0},
    }
    metadata = torch.load(weights.parent / "compression_results" / "MiniLM_combined.pt", weights_only=True)["metadata"]
    assert metadata["compression"] == {"technique": "combined", "settings": variants["combined"].settings}
    assert metadata["accuracy"] == 0.5, "what the original recorded"
    assert report.ranking.by_size == sorted(variants, key=lambda name: variants[name].size_mb)
    assert report.ranking.by_macro_f1[0] == max(variants, key=lambda name: variants[name].macro_f1)


def test_overrides_apply_to_each_technique_and_the_head_can_be_pruned(weights: Path, csv: Path) -> None:
    variants = run(
        f"weights={weights}",
        f"data.validation={csv}",
        "technique.techniques=[prune,half]",
        "prune.amount=0.5",
        "prune.include_head=true",
        "prune.scope=global",
        "half.dtype=bfloat16",
    ).variants
    assert variants["prune"].sparsity == pytest.approx(0.5, abs=2e-3)
    assert variants["prune"].settings["prune"] == {"amount": 0.5, "scope": "global", "include_head": True}
    state = torch.load(weights.parent / "compression_results" / "MiniLM_prune.pt", weights_only=True)
    assert "bert.pooler.dense.weight" in state["sparse_state_dict"]
    assert variants["half"].settings == {"half": {"dtype": "bfloat16"}}
    state = torch.load(weights.parent / "compression_results" / "MiniLM_half.pt", weights_only=True)
    assert state["model_state_dict"]["bert.embeddings.word_embeddings.weight"].dtype == torch.bfloat16


def test_a_static_student_of_a_mean_alone_has_no_layers_to_count_zeros_in(weights: Path, csv: Path) -> None:
    steps = ["technique=prune", "technique.name=mean", "technique.steps=[static,distill]", "static.filters=0"]
    small = ["static.hidden_size=4", "static.head_size=4", "distill.max_epochs=1", f"data.train={csv}"]
    variant = run(f"weights={weights}", f"data.validation={csv}", *steps, *small).variants["mean"]
    assert variant.sparsity == 0
    labels = run_inference(str(weights.parent / "compression_results" / "MiniLM_mean.pt"), str(csv))
    assert variant.accuracy == pytest.approx(accuracy_score([label for _, label in ROWS], labels))


def test_settings_that_no_step_reads_are_told_and_not_recorded(
    weights: Path, csv: Path, caplog: pytest.LogCaptureFixture
) -> None:
    unused = ["onnx.embedding_bits=4", "distill.max_epochs=2"]
    report = run(f"weights={weights}", f"data.validation={csv}", "technique=onnx", *unused)
    assert report.variants["onnx"].settings == {"onnx": {}}
    told = [record.message for record in caplog.records if "changes nothing" in record.message]
    assert told == [
        "onnx.embedding_bits: changes nothing, as no step that is done reads it",
        "distill.max_epochs: changes nothing, as no step that is done reads it",
    ]
    caplog.clear()
    run(f"weights={weights}", f"data.validation={csv}", "technique.techniques=[prune,half]", "half.dtype=bfloat16")
    assert "changes nothing" not in caplog.text


def test_a_later_run_merges_by_technique_and_other_data_start_a_new_report(
    weights: Path, csv: Path, tmp_path: Path
) -> None:
    results = weights.parent / "compression_results"
    options = f"weights={weights}", f"data.validation={csv}"
    first = run(*options, "technique=prune")
    second = run(*options, "technique=half")
    assert second.variants.keys() == {"original", "prune", "half"}
    assert alone(second.variants["prune"]) == alone(first.variants["prune"])
    third = run(*options, "technique=prune", "prune.amount=0.6")
    assert alone(third.variants["half"]) == alone(second.variants["half"])
    assert third.variants["prune"].sparsity == pytest.approx(0.6, abs=2e-3)
    assert third.variants["prune"].sha256 == digest(results / "MiniLM_prune.pt") != first.variants["prune"].sha256
    kept = json.loads((results / "compression_report.json").read_bytes())

    other = write_csv(tmp_path / "other.csv", ROWS[:40])
    fourth = run(options[0], f"data.validation={other}", "technique=half")
    assert fourth.variants.keys() == {"original", "half"}
    assert fourth.data.rows == 40
    reports = [path for path in results.glob("compression_report*.json") if path.name != "compression_report.json"]
    (aside,) = (json.loads(path.read_bytes()) for path in reports)
    for variant in aside["variants"].values():
        assert digest(results / variant["predictions"]["file"]) == variant["predictions"]["sha256"]
    for content in (aside, kept):
        for variant in content["variants"].values():
            del variant["predictions"]["file"]  # the predictions of the earlier report were renamed
    assert aside == kept


def test_compress_and_evaluate_is_the_public_function(weights: Path, csv: Path) -> None:
    report = compress_and_evaluate(str(weights), str(csv), technique="half")
    assert json.loads((weights.parent / "compression_results" / "compression_report.json").read_text()) == report
    assert report["variants"].keys() == {"original", "half"}
    assert emotion.compress_and_evaluate is emotion_classifier.compress_and_evaluate is compress_and_evaluate
