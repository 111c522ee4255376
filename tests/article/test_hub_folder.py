"""A folder for the hub: transformers loads it by itself, offline, and predicts as the checkpoint does."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedTokenizerBase, pipeline

from emotion.article import ExportConfig, export
from emotion.checkpoint import load, save
from emotion.compression.steps.half import half_
from emotion.compression.steps.narrow import narrow_
from emotion.compression.steps.registry import HalfConfig, NarrowConfig, StaticStepConfig
from emotion.compression.steps.static import static
from emotion.data import normalize_cardiff
from emotion.errors import UserError
from emotion.labels import LabelSet
from emotion.models import Predictor
from support.files import TEXTS, sample_rows
from support.predictors import KINDS

pytestmark = pytest.mark.usefixtures("one_thread")

TEMPERATURE = 1.7
ODD = ["", " ", "@a @ @b\n@c http httpx xhttp://y", "<s>@bob </s> <mask> [SEP] @a</s>b", "日本 \u00e9 🙂", "word " * 90]
NAMES = ("joy", "喜び", 'a "b": c', "<b>*x*</b> | y", "yes", "1/2")


def exported(predictor: Predictor, folder: Path) -> Path:
    save(predictor, folder / "model.pt")
    return export(ExportConfig(weights=str(folder / "model.pt"), output=str(folder / "hub")))


def in_transformers(folder: Path, texts: list[str]) -> torch.Tensor:
    """(texts, classes): what transformers makes of the folder, in one padded batch."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    inputs = tokenizer(texts, truncation=True, padding=True, return_tensors="pt")
    with torch.inference_mode():
        return model(**inputs).logits.softmax(-1)


@pytest.fixture(scope="module")
def calibrated(originals: dict[str, Path]) -> dict[str, Predictor]:
    """Checkpoints with a temperature and label names that YAML, Markdown and HTML would interpret."""
    found = {kind: load(path) for kind, path in originals.items()}
    return {
        kind: replace(each, temperature=TEMPERATURE, labels=LabelSet(NAMES), metadata={})
        for kind, each in found.items()
    }


@pytest.fixture(scope="module")
def folders(calibrated: dict[str, Predictor], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {kind: exported(each, tmp_path_factory.mktemp(kind)) for kind, each in calibrated.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_transformers_gives_the_checkpoints_calibrated_probabilities(
    kind: str, calibrated: dict[str, Predictor], folders: dict[str, Path], tmp_path: Path
) -> None:
    texts = TEXTS + ODD
    moved = Path(shutil.copytree(folders[kind], tmp_path / "elsewhere"))
    expected = calibrated[kind].predict_proba(texts)
    torch.testing.assert_close(in_transformers(moved, texts), expected, atol=1e-5, rtol=0)
    plain = replace(calibrated[kind], temperature=1.0).predict_proba(texts)
    assert (plain - expected).abs().max() > 0.05, "otherwise nothing was tested"


@pytest.mark.parametrize("kind", KINDS)
def test_a_pipeline_gives_the_labels_by_name(
    kind: str, calibrated: dict[str, Predictor], folders: dict[str, Path]
) -> None:
    texts = TEXTS[:8] + ODD
    found = pipeline("text-classification", model=str(folders[kind]), truncation=True)(texts)
    probabilities = calibrated[kind].predict_proba(texts)
    assert [each["label"] for each in found] == [NAMES[index] for index in probabilities.argmax(-1)]
    scores = torch.tensor([each["score"] for each in found])
    torch.testing.assert_close(scores, probabilities.max(-1).values, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_folder_holds_plain_settings_and_nothing_of_this_machine(kind: str, folders: dict[str, Path]) -> None:
    config = json.loads((folders[kind] / "config.json").read_bytes())
    assert config["id2label"] == {str(index): name for index, name in enumerate(NAMES)}
    assert config["label2id"] == {name: index for index, name in enumerate(NAMES)}
    assert (config["problem_type"], config["dtype"]) == ("single_label_classification", "float32")
    tokenizer = json.loads((folders[kind] / "tokenizer_config.json").read_bytes())
    assert tokenizer["model_max_length"] == 48
    for path in folders[kind].iterdir():
        for place in (str(folders[kind].parent.parent), str(Path.home())):
            assert place.encode() not in path.read_bytes(), path.name


@pytest.mark.parametrize("kind", KINDS)
def test_original_tokenizer_files_are_copied_byte_for_byte(
    kind: str, calibrated: dict[str, Predictor], folders: dict[str, Path]
) -> None:
    files = {name: data for name, data in calibrated[kind].tokenizer_files.items() if name != "tokenizer_config.json"}
    if kind == "cardiff":  # its normalisation needs a tokenizer.json
        assert not files.keys() & {path.name for path in folders[kind].iterdir()}
        return
    assert files
    for name, data in files.items():
        assert (folders[kind] / name).read_bytes() == data, name


def test_weights_are_under_transformers_names_and_only_the_last_layer_changes(
    calibrated: dict[str, Predictor], folders: dict[str, Path]
) -> None:
    last = {"bertweet": "classifier.out_proj.", "cardiff": "classifier.out_proj."}
    for kind, predictor in calibrated.items():
        before = predictor.torch_model.state_dict()
        written = load_file(folders[kind] / "model.safetensors")
        assert written.keys() == before.keys()
        prefix = last.get(kind, "classifier.")
        for name, tensor in written.items():
            torch.testing.assert_close(
                tensor, before[name] / TEMPERATURE if name.startswith(prefix) else before[name], atol=0, rtol=1e-6
            )


def test_bertweet_keeps_its_merges_and_rewrites_users_links_and_emoji(folders: dict[str, Path]) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folders["bertweet"])
    tokens = tokenizer.convert_ids_to_tokens(tokenizer("@you http://example.com/x ❤️ happy")["input_ids"])
    assert " ".join(tokens[1:-1]).replace("@@ ", "") == "@USER HTTPURL :red_heart: happy"
    original = (folders["bertweet"] / "bpe.codes").read_text(encoding="utf-8").splitlines()
    assert {len(line.split()) for line in original} == {3}, "the count of each merge is there"
    assert len(tokenizer.bpe_ranks) == len(original)


@pytest.fixture(scope="module")
def cardiff(folders: dict[str, Path]) -> PreTrainedTokenizerBase:
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folders["cardiff"])
    return tokenizer


PIECES = st.sampled_from(
    ["@", "http", "s://x.y", "@you", " ", "  ", "\n", "\t", "\u3000", "a", "é", "🙂", "</s>", "<mask>"]
)


@settings(max_examples=200, deadline=None)
@given(text=st.lists(PIECES | st.characters(exclude_categories=["Cs"]), max_size=12).map("".join))
def test_cardiffs_normalisation_is_a_part_of_the_tokenizer(
    text: str, cardiff: PreTrainedTokenizerBase, calibrated: dict[str, Predictor]
) -> None:
    assert cardiff.backend_tokenizer.normalizer.normalize_str(text) == normalize_cardiff(text)
    (expected,) = calibrated["cardiff"].encoder.encode([text])
    assert cardiff(text, truncation=True)["input_ids"] == expected.tolist()


def test_special_tokens_that_take_the_spaces_before_them_stay_so(originals: dict[str, Path], tmp_path: Path) -> None:
    predictor = load(originals["cardiff"])
    state = json.loads(predictor.tokenizer.backend_tokenizer.to_str())
    (mask,) = (token for token in state["added_tokens"] if token["content"] == "<mask>")
    mask["lstrip"] = True
    predictor.tokenizer_files["tokenizer.json"] = json.dumps(state).encode()
    predictor.tokenizer_files["tokenizer_config.json"] = json.dumps(
        {"tokenizer_class": "PreTrainedTokenizerFast", **predictor.tokenizer.special_tokens_map}
    ).encode()
    text = "hi   <mask> @you"
    folder = exported(predictor, tmp_path)
    (expected,) = load(tmp_path / "model.pt").encoder.encode([text])
    assert len(expected) < len(predictor.encoder.encode([text])[0]), "otherwise nothing was tested"
    assert AutoTokenizer.from_pretrained(folder)(text)["input_ids"] == expected.tolist()


def test_another_tokenizers_own_normaliser_comes_after_cardiffs(originals: dict[str, Path], tmp_path: Path) -> None:
    predictor = replace(load(originals["minilm"]), normalization="cardiff")
    found = in_transformers(exported(predictor, tmp_path), TEXTS)
    torch.testing.assert_close(found, predictor.predict_proba(TEXTS), atol=1e-5, rtol=0)


def test_a_model_in_half_precision_is_written_in_fp32(originals: dict[str, Path], tmp_path: Path) -> None:
    predictor = load(originals["minilm"])
    half_(predictor.torch_model, HalfConfig(dtype="bfloat16"))
    folder = exported(predictor, tmp_path)
    weights = load_file(folder / "model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}
    for name, tensor in predictor.torch_model.state_dict().items():
        assert torch.equal(weights[name], tensor.float()), name
    assert (in_transformers(folder, TEXTS) - predictor.predict_proba(TEXTS)).abs().max() < 0.1
    assert "computes in bfloat16" in (folder / "README.md").read_text(encoding="utf-8")


def test_fewer_neurons_are_written_but_fewer_heads_are_refused(originals: dict[str, Path], tmp_path: Path) -> None:
    texts, labels = zip(*sample_rows("train", 12), strict=True)
    predictor = load(originals["minilm"])
    narrow_(predictor, NarrowConfig(ffn=0.5, heads=1.0, hidden=1.0), texts, labels)
    found = in_transformers(exported(predictor, tmp_path), TEXTS)
    torch.testing.assert_close(found, predictor.predict_proba(TEXTS), atol=1e-5, rtol=0)
    narrow_(predictor, NarrowConfig(ffn=1.0, heads=0.5, hidden=1.0), texts, labels)
    with pytest.raises(UserError, match=r"^weights: must be of a shape .*, found fewer attention heads; give"):
        exported(predictor, tmp_path)


def test_a_hidden_size_of_ones_own_is_written_but_a_static_classifier_is_refused(
    originals: dict[str, Path], tmp_path: Path
) -> None:
    texts, labels = zip(*sample_rows("train", 12), strict=True)
    predictor = load(originals["minilm"])
    narrow_(predictor, NarrowConfig(ffn=1.0, heads=1.0, hidden=0.5), texts, labels)
    found = in_transformers(exported(predictor, tmp_path), TEXTS)
    torch.testing.assert_close(found, predictor.predict_proba(TEXTS), atol=1e-5, rtol=0)
    with pytest.raises(UserError, match=r"^weights: must be of an architecture that transformers has, found a static"):
        exported(static(predictor, StaticStepConfig(hidden_size=8, head_size=8, filters=4), seed=0), tmp_path)


def test_onnx_and_int8_are_refused_in_one_line(originals: dict[str, Path], tmp_path: Path) -> None:
    config = ExportConfig(weights=str(tmp_path / "model.onnx"), output=str(tmp_path / "hub"))
    with pytest.raises(UserError, match=r"^weights: must be a \.pt checkpoint, found .*model\.onnx; give the \.pt"):
        export(config)
    from emotion.models import quantized

    predictor = load(originals["minilm"], fast=False)
    predictor.model = quantized(predictor.torch_model, 6.0)
    with pytest.raises(UserError, match=r"^weights: must be in FP32 or half precision, found INT8"):
        exported(predictor, tmp_path)
    assert not (tmp_path / "hub").exists()


def test_a_tokenizer_in_python_cannot_hold_cardiffs_normalisation(originals: dict[str, Path], tmp_path: Path) -> None:
    predictor = replace(load(originals["bertweet"]), normalization="cardiff")
    with pytest.raises(UserError, match="normalization cardiff, found a BertweetTokenizer"):
        exported(predictor, tmp_path)


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("tokenizer", {"model_max_length": 9}, "found other tokens for"),
        ("model", {"layer_norm_eps": 0.1}, "found probabilities .* apart for"),
    ],
)
def test_a_folder_that_transformers_reads_otherwise_is_refused_and_leaves_nothing(
    part: str, change: dict[str, object], message: str, originals: dict[str, Path], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """As if a release of transformers restored a setting otherwise."""
    loader = {"tokenizer": AutoTokenizer, "model": AutoModelForSequenceClassification}[part]
    original = loader.from_pretrained

    def changed(folder: Path, **options: object) -> object:
        name = {"tokenizer": "tokenizer_config.json", "model": "config.json"}[part]
        if (folder / "README.md").exists():
            content = json.loads((folder / name).read_bytes())
            (folder / name).write_text(json.dumps(content | change), encoding="utf-8")
        return original(folder, **options)

    monkeypatch.setattr(loader, "from_pretrained", changed)
    with pytest.raises(UserError, match=f"^weights: .*{message}"):
        exported(load(originals["minilm"]), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt"]


def test_whoever_may_read_the_folder_may_read_the_weights(folders: dict[str, Path]) -> None:
    modes = {path.name: path.stat().st_mode for path in folders["minilm"].iterdir()}
    assert modes["model.safetensors"] == modes["config.json"]


def test_paths_in_the_tokenizers_settings_are_left_out(originals: dict[str, Path], tmp_path: Path) -> None:
    predictor = load(originals["minilm"])
    settings = json.loads(predictor.tokenizer_files["tokenizer_config.json"])
    settings |= {"name_or_path": "/home/me/secret", "special_tokens_map_file": "/home/me/secret/map.json"}
    files = predictor.tokenizer_files | {"tokenizer_config.json": json.dumps(settings).encode()}
    written = exported(replace(predictor, tokenizer_files=files), tmp_path) / "tokenizer_config.json"
    assert "secret" not in written.read_text(encoding="utf-8")
    assert json.loads(written.read_bytes())["tokenizer_class"] == "BertTokenizer"
