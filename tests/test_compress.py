"""Compression as a whole, on tiny models: deliverables, report, merging and failures."""

import hashlib
import json
import logging
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support

import emotion
import emotion_classifier
from conftest import KINDS, NAMES, files_in, sample_rows, write_csv
from emotion import compress_and_evaluate, run_inference
from emotion.compression import benchmark, steps
from emotion.compression.run import compress
from emotion.config import compose_config, resolve
from emotion.errors import UserError
from emotion.labels import EMOTIONS
from emotion.report.compression_schema import CompressionReport
from emotion.report.plots import is_our_figure
from emotion.report.schema import TrainingReport
from emotion.report.training_report import merge, write_report
from emotion.schemas.compress import CompressConfig
from emotion.training import train
from test_report import entry, run_record
from test_training import config_for

pytestmark = pytest.mark.usefixtures("one_thread")

ROWS = sample_rows("validation", 100)


@pytest.fixture(autouse=True)
def few_timings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "SINGLE_TEXTS", 6)
    monkeypatch.setattr(benchmark, "BATCHES", 2)


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "mine.csv", ROWS)


@pytest.fixture
def weights(originals: dict[str, Path], tmp_path: Path) -> Path:
    """MiniLM's checkpoint in a folder of its own."""
    (tmp_path / "out").mkdir()
    return Path(shutil.copy(originals["minilm"], tmp_path / "out"))


def run(*overrides: str) -> CompressionReport:
    """What ``scripts/compress.py`` does with the same options."""
    overrides = ("accelerator=cpu", "rounds=1", *overrides)
    return compress(resolve(compose_config("compress", list(overrides)), CompressConfig), overrides)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def assert_is_what_the_file_predicts(variant: Any, labels: Sequence[int], original: Sequence[int]) -> None:
    """The scores of the report, computed once more from the labels that a file gives."""
    truth = [label for _, label in ROWS]
    assert variant.accuracy == pytest.approx(accuracy_score(truth, labels))
    assert variant.macro_f1 == pytest.approx(f1_score(truth, labels, average="macro"))
    columns = precision_recall_fscore_support(truth, labels, labels=range(6), zero_division=0)
    for name, *expected in zip(EMOTIONS, *columns, strict=True):
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
    assert files_in(results).keys() == {*deliverables, *pictures, "compression_report.json"}
    assert all(is_our_figure(results / picture) for picture in pictures)

    report = CompressionReport.model_validate_json((results / "compression_report.json").read_bytes())
    assert (report.schema_version, report.model_name, report.baseline) == (1, name, "original")
    assert (report.weights.path, report.weights.sha256) == (str(originals[kind]), digest(originals[kind]))
    assert (report.data.path, report.data.sha256, report.data.rows) == (str(csv), digest(csv), len(ROWS))
    assert report.variants.keys() == paths.keys()
    assert report.failed == {}

    # No model here has a backbone on the hub or in a folder: all that is needed is in the file.
    labels = {each: run_inference(str(path), str(csv)) for each, path in paths.items()}
    assert len(set(labels["original"])) > 3
    assert labels["prune"] != labels["original"], "else the scores below prove little"
    for each, variant in report.variants.items():
        assert_is_what_the_file_predicts(variant, labels[each], labels["original"])
        assert (variant.file, variant.sha256) == (paths[each].name, digest(paths[each]))
        assert variant.size_mb == paths[each].stat().st_size / 1e6
        assert variant.size_ratio == pytest.approx(paths[each].stat().st_size / len(before))
        assert variant.device == "cpu"


def test_the_report_tells_size_speed_and_sparsity(weights: Path, csv: Path) -> None:
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
    assert variants["prune"].size_mb == pytest.approx(original.size_mb - saved_by_zeros / 1e6, abs=12 * 500 / 1e6)
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


def test_overrides_hold_for_each_technique_and_a_pruned_head_counts(weights: Path, csv: Path) -> None:
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


def test_a_later_run_merges_by_technique_and_other_data_begin_anew(weights: Path, csv: Path, tmp_path: Path) -> None:
    results = weights.parent / "compression_results"
    options = f"weights={weights}", f"data.validation={csv}"
    first = run(*options, "technique=prune")
    second = run(*options, "technique=half")
    assert second.variants.keys() == {"original", "prune", "half"}
    assert second.variants["prune"] == first.variants["prune"]
    third = run(*options, "technique=prune", "prune.amount=0.6")
    assert third.variants["half"] == second.variants["half"]
    assert third.variants["prune"].sparsity == pytest.approx(0.6, abs=2e-3)
    assert third.variants["prune"].sha256 == digest(results / "MiniLM_prune.pt") != first.variants["prune"].sha256
    kept = (results / "compression_report.json").read_bytes()

    other = write_csv(tmp_path / "other.csv", ROWS[:40])
    fourth = run(options[0], f"data.validation={other}", "technique=half")
    assert fourth.variants.keys() == {"original", "half"}
    assert fourth.data.rows == 40
    reports = [path for path in results.glob("compression_report*.json") if path.name != "compression_report.json"]
    assert [path.read_bytes() for path in reports] == [kept]


def test_compress_and_evaluate_is_the_public_function(weights: Path, csv: Path) -> None:
    report = compress_and_evaluate(str(weights), str(csv), technique="half")
    assert json.loads((weights.parent / "compression_results" / "compression_report.json").read_text()) == report
    assert report["variants"].keys() == {"original", "half"}
    assert emotion.compress_and_evaluate is emotion_classifier.compress_and_evaluate is compress_and_evaluate
    with pytest.raises(UserError, match=r"technique/nope.*combined.*prune.*quantize"):
        compress_and_evaluate(str(weights), str(csv), technique="nope")


def test_without_weights_the_best_of_the_training_report_is_taken(
    originals: dict[str, Path], csv: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="emotion")
    out = tmp_path / "out"
    out.mkdir()
    options = f"output_dir={out}", f"data.validation={csv}", "technique=half"
    with pytest.raises(UserError, match=r"^weights: must be given where there is no report of a training, found no"):
        run(*options)
    training = TrainingReport()
    for kind, macro_f1 in (("minilm", 0.7), ("cardiff", 0.8), ("modernbert", 0.6)):
        shutil.copy(originals[kind], out)
        record = run_record(NAMES[kind], macro_f1)
        merge(training, record, entry(record))
    write_report(training, out)
    report = run(*options)
    assert report.model_name == "CardiffRoBERTa"
    assert report.weights.path == str(out / "best_CardiffRoBERTa.pt")
    assert (out / "compression_results" / "CardiffRoBERTa_half.pt").is_file()
    assert f"compressing best_CardiffRoBERTa.pt, the best of {out}" in caplog.text
    (out / "best_CardiffRoBERTa.pt").unlink()
    with pytest.raises(UserError, match=r"^weights: must be a checkpoint file, found no file at .*best_CardiffRoBERTa"):
        run(*options)


def test_without_data_the_recorded_csv_is_taken_while_it_is_the_same(
    backbones: dict[str, Path], originals: dict[str, Path], tmp_path: Path
) -> None:
    """After a true training, on columns of other names than the usual."""
    out = tmp_path / "out"
    csvs = {
        split: write_csv(tmp_path / f"{split}.csv", sample_rows(split, 24), ("tweet", "mood"))
        for split in ("train", "validation")
    }
    columns = "data.text_column=tweet", "data.label_column=mood"
    train(config_for("bertweet", backbones["bertweet"], csvs, out, *columns, "trainer.max_epochs=1"), tmp_path / "run")
    trained = files_in(out)

    report = run(f"output_dir={out}", "technique=half")
    assert report.model_name == "BERTweet"
    assert (report.data.path, report.data.rows) == (str(csvs["validation"]), 24)
    training = json.loads(trained["emotion_classification_report.json"])
    assert report.variants["original"].macro_f1 == training["models"]["BERTweet"]["macro_f1"]
    assert {name: content for name, content in files_in(out).items() if name in trained} == trained

    def refusal(weights: Path) -> str:
        before = files_in(tmp_path)
        with pytest.raises(UserError) as caught:
            run(f"weights={weights}", f"output_dir={out}", "technique=prune")
        assert "\n" not in str(caught.value)
        assert files_in(tmp_path) == before
        return str(caught.value)

    best, validation = out / "best_BERTweet.pt", csvs["validation"]
    instead = "give data.validation=FILE"
    write_csv(validation, sample_rows("validation", 23), ("tweet", "mood"))
    assert refusal(best) == f"data.validation: must be given, as the recorded {validation} is changed; {instead}"
    validation.unlink()
    assert refusal(best) == f"data.validation: must be given, as the recorded {validation} is gone; {instead}"
    none = f"data.validation: must be given, as the checkpoint records none; {instead}"
    assert refusal(originals["minilm"]) == none


def test_a_failing_technique_costs_no_other_and_is_told(
    weights: Path, csv: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no such kernel\nand more words")

    results = weights.parent / "compression_results"
    options = f"weights={weights}", f"data.validation={csv}"
    combined = run(*options, "technique=combined").variants["combined"]
    with monkeypatch.context() as patched:
        patched.setattr(steps, "quantize", broken)
        with pytest.raises(UserError) as caught:
            run(*options, "technique=all")
    told = "technique: 2 of 3 failed: quantize (no such kernel); combined (no such kernel)"
    assert str(caught.value) == told
    assert "quantize failed: no such kernel" in caplog.text
    report = CompressionReport.model_validate_json((results / "compression_report.json").read_bytes())
    assert report.failed == {"quantize": "no such kernel", "combined": "no such kernel"}
    assert report.variants.keys() == {"original", "prune", "combined"}
    assert report.variants["prune"].sha256 == digest(results / "MiniLM_prune.pt")
    assert report.variants["combined"] == combined, "an earlier success stays"
    assert combined.sha256 == digest(results / "MiniLM_combined.pt")
    assert not (results / "MiniLM_quantize.pt").exists()
    assert run(*options, "technique=quantize").failed == {"combined": "no such kernel"}
    assert run(*options, "technique=combined").failed == {}


def test_techniques_that_lack_their_training_data_cost_no_other(weights: Path, csv: Path) -> None:
    options = f"weights={weights}", f"data.validation={csv}", "technique.techniques=[trim_vocabulary,half]"
    with pytest.raises(UserError, match=r"^technique: 1 of 2 failed: trim_vocabulary \(data.train: must be given"):
        run(*options)
    assert (weights.parent / "compression_results" / "MiniLM_half.pt").exists()


def test_weights_that_change_meanwhile_are_told(weights: Path, csv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half_(*_: object) -> None:
        with weights.open("ab") as file:
            file.write(b"0")

    monkeypatch.setattr(steps, "half_", half_)
    with pytest.raises(UserError, match=r"^weights: must stay as they are while they are compressed, found that "):
        run(f"weights={weights}", f"data.validation={csv}", "technique=half")
    assert not (weights.parent / "compression_results" / "compression_report.json").exists()


@pytest.mark.parametrize(
    "name",
    [
        "compression_results/MiniLM_combined.pt",
        "compression_results/compression_report.json",
        "compression_results/visualizations/compression_comparison.png",
        "compression_results/visualizations/pareto_frontier.pdf",
        "best_MiniLM_compressed.pt",
    ],
)
def test_a_file_that_is_not_ours_is_refused_before_any_work(name: str, weights: Path, csv: Path) -> None:
    foreign = weights.parent / name
    foreign.parent.mkdir(parents=True, exist_ok=True)
    foreign.write_bytes(b"precious")
    before = files_in(weights.parent)
    with pytest.raises(UserError, match=foreign.name) as caught:
        run(f"weights={weights}", f"data.validation={csv}", "technique=all", "max_drop=0.5")
    assert "\n" not in str(caught.value)
    assert files_in(weights.parent) == before


@pytest.mark.parametrize("technique", ["prune", "quantize", "combined", "half"])
def test_compressed_weights_are_refused(technique: str, weights: Path, csv: Path) -> None:
    run(f"weights={weights}", f"data.validation={csv}", f"technique={technique}")
    before = files_in(weights.parent)
    small = weights.parent / "compression_results" / f"MiniLM_{technique}.pt"
    for again in ("prune", "quantize"):
        with pytest.raises(UserError, match=r"^weights: must be a fine-tuned FP32 checkpoint, found .*pt") as caught:
            run(f"weights={small}", f"data.validation={csv}", f"technique={again}", f"output_dir={weights.parent}")
        assert "\n" not in str(caught.value)
    assert files_in(weights.parent) == before


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"text\nso happy\n", "must have one column 'label', found 'text'"),
        (b"text,label\nso happy,\n", "column 'label' must hold 0-5 or one of .* found '' in row 2"),
        (b"text,label\n", "must have at least one row"),
        (None, "data.validation: must be a CSV file, found no file at "),
    ],
)
def test_a_csv_without_labels_is_one_line_and_nothing_is_written(
    content: bytes | None, words: str, weights: Path, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "bad.csv").write_bytes(content)
    with pytest.raises(UserError, match=words) as caught:
        run(f"weights={weights}", f"data.validation={tmp_path / 'bad.csv'}")
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "bad.csv") in str(caught.value)
    assert list(weights.parent.iterdir()) == [weights]
