"""The ``.onnx`` file is an ordinary ONNX model that holds a whole checkpoint; other files are refused."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from emotion.checkpoint import is_checkpoint, load, onnx_format, save
from emotion.checkpoint.format import FORMAT, SCHEMA_VERSION, read
from emotion.errors import UserError
from emotion.models import OnnxClassifier, Predictor
from support.files import TEXTS

pytestmark = pytest.mark.usefixtures("one_thread")

FILE = bytes(range(256)) * 9


def word_table() -> np.ndarray:
    """(tokens, 6), float32: what each token adds to each class."""
    return np.random.default_rng(0).normal(size=(1000, 6)).astype(np.float32)


def word_counter() -> onnx.ModelProto:
    """A classifier without a Transformer: the logits are the sums over the tokens of a text."""
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
        helper.make_node("Unsqueeze", ["attention_mask", "last"], ["column"]),
        helper.make_node("Cast", ["column"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["rows", "mask"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "tokens"], ["logits"], keepdims=0),
    ]
    constants = {"table": word_table(), "last": np.array([-1]), "tokens": np.array([1])}
    ids = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["a", "b"]) for name in ("input_ids", "attention_mask")
    ]
    logits = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["a", 6])]
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "words", ids, logits, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, {"author": "somebody"})
    return model


def word_checkpoint(original: Path) -> Predictor:
    """A checkpoint whose model is replaced by the word counter."""
    checkpoint = load(original)
    checkpoint.model = OnnxClassifier(word_counter().SerializeToString(), checkpoint.torch_model.config)
    return checkpoint


def content_of(path: Path) -> dict[str, Any]:
    """Our metadata entry, as the package onnx reads it."""
    (value,) = [entry.value for entry in onnx.load(path).metadata_props if entry.key == "emotion_checkpoint"]
    content: dict[str, Any] = json.loads(value)
    return content


def test_what_is_written_comes_back_and_other_programs_see_a_valid_model(tmp_path: Path) -> None:
    model = word_counter()
    content = {"a": [1, 2.5, None, True, "ä\n🙂"], "b": {"c": {"d.txt": torch.tensor(list(FILE), dtype=torch.uint8)}}}
    path = tmp_path / "model.onnx"
    onnx_format.write(content, model.SerializeToString(), path)
    found, serialized = onnx_format.read(path)
    assert serialized == model.SerializeToString()
    assert found["b"]["c"].pop("d.txt").numpy().tobytes() == FILE
    assert found == {"a": content["a"], "b": {"c": {}}}
    onnx.checker.check_model(path, full_check=True)
    assert {entry.key for entry in onnx.load(path).metadata_props} == {"author", "emotion_checkpoint", "emotion_sha256"}
    properties = onnxruntime.InferenceSession(path).get_modelmeta().custom_metadata_map
    assert json.loads(properties["emotion_checkpoint"])["a"] == content["a"]


def test_a_checkpoint_in_onnx_holds_all_that_a_pt_does(originals: dict[str, Path], tmp_path: Path) -> None:
    pt = read(originals["bertweet"])
    save(word_checkpoint(originals["bertweet"]), tmp_path / "model.onnx")
    content = content_of(tmp_path / "model.onnx")
    assert content.keys() == pt.keys() - {"model_state_dict", "sparse_state_dict"}
    assert (content["format"], content["schema_version"]) == (FORMAT, SCHEMA_VERSION)
    plain = content.keys() - {"tokenizer", "backbone_config"}
    assert {name: content[name] for name in plain} == {name: pt[name] for name in plain}
    found, original = load(tmp_path / "model.onnx"), load(originals["bertweet"])
    assert found.tokenizer_files == original.tokenizer_files
    assert found.model.config.to_dict() == original.model.config.to_dict()
    assert found.precision == "onnx"
    assert is_checkpoint(tmp_path / "model.onnx")


@pytest.mark.parametrize("kind", ["bertweet", "modernbert"])
def test_a_saved_model_predicts_what_arithmetic_says(kind: str, originals: dict[str, Path], tmp_path: Path) -> None:
    checkpoint = word_checkpoint(originals[kind])
    checkpoint.temperature = 1.5
    save(checkpoint, tmp_path / "model.onnx")
    loaded = load(tmp_path / "model.onnx", device="meta")
    assert loaded.model.device == torch.device("cpu")
    original = load(originals[kind])
    rows = original.tokenizer(TEXTS, truncation=True, max_length=original.max_length)["input_ids"]
    logits = torch.tensor(np.stack([word_table()[ids].sum(axis=0) for ids in rows]))
    assert len(set(logits.argmax(-1).tolist())) > 2, "the labels must differ, or any bug would pass"
    torch.testing.assert_close(
        loaded.predict_proba(TEXTS, batch_size=7), (logits / 1.5).softmax(-1), rtol=1e-4, atol=1e-6
    )


def test_saving_again_gives_the_same_bytes(originals: dict[str, Path], tmp_path: Path) -> None:
    save(word_checkpoint(originals["cardiff"]), tmp_path / "a.onnx")
    save(word_checkpoint(originals["cardiff"]), tmp_path / "b.onnx")
    save(load(tmp_path / "a.onnx"), tmp_path / "c.onnx")
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "c.onnx").read_bytes()


def damage(path: Path, how: str) -> None:
    content, model = onnx_format.read(path)
    match how:
        case "newer":
            content["schema_version"] = 99
        case "three labels":
            content["config"] |= {"num_labels": 3, "labels": ["a", "b", "c"]}
        case "key missing":
            del content["model_id"]
        case "no length":
            del content["config"]["max_length"]
        case "not a dict":
            content = [1, 2]
        case "no tokenizer":
            content["tokenizer"] = {}
        case "junk tokenizer":
            content["tokenizer"] = {"tokenizer.json": torch.zeros(3, dtype=torch.uint8)}
        case "unknown architecture":
            content["backbone_config"]["model_type"] = "zzz"
        case "unknown normalisation":
            content["config"]["normalization"] = "zzz"
    onnx_format.write(content, model, path)
    whole = path.read_bytes()
    match how:
        case "not ours":
            onnx.save(word_counter(), path)
        case "truncated graph":
            path.write_bytes(whole[:5000])
        case "truncated entry":
            path.write_bytes(whole[:-1])
        case "no graph":
            broken = onnx.load(path)
            broken.ClearField("graph")
            onnx.save(broken, path)
        case "no JSON":
            broken = onnx.load(path)
            next(each for each in broken.metadata_props if each.key == "emotion_checkpoint").value = "{"
            onnx.save(broken, path)
        case "another end":
            path.write_bytes(whole[:-1] + b"]")
        case "text":
            path.write_text("text,label\n")
        case "empty":
            path.write_bytes(b"")
        case "pt":
            torch.save({"model_state_dict": {}}, path)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("newer", f"schema version <= {SCHEMA_VERSION}, found 99"),
        ("three labels", "must have a model of 3 classes, found 6"),
        ("key missing", "found none of model_id"),
        ("no length", "config.max_length"),
        ("not a dict", "must be a checkpoint with onnx_model"),
        ("no tokenizer", "must hold a tokenizer's files, found none"),
        ("junk tokenizer", "found unusable tokenizer.json"),
        ("unknown architecture", "zzz"),
        ("unknown normalisation", "config.normalization must be one of none, bertweet, cardiff, found 'zzz'"),
        ("no graph", "must have the inputs input_ids, attention_mask"),
        ("not ours", "must be an .onnx checkpoint of this program, found no emotion_checkpoint"),
        ("truncated graph", "truncated or foreign"),
        ("truncated entry", "truncated or foreign"),
        ("no JSON", "truncated or foreign"),
        ("another end", "was damaged"),
        ("text", "truncated or foreign"),
        ("empty", "found no emotion_checkpoint"),
        ("pt", "truncated or foreign"),
    ],
)
def test_what_is_no_checkpoint_is_refused_in_one_line(
    how: str, words: str, originals: dict[str, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.onnx"
    save(word_checkpoint(originals["minilm"]), path)
    damage(path, how)
    with pytest.raises(UserError, match=words) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_file_that_is_not_ours_is_no_checkpoint(tmp_path: Path) -> None:
    onnx.save(word_counter(), tmp_path / "theirs.onnx")
    assert not is_checkpoint(tmp_path / "theirs.onnx")
    assert not is_checkpoint(tmp_path / "absent.onnx")


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime"])
def test_without_its_packages_the_error_says_what_to_install(
    missing: str, originals: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    save(word_checkpoint(originals["minilm"]), path)
    code = f"""
import sys
sys.modules[{missing!r}] = None
from emotion.checkpoint import load, save
from emotion.errors import UserError
from emotion.checkpoint import save
load({str(originals["minilm"])!r})
try:
    load({str(path)!r})
except UserError as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert f'found no {missing}: pip install -e ".[onnx]"\n' in run.stdout


def test_packages_that_cannot_be_used_here_are_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "compiled_elsewhere.py").write_text("raise OSError('invalid ELF header\\nand more')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=r"cannot be used here \(invalid ELF header\)$"):
        onnx_format.require_packages("compiled_elsewhere")
