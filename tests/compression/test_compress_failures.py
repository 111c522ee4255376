"""A technique that fails does not stop the others, and no file that is not ours is lost."""

from pathlib import Path

import pytest
import torch

from emotion import compress_and_evaluate
from emotion.errors import UserError
from emotion.models import Predictor
from emotion.reporting import CompressionReport
from support.compression_runs import ROWS, alone, digest, run
from support.files import files_in, write_csv

pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_failing_technique_stops_no_other_and_is_reported(
    weights: Path, csv: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no such kernel\nand more words")

    results = weights.parent / "compression_results"
    options = f"weights={weights}", f"data.validation={csv}"
    combined = run(*options, "technique=combined").variants["combined"]
    with monkeypatch.context() as patched:
        patched.setattr("emotion.compression.steps.quantize.apply", broken)
        with pytest.raises(UserError) as caught:
            run(*options, "technique=all")
    message = "technique: 2 of 3 failed: quantize (no such kernel); combined (no such kernel)"
    assert str(caught.value) == message
    assert "quantize failed: no such kernel" in caplog.text
    report = CompressionReport.model_validate_json((results / "compression_report.json").read_bytes())
    assert report.failed == {"quantize": "no such kernel", "combined": "no such kernel"}
    assert report.variants.keys() == {"original", "prune", "combined"}
    assert report.variants["prune"].sha256 == digest(results / "MiniLM_prune.pt")
    assert alone(report.variants["combined"]) == alone(combined), "an earlier success stays"
    assert combined.sha256 == digest(results / "MiniLM_combined.pt")
    assert not (results / "MiniLM_quantize.pt").exists()
    assert run(*options, "technique=quantize").failed == {"combined": "no such kernel"}
    assert run(*options, "technique=combined").failed == {}


def test_if_all_techniques_fail_nothing_is_overwritten(
    weights: Path, csv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no such kernel")

    options = f"weights={weights}", f"data.validation={csv}"
    run(*options, "technique=half", "max_drop=0.5")
    before = files_in(weights.parent)
    monkeypatch.setattr("emotion.compression.steps.half.apply", broken)
    other = write_csv(csv.parent / "other.csv", ROWS[:50])
    with pytest.raises(UserError, match=r"^technique: 1 of 1 failed: half \(no such kernel\)$"):
        run(f"weights={weights}", f"data.validation={other}", "technique=half")
    assert files_in(weights.parent) == before


def test_the_report_drops_a_variant_whose_file_was_replaced(weights: Path, csv: Path) -> None:
    """As after a run that was stopped before it could report. A variant whose file was deleted stays in the report."""
    options = f"weights={weights}", f"data.validation={csv}"
    run(*options, "technique.techniques=[half,prune,drop_layers]", "drop_layers.keep=1", "max_drop=1")
    results = weights.parent / "compression_results"
    (results / "MiniLM_drop_layers.pt").unlink()
    (results / "MiniLM_half.pt").write_bytes((results / "MiniLM_prune.pt").read_bytes())
    report = run(*options, "technique=prune")
    assert report.variants.keys() == {"original", "prune", "drop_layers"}
    assert set(report.ranking.by_size) == report.variants.keys()


@pytest.mark.parametrize("name", ["vinai/mini", "../../up", ""])
def test_a_model_name_that_no_file_can_have_is_refused(name: str, weights: Path, csv: Path) -> None:
    torch.save({**torch.load(weights, weights_only=True), "model_name": name}, weights)
    before = files_in(weights.parent.parent)
    with pytest.raises(UserError, match=r"pt: model_name must be letters, digits.* found ") as caught:
        run(f"weights={weights}", f"data.validation={csv}", "technique=half")
    assert "\n" not in str(caught.value)
    assert files_in(weights.parent.parent) == before


@pytest.mark.parametrize("technique", ["nope", "[prune,half]", "null", "x=y", "../data/csv", ""])
def test_an_unknown_technique_is_refused_with_a_list_of_the_known_ones(
    technique: str, weights: Path, csv: Path
) -> None:
    with pytest.raises(UserError, match=r"^technique: must be one of all, combined, .* found ") as caught:
        compress_and_evaluate(str(weights), str(csv), technique=technique)
    assert "\n" not in str(caught.value)


def test_techniques_that_lack_their_training_data_stop_no_other(weights: Path, csv: Path) -> None:
    options = f"weights={weights}", f"data.validation={csv}", "technique.techniques=[trim_vocabulary,half]"
    with pytest.raises(UserError, match=r"^technique: 1 of 2 failed: trim_vocabulary \(data.train: must be given"):
        run(*options)
    assert (weights.parent / "compression_results" / "MiniLM_half.pt").exists()


def test_weights_that_change_during_the_run_are_refused(
    weights: Path, csv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(model: Predictor, *_: object) -> Predictor:
        with weights.open("ab") as file:
            file.write(b"0")
        return model

    monkeypatch.setattr("emotion.compression.steps.half.apply", half)
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


@pytest.mark.parametrize("metadata", [None, "of its own", {"data": "train.csv", "compression": {}}])
def test_what_an_earlier_tool_recorded_is_ignored(metadata: object, weights: Path, csv: Path) -> None:
    content = torch.load(weights, weights_only=True)
    del content["format"], content["schema_version"]
    torch.save({**content, "metadata": metadata}, weights)
    assert run(f"weights={weights}", f"data.validation={csv}", "technique=half").failed == {}
    with pytest.raises(UserError, match=r"^data\.validation: must be given, as the checkpoint records none"):
        run(f"weights={weights}", "technique=half")
