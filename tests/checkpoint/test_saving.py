"""The portable checkpoint is complete, exact and works offline; other files are refused."""

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from emotion.checkpoint import is_checkpoint, load, save
from emotion.data import normalize_cardiff
from emotion.errors import UserError
from emotion.models import load_tokenizer
from support.files import TEXTS
from support.predictors import KINDS, NAMES, model_config, untrained

pytestmark = pytest.mark.usefixtures("one_thread")


@torch.inference_mode()
def plain_predictions(model: PreTrainedModel, folder: Path, kind: str) -> list[int]:
    """One text at a time, unpadded, straight from transformers."""
    normalization = model_config(kind, folder).normalization
    tokenizer = load_tokenizer(folder, normalization)
    texts = [normalize_cardiff(text) for text in TEXTS] if kind == "cardiff" else TEXTS
    encoded = (tokenizer(text, truncation=True, max_length=48, return_tensors="pt") for text in texts)
    return [int(model(**inputs).logits.argmax()) for inputs in encoded]


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_checkpoint_predicts_what_the_model_does(kind: str, backbones: dict[str, Path], tmp_path: Path) -> None:
    original = untrained(kind, backbones[kind])
    save(original, tmp_path / "model.pt")
    loaded = load(tmp_path / "model.pt")
    expected = plain_predictions(original.model, backbones[kind], kind)
    assert len(set(expected)) > 1, "the labels must differ, or any bug would pass"
    assert loaded.predict(TEXTS) == expected == loaded.predict(TEXTS, batch_size=5)
    assert isinstance(loaded.model, PreTrainedModel)
    assert isinstance(loaded.tokenizer, PreTrainedTokenizerBase)
    assert not any(module.training for module in loaded.model.modules())
    expected_config = original.model.config.to_dict() | {"_name_or_path": "owner/" + kind, "dtype": "float32"}
    assert loaded.model.config.to_dict() == expected_config
    state, reference = loaded.model.state_dict(), original.model.state_dict()
    assert state.keys() == reference.keys()
    assert all(torch.equal(state[name], reference[name]) for name in reference)
    for text in TEXTS:
        assert loaded.tokenizer(text)["input_ids"] == original.tokenizer(text)["input_ids"]
    assert (loaded.model_name, loaded.max_length, loaded.metadata) == (NAMES[kind], 48, {"accuracy": 0.5})


def test_bertweet_keeps_whole_words_after_a_round_trip(backbones: dict[str, Path], tmp_path: Path) -> None:
    """Saving through transformers loses the merges' counts; the reloaded tokenizer then spells out every word."""
    save(untrained("bertweet", backbones["bertweet"]), tmp_path / "model.pt")
    tokenizer = load(tmp_path / "model.pt").tokenizer
    assert "happy" in tokenizer.convert_ids_to_tokens(tokenizer("so happy now")["input_ids"])


def test_the_file_holds_plain_content_under_the_documented_keys(backbones: dict[str, Path], tmp_path: Path) -> None:
    original = untrained("modernbert", backbones["modernbert"])
    save(original, tmp_path / "model.pt")
    content = torch.load(tmp_path / "model.pt", weights_only=True)
    assert {"model_state_dict", "model_id", "model_name", "config"} <= content.keys()
    assert content["config"]["max_length"] == 48
    assert content["config"]["num_labels"] == 6
    assert content["model_state_dict"].keys() == original.model.state_dict().keys()


def test_probabilities_come_in_order_and_sum_to_one(backbones: dict[str, Path]) -> None:
    checkpoint = untrained("minilm", backbones["minilm"])
    advances: list[int] = []
    texts = [*TEXTS, *TEXTS[:7]]
    probabilities = checkpoint.predict_proba(texts, batch_size=4, advance=advances.append)
    assert probabilities.shape == (len(texts), 6)
    assert torch.allclose(probabilities.sum(-1), torch.ones(len(texts)))
    assert torch.equal(probabilities[:7], probabilities[len(TEXTS) :])
    alone = torch.cat([checkpoint.predict_proba([text]) for text in texts])
    assert torch.allclose(probabilities, alone, atol=1e-5)
    assert sum(advances) == len(texts)
    assert checkpoint.predict([]) == []


def test_equal_texts_of_a_chunk_are_computed_once(backbones: dict[str, Path]) -> None:
    checkpoint = untrained("minilm", backbones["minilm"])
    rows: list[int] = []
    checkpoint.torch_model.register_forward_hook(lambda _, __, output: rows.append(len(output.logits)))
    texts = [*TEXTS, *TEXTS, *TEXTS]
    assert len(checkpoint.predict(texts)) == len(texts)
    assert sum(rows) == len(set(TEXTS))


def test_a_temperature_divides_the_logits_and_is_kept(backbones: dict[str, Path], tmp_path: Path) -> None:
    checkpoint = untrained("minilm", backbones["minilm"])
    plain = checkpoint.predict_proba(TEXTS)
    checkpoint.temperature = 2.5
    expected = (plain.log() / 2.5).softmax(-1)
    assert torch.allclose(checkpoint.predict_proba(TEXTS), expected, atol=1e-6)
    save(checkpoint, tmp_path / "model.pt")
    assert torch.equal(load(tmp_path / "model.pt").predict_proba(TEXTS), checkpoint.predict_proba(TEXTS))
    assert checkpoint.predict(TEXTS) == plain.argmax(-1).tolist()


@pytest.mark.parametrize("prefix", ["", "module.", "model.", "module.model."])
def test_an_earlier_tools_file_of_four_keys_loads(
    prefix: str, backbones: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    original = untrained("modernbert", backbones["modernbert"])  # its own keys begin with "model." too
    content = {
        "model_state_dict": {prefix + name: value for name, value in original.model.state_dict().items()},
        "model_id": str(backbones["modernbert"]),
        "model_name": "ModernBERT",
        "config": {"max_length": 48, "num_labels": 6},
    }
    torch.save(content, tmp_path / "old.pt")
    assert load(tmp_path / "old.pt").predict(TEXTS) == original.predict(TEXTS)
    assert "earlier tool without a tokenizer" in caplog.text
    assert str(backbones["modernbert"]) in caplog.text


class _Code:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("code ran",)


def damage(content: dict[str, Any], path: Path, how: str) -> None:
    match how:
        case "newer":
            content["schema_version"] = 99
        case "three labels":
            content["config"] |= {"num_labels": 3, "labels": ["a", "b", "c"]}
        case "head of another size":
            content["model_state_dict"]["classifier.weight"] = torch.zeros(3, 32)
        case "tensor missing":
            del content["model_state_dict"]["classifier.weight"]
        case "key missing":
            del content["model_id"]
        case "no length":
            del content["config"]["max_length"]
        case "not a dict":
            content = [1, 2]  # type: ignore[assignment]
        case "no tokenizer":
            content["tokenizer"] = {}
        case "junk tokenizer":
            content["tokenizer"] = {"tokenizer.json": torch.zeros(3, dtype=torch.uint8)}
        case "unknown architecture":
            content["backbone_config"]["model_type"] = "zzz"
        case "no temperature":
            content["config"]["temperature"] = 0.0
        case "unknown normalisation":
            content["config"]["normalization"] = "zzz"
        case "config of another kind":
            content["config"] = [1]
        case "code":
            content["extra"] = _Code()
    torch.save(content, path)
    if how == "truncated":
        path.write_bytes(path.read_bytes()[:5000])
    if how == "not torch":
        path.write_text("text,label\n")
    if how == "empty":
        path.write_bytes(b"")
    if how == "plain pickle with code":
        path.write_bytes(pickle.dumps(_Code()))


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("newer", "schema version <= 2, found 99"),
        ("three labels", "must have a model of 3 classes, found 6"),
        ("head of another size", r"classifier.weight must have shape \(6, 32\), found \(3, 32\)"),
        ("tensor missing", "none named classifier.weight"),
        ("key missing", "found none of model_id"),
        ("no length", "config.max_length"),
        ("not a dict", "must be a checkpoint"),
        ("no tokenizer", "must hold a tokenizer's files, found none"),
        ("junk tokenizer", "found unusable tokenizer.json"),
        ("unknown architecture", "zzz"),
        ("no temperature", "config.temperature must be a number from 0.01 to 100, found 0.0"),
        ("unknown normalisation", "config.normalization must be one of none, bertweet, cardiff, found 'zzz'"),
        ("config of another kind", "config.max_length"),
        ("code", "found code"),
        ("truncated", "truncated or foreign"),
        ("not torch", "truncated or foreign"),
        ("empty", "truncated or foreign"),
        ("plain pickle with code", "truncated or foreign"),
    ],
)
def test_what_is_no_checkpoint_is_refused_in_one_line(
    how: str, words: str, backbones: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.pt"
    save(untrained("minilm", backbones["minilm"]), path)
    damage(torch.load(path, weights_only=True), path, how)
    with pytest.raises(UserError, match=words) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    assert "code ran" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["absent.pt", "."])
def test_a_path_without_a_file_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"weights: must be a checkpoint file, found (no file|a folder)"):
        load(tmp_path / name)
    assert not is_checkpoint(tmp_path / name)
