"""Files that would run code, lie about their sizes, or were damaged: refused in one line, within seconds."""

import json
import threading
import zipfile
import zlib
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from emotion import checkpoint
from emotion.compression import export_onnx
from emotion.errors import UserError
from emotion.models import NotFiniteError, OnnxClassifier, quantized
from support.files import TEXTS
from support.hostile_pickles import doubled
from support.onnx_models import constant_logits

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def original(originals: dict[str, Path]) -> Path:
    return originals["minilm"]


def changed(path: Path, target: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Save the checkpoint ``path`` as ``target``, with its content changed."""
    content = torch.load(path, weights_only=True)
    change(content)
    torch.save(content, target)
    return target


def as_file(content: bytes) -> torch.Tensor:
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        checkpoint.load(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("place", ["backbone_config", "tokenizer_config", "a file"])
def test_code_in_a_checkpoint_never_runs(
    place: str, original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where transformers would find the code, it would ask on stdin whether to run it."""
    ran = tmp_path / "it_ran"
    code = f"open({str(ran)!r}, 'w')\nfrom transformers import BertConfig as Evil, BertTokenizer as EvilTokenizer\n"
    monkeypatch.setattr("builtins.input", lambda *_: "y")

    def plant(content: dict[str, Any]) -> None:
        if place == "backbone_config":
            (tmp_path / "evil.py").write_text(code)
            content["backbone_config"]["auto_map"] = {"AutoConfig": f"{tmp_path}--evil.Evil"}
        elif place == "tokenizer_config":
            settings = json.loads(content["tokenizer"]["tokenizer_config.json"].numpy().tobytes())
            settings.pop("tokenizer_class", None)
            settings["auto_map"] = {"AutoTokenizer": [None, "evil.EvilTokenizer"]}
            content["tokenizer"]["tokenizer_config.json"] = as_file(json.dumps(settings).encode())
            content["backbone_config"]["model_type"] = "vit"
        else:
            content["tokenizer"]["evil.py"] = as_file(code.encode())

    message = refusal(changed(original, tmp_path / "evil.pt", plant))
    assert ("found 'evil.py'" if place == "a file" else "found auto_map in") in message
    assert not ran.exists()


@pytest.mark.parametrize("suffix", [".pt", ".onnx"])
def test_a_flipped_bit_is_noticed_or_changes_nothing(suffix: str, original: Path, tmp_path: Path) -> None:
    predictor = checkpoint.load(original)
    path, flipped = tmp_path / f"model{suffix}", tmp_path / f"flipped{suffix}"
    checkpoint.save(export_onnx(predictor) if suffix == ".onnx" else predictor, path)
    expected, whole = checkpoint.load(path).predict_proba(TEXTS[:4]), path.read_bytes()
    noticed = 0
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(whole), 60):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        flipped.write_bytes(damaged)
        try:
            found = checkpoint.load(flipped).predict_proba(TEXTS[:4])
        except UserError:
            noticed += 1
        else:
            assert torch.equal(found, expected), f"bit in byte {place}"
    assert noticed > 40


def test_a_bit_of_the_classifiers_bias_is_noticed(original: Path, tmp_path: Path) -> None:
    bias = torch.load(original, weights_only=True)["model_state_dict"]["classifier.bias"].numpy().tobytes()
    whole = bytearray(original.read_bytes())
    assert whole.count(bias) == 1
    whole[whole.index(bias) + 3] ^= 0x40  # an exponent bit
    (tmp_path / "flipped.pt").write_bytes(whole)
    assert "was damaged" in refusal(tmp_path / "flipped.pt")


def test_texts_without_finite_logits_get_no_label(original: Path) -> None:
    predictor = checkpoint.load(original)
    texts = ["so happy", "zebra", "so sad", "a zebra"]
    rows = predictor.encoder.encode(["zebra", "so happy so sad a"])
    odd = set(rows[0].tolist()) - set(rows[1].tolist())
    with torch.no_grad():
        predictor.torch_model.get_input_embeddings().weight[list(odd)] = torch.nan
    for predict in (predictor.predict, predictor.predict_texts):
        with pytest.raises(NotFiniteError, match=r"^weights: must give finite logits, found others for texts 1, 3$"):
            predict(texts)
    assert predictor.predict(["so happy", "so sad"]) == checkpoint.load(original).predict(["so happy", "so sad"])


@pytest.mark.parametrize("temperature", [1e-9, 0.0, -1.0, 1e9, float("nan"), "1"])
def test_a_temperature_that_makes_probabilities_meaningless_is_refused(
    temperature: object, original: Path, tmp_path: Path
) -> None:
    path = changed(original, tmp_path / "odd.pt", lambda content: content["config"].update(temperature=temperature))
    assert "config.temperature must be a number from 0.01 to 100" in refusal(path)


@pytest.mark.parametrize(("rows", "classes"), [(1, 6), (2, 5), (3, 6)])
def test_an_onnx_model_that_returns_another_shape_is_refused(rows: int, classes: int, original: Path) -> None:
    config = checkpoint.load(original).torch_model.config
    model = OnnxClassifier(constant_logits(rows, classes), config)
    ids = torch.zeros(2, 3, dtype=torch.int64)
    with pytest.raises(UserError, match=rf"gives logits \(2, 6\) in float32, found \({rows}, {classes}\)"):
        model(ids, ids)


def test_metadata_that_inflates_is_refused_before_it_fills_the_memory(original: Path, tmp_path: Path) -> None:
    path = tmp_path / "bomb.onnx"
    checkpoint.save(export_onnx(checkpoint.load(original)), path)
    model = onnx.load(path)
    (entry,) = [each for each in model.metadata_props if each.key == "emotion_checkpoint"]
    content = json.loads(entry.value)
    block = zlib.compress(bytes(1 << 20), 9)
    inflater, bomb = zlib.compressobj(9), b""
    for _ in range(400):
        bomb += inflater.compress(bytes(1 << 20))
    bomb += inflater.flush()
    assert len(bomb) < 2_000_000
    assert len(block) < 2_000
    content["tokenizer"]["tokenizer.json"] = {"zlib_base64": b64encode(bomb).decode()}
    entry.value = json.dumps(content)
    onnx.save(model, path)
    assert "must hold files of at most 256,000,000 bytes" in refusal(path)


def test_a_config_of_a_million_layers_is_refused_at_once(original: Path, tmp_path: Path) -> None:
    path = changed(
        original, tmp_path / "deep.pt", lambda content: content["backbone_config"].update(num_hidden_layers=10**6)
    )
    assert "backbone_config.num_hidden_layers must be at most" in refusal(path)


def test_a_tensor_that_claims_more_elements_than_it_has_is_refused(original: Path, tmp_path: Path) -> None:
    path = changed(
        original,
        tmp_path / "wide.pt",
        lambda content: content["model_state_dict"].update(more=torch.zeros(1).expand(10**9)),
    )
    assert path.stat().st_size < 10_000_000
    assert "must hold tensors with all their elements" in refusal(path)


def test_a_compressed_checkpoint_is_refused(original: Path, tmp_path: Path) -> None:
    path = tmp_path / "packed.pt"
    with zipfile.ZipFile(original) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for member in source.namelist():
            target.writestr(member, source.read(member))
    assert "found compressed ones" in refusal(path)


def test_a_part_that_is_there_twice_is_refused(original: Path, tmp_path: Path) -> None:
    path = tmp_path / "twice.pt"
    path.write_bytes(original.read_bytes())
    with zipfile.ZipFile(path, "a") as archive:
        name = next(name for name in archive.namelist() if name.endswith("data/0"))
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr(name, bytes(9))
    assert "must hold each part once" in refusal(path)


def test_lists_that_hold_each_other_without_end_are_refused(original: Path, tmp_path: Path) -> None:
    path = changed(original, tmp_path / "laughs.pt", lambda content: content["backbone_config"].update(doubled(40)))
    assert path.stat().st_size < 1_000_000
    assert "found more than 1,000,000 values" in refusal(path)


def test_a_pruned_matrix_that_claims_more_than_its_mask_is_refused(original: Path, tmp_path: Path) -> None:
    packed = {"mask": torch.zeros(3, dtype=torch.uint8), "values": torch.zeros(0), "shape": [10**6, 10**6]}
    path = changed(
        original, tmp_path / "sparse.pt", lambda content: content["sparse_state_dict"].update({"more": packed})
    )
    assert "found a mask of 3 bytes for 1,000,000,000,000 elements" in refusal(path)


@pytest.mark.parametrize("key", ["num_hidden_layers", "n_layer", "decoder_layers"])
@pytest.mark.parametrize("suffix", [".pt", ".onnx"])
def test_a_billion_layers_are_refused_before_they_are_named(
    key: str, suffix: str, original: Path, tmp_path: Path
) -> None:
    path = tmp_path / f"deep{suffix}"
    predictor = checkpoint.load(original)
    predictor.torch_model.config.update({key: 10**9})
    if suffix == ".onnx":
        predictor.model = OnnxClassifier(constant_logits(1, 6), predictor.torch_model.config)
    checkpoint.save(predictor, path)
    assert f"backbone_config.{key} must be at most" in refusal(path)


def test_a_model_without_layers_predicts(original: Path, tmp_path: Path) -> None:
    def flatten(content: dict[str, Any]) -> None:
        content["backbone_config"]["num_hidden_layers"] = 0
        for name in [name for name in content["model_state_dict"] if ".encoder.layer." in name]:
            del content["model_state_dict"][name]

    path = changed(original, tmp_path / "flat.pt", flatten)
    found = [checkpoint.load(path, fast=fast).predict_proba(TEXTS) for fast in (True, False)]
    torch.testing.assert_close(*found)


def test_a_config_of_fewer_layers_than_the_file_has_is_refused(original: Path, tmp_path: Path) -> None:
    path = changed(
        original, tmp_path / "cut.pt", lambda content: content["backbone_config"].update(num_hidden_layers=1)
    )
    assert "must hold no tensors but its config's model's, found 'bert.encoder.layer.1." in refusal(path)


ODD = ["[red]x[/]", "../../x", "\x1b]0;owned\x07", "a\nb", "x" * 10_000_000]


@pytest.mark.parametrize("name", [*ODD, "", 7, None])
def test_a_name_that_is_none_is_refused(name: object, original: Path, tmp_path: Path) -> None:
    """It would be printed, and be part of file names."""
    found = refusal(changed(original, tmp_path / "odd.pt", lambda content: content.update(model_name=name)))
    assert "model_name must be letters, digits" in found
    assert found.isprintable()
    assert len(found) < 500


@pytest.mark.parametrize("label", [*ODD[2:], "\u2028", "joy "])
def test_labels_that_are_not_one_line_or_not_distinct_are_refused(label: str, original: Path, tmp_path: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        content["config"]["labels"][0] = label

    found = refusal(changed(original, tmp_path / "odd.pt", change))
    assert "labels.names: must" in found
    assert found.isprintable()
    assert len(found) < 500


@pytest.mark.parametrize("labels", ["abcdef", [1, 2, 3, 4, 5, 6], {"a": 1}])
def test_labels_that_are_no_list_of_names_are_refused(labels: object, original: Path, tmp_path: Path) -> None:
    path = changed(original, tmp_path / "odd.pt", lambda content: content["config"].update(labels=labels))
    assert "config.labels must be a list of names" in refusal(path)


def with_tokenizer(original: Path, target: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Save the checkpoint with its ``tokenizer.json`` changed."""

    def plant(content: dict[str, Any]) -> None:
        settings = json.loads(content["tokenizer"]["tokenizer.json"].numpy().tobytes())
        change(settings)
        content["tokenizer"]["tokenizer.json"] = as_file(json.dumps(settings).encode())

    return changed(original, target, plant)


def test_a_tokenizer_of_more_tokens_than_the_model_has_is_refused(original: Path, tmp_path: Path) -> None:
    path = with_tokenizer(
        original,
        tmp_path / "more.pt",
        lambda settings: settings["model"]["vocab"].update({f"w{n}": n for n in range(10**4)}),
    )
    assert "must hold a tokenizer of at most" in refusal(path)


def test_a_token_that_the_model_has_no_row_for_is_refused(original: Path, tmp_path: Path) -> None:
    path = with_tokenizer(
        original, tmp_path / "beyond.pt", lambda settings: settings["model"]["vocab"].update({"happy": 10**6})
    )
    predictor = checkpoint.load(path)
    assert len(predictor.predict(["sad", "very sad"])) == 2
    with pytest.raises(UserError, match=r"^weights: must have a tokenizer with ids from 0 to \d+, .* found 1000000$"):
        predictor.predict(["sad", "happy"])


def test_a_pattern_that_takes_too_many_tries_is_an_error_of_one_line(
    originals: dict[str, Path], tmp_path: Path
) -> None:
    replace = {"type": "Replace", "pattern": {"Regex": "(x+x+)+y"}, "content": "x"}
    original = originals["modernbert"]  # its tokenizer keeps to the file's normaliser
    path = with_tokenizer(original, tmp_path / "pattern.pt", lambda settings: settings.update(normalizer=replace))
    predictor = checkpoint.load(path)
    with pytest.raises(UserError, match=r"^weights: must have a tokenizer for all texts, found .*retry-limit"):
        predictor.predict(["x" * 60])


def test_replacements_that_let_a_text_grow_without_end_are_refused(originals: dict[str, Path], tmp_path: Path) -> None:
    """Eight of them would make terabytes of one letter, and tokenizers would end the process."""
    grow = {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 50}
    normalizer = {"type": "Sequence", "normalizers": [grow] * 8}
    path = with_tokenizer(
        originals["modernbert"], tmp_path / "grow.pt", lambda settings: settings.update(normalizer=normalizer)
    )
    assert "lets texts grow 100 times at most" in refusal(path)


@pytest.mark.parametrize("value", [5, "!", "AAAA"])
def test_files_in_metadata_that_are_damaged_are_refused(value: object, original: Path, tmp_path: Path) -> None:
    predictor = checkpoint.load(original)
    predictor.model = OnnxClassifier(constant_logits(1, 6), predictor.torch_model.config)
    path = tmp_path / "damaged.onnx"
    checkpoint.save(predictor, path)
    model = onnx.load(path)
    (entry,) = [each for each in model.metadata_props if each.key == "emotion_checkpoint"]
    content = json.loads(entry.value)
    content["tokenizer"]["tokenizer.json"] = {"zlib_base64": value}
    entry.value = json.dumps(content)
    onnx.save(model, path)
    assert "truncated or foreign" in refusal(path)


def test_threads_may_load_at_once(original: Path, tmp_path: Path) -> None:
    predictor = checkpoint.load(original)
    predictor.model = quantized(predictor.torch_model, threshold=6.0)
    checkpoint.save(predictor, tmp_path / "int8.pt")
    expected = {path: checkpoint.load(path).predict_proba(TEXTS) for path in (original, tmp_path / "int8.pt")}
    failures: list[object] = []

    def load_and_compare(path: Path) -> None:
        try:
            assert torch.equal(checkpoint.load(path).predict_proba(TEXTS), expected[path])
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=load_and_compare, args=(path,)) for path in [*expected] * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.parametrize("kind", ["minilm", "bertweet"])
def test_eight_threads_share_a_loaded_predictor(kind: str, originals: dict[str, Path]) -> None:
    predictor = checkpoint.load(originals[kind])
    parts = [TEXTS[start:] + TEXTS[:start] for start in range(8)]
    expected = [predictor.predict_proba(part) for part in parts]
    predictor = checkpoint.load(originals[kind])  # nothing is warm but what loading leaves
    found: dict[int, torch.Tensor] = {}

    def predict(number: int) -> None:
        for _ in range(3):
            found[number] = predictor.predict_proba(parts[number])

    threads = [threading.Thread(target=predict, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(found[number], expected[number]) for number in range(8))
