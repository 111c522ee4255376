"""Export to ONNX Runtime: torch's logits in FP32, close ones in INT8, and a head that is kept bit for bit."""

import logging
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from emotion.checkpoint import load, save
from emotion.compression import CompressConfig, export_onnx, export_onnx_int8
from emotion.compression.steps.drop_layers import drop_layers_
from emotion.compression.steps.narrow import narrow_
from emotion.compression.steps.registry import DropLayersConfig, NarrowConfig, OnnxConfig, TrimVocabularyConfig
from emotion.compression.steps.trim_vocabulary import trim_vocabulary_
from emotion.config import compose_config, resolve
from emotion.errors import UserError
from emotion.models import Predictor, int8_products_overflow, position_limit
from support.files import TEXTS, sample_rows
from support.layers import lively
from support.predictors import KINDS

pytestmark = pytest.mark.usefixtures("one_thread")

SHAPES = [(1, 1), (1, 2), (2, 5), (3, 17), (1, 48), (4, 48)]
"""(texts, tokens) of a batch; the model is exported with an example of (2, 5), and the longest is of max_length."""
INT8_KINDS = ("cardiff", "modernbert", "minilm")
"""Without BERTweet, whose architecture is Cardiff's, as each export takes seconds."""
HEADS = {
    "cardiff": ["classifier.dense.weight", "classifier.out_proj.weight"],
    "modernbert": ["head.dense.weight", "classifier.weight"],
    "minilm": ["bert.pooler.dense.weight", "classifier.weight"],
}
CALIBRATION = [text for text, _ in sample_rows("train", 64)]
LINEAR_LAYERS = {"cardiff": 12, "modernbert": 8, "minilm": 12}
"""Outside the head, of two Transformer layers."""


@dataclass(frozen=True)
class Exported:
    """A checkpoint and its exports."""

    original: Predictor
    state: dict[str, Tensor]
    """The original's state dict, copied before the export."""
    fp32: Predictor
    int8: Predictor | None

    @property
    def all(self) -> list[Predictor]:
        return [self.fp32, self.int8] if self.int8 else [self.fp32]


@pytest.fixture(scope="session")
def exported(originals: dict[str, Path]) -> dict[str, Exported]:
    """Each tiny checkpoint, exported once."""
    results = {}
    for kind, path in originals.items():
        original = load(path)
        state = {name: value.clone() for name, value in original.torch_model.state_dict().items()}
        config = OnnxConfig(per_channel=True, reduce_range=True, embedding_bits=8)
        int8 = export_onnx_int8(original, config, CALIBRATION) if kind in INT8_KINDS else None
        results[kind] = Exported(original, state, export_onnx(original), int8)
    return results


def batch(checkpoint: Predictor, rows: int, tokens: int) -> dict[str, Tensor]:
    """Random tokens: the first text has no padding, each later one has more, and the last has a single token."""
    generator = torch.Generator().manual_seed(rows * 100 + tokens)
    ids = torch.randint(5, 300, (rows, tokens), generator=generator)
    lengths = torch.linspace(tokens, 1, rows).ceil().long()
    mask = (torch.arange(tokens) < lengths[:, None]).long()
    return {"input_ids": ids.where(mask == 1, checkpoint.tokenizer.pad_token_id), "attention_mask": mask}


@torch.inference_mode()
def logits(checkpoint: Predictor, shape: tuple[int, int]) -> Tensor:
    found: Tensor = checkpoint.model(**batch(checkpoint, *shape)).logits
    return found


def tensors(checkpoint: Predictor) -> dict[str, np.ndarray]:
    """The constants of an ONNX model by name."""
    model = onnx.load_from_string(checkpoint.model.serialized)
    return {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}


def operators(checkpoint: Predictor) -> list[str]:
    return [node.op_type for node in onnx.load_from_string(checkpoint.model.serialized).graph.node]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_those_of_torch_for_any_batch_size_and_length(
    kind: str, shape: tuple[int, int], exported: dict[str, Exported]
) -> None:
    each = exported[kind]
    torch.testing.assert_close(logits(each.fp32, shape), logits(each.original, shape), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("kind", "before_the_first"), [("minilm", 0), ("cardiff", 2)])
def test_positions_are_as_many_as_a_text_has_tokens(
    kind: str, before_the_first: int, exported: dict[str, Exported]
) -> None:
    each = exported[kind]
    rows = {name: len(values) for name, values in tensors(each.fp32).items() if "position_embeddings" in name}
    assert list(rows.values()) == [48 + before_the_first] == [each.fp32.model.config.max_position_embeddings]
    assert len(each.original.torch_model.base_model.embeddings.position_embeddings.weight) > 48 + before_the_first
    assert position_limit(each.fp32.model.config) == 48


@pytest.mark.parametrize("kind", ["minilm", "cardiff"])
def test_attention_is_one_operator_without_transposes(kind: str, exported: dict[str, Exported]) -> None:
    found = operators(exported[kind].fp32)
    assert found.count("Attention") == 2
    assert "Transpose" not in found
    assert not any("token_type" in name for name in tensors(exported[kind].fp32))


@pytest.mark.parametrize("kind", KINDS)
def test_probabilities_stay_the_same(kind: str, exported: dict[str, Exported]) -> None:
    expected = exported[kind].original.predict_proba(TEXTS)
    assert len(set(expected.argmax(-1).tolist())) > 1, "the labels must differ, or any bug would pass"
    torch.testing.assert_close(exported[kind].fp32.predict_proba(TEXTS), expected, rtol=1e-3, atol=1e-4)


@torch.inference_mode()
@pytest.mark.parametrize("kind", INT8_KINDS)
def test_int8_predictions_are_close_to_the_original(kind: str, exported: dict[str, Exported]) -> None:
    each = exported[kind]
    rows = each.original.encoder.encode(TEXTS)
    errors = [
        (each.int8.model(**inputs).logits - each.original.model(**inputs).logits).abs()
        for _, inputs in each.original.batches(rows, batch_size=5)
    ]
    assert 0 < torch.cat(errors).mean() < 0.5, "the logits of different texts are about 2 apart"
    found, expected = each.int8.predict_proba(TEXTS), each.original.predict_proba(TEXTS)
    assert 0 < (found - expected).abs().mean() < 0.03
    assert (found.argmax(-1) == expected.argmax(-1)).float().mean() > 0.85


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([], True),
        (["onnx.reduce_range=false"], False),
        (["onnx.reduce_range=auto"], int8_products_overflow()),
    ],
)
def test_weights_have_7_bits_unless_asked_otherwise(
    overrides: list[str], expected: bool, originals: dict[str, Path]
) -> None:
    config = resolve(compose_config("compress", overrides), CompressConfig).onnx
    made = export_onnx_int8(load(originals["minilm"]), config, CALIBRATION)
    assert made.metadata["onnx"]["reduce_range"] is expected
    weights = [value.astype(int) for name, value in tensors(made).items() if name.endswith("_quantized")]
    assert (max(np.abs(weight).max() for weight in weights) <= 64) == expected


def test_8_bit_weights_are_exact_or_a_warning_says_that_they_are_not(
    exported: dict[str, Exported], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Tests what is promised for the processor at hand, which may have VNNI or not."""
    original = exported["minilm"].original
    save(
        export_onnx_int8(original, OnnxConfig(per_channel=True, reduce_range=False, embedding_bits=8), CALIBRATION),
        tmp_path / "eight.onnx",
    )
    save(exported["minilm"].int8, tmp_path / "seven.onnx")
    caplog.clear()
    loaded = load(tmp_path / "eight.onnx")
    warnings = [record.getMessage() for record in caplog.records if record.name.startswith("emotion")]
    if int8_products_overflow():
        (warning,) = warnings
        assert "eight.onnx: has 8-bit weights, whose products overflow on this processor" in warning
    else:
        assert warnings == []
        found, expected = loaded.predict_proba(TEXTS), original.predict_proba(TEXTS)
        assert 0 < (found - expected).abs().mean() < 0.03
    caplog.clear()
    load(tmp_path / "seven.onnx")
    assert not [record for record in caplog.records if record.name.startswith("emotion")]


@pytest.mark.parametrize("kind", INT8_KINDS)
def test_all_matrices_outside_the_head_are_int8(kind: str, exported: dict[str, Exported]) -> None:
    each = exported[kind]
    found = tensors(each.int8)
    floats = [value for value in found.values() if value.dtype == np.float32]
    for name in HEADS[kind]:
        weight = each.state[name].numpy()
        kept = [value for value in floats if weight.tobytes() in (value.tobytes(), value.T.tobytes())]
        assert kept, f"{name} must be there, bit for bit"
    matrices = [value for value in floats if value.ndim == 2 and min(value.shape) > 1 and value.shape[1] != 1]
    assert len(matrices) == len(HEADS[kind]), "no other matrix stays in FP32"
    assert operators(each.int8).count("MatMulInteger") == LINEAR_LAYERS[kind]
    nodes = onnx.load_from_string(each.int8.model.serialized).graph.node
    makers = {output: node.op_type for node in nodes for output in node.output}
    quantized = [makers[node.input[0]] for node in nodes if node.op_type == "QuantizeLinear"]
    assert "DynamicQuantizeLinear" not in makers.values(), "a scale per batch would make labels depend on the batch"
    assert set(quantized) == {"Mul"}, "what is quantised must be smoothed first"
    assert "MatMulInteger" not in operators(each.fp32)
    embeddings = 1 if kind == "modernbert" else 2  # of tokens, and of positions with the token type added to them
    assert sum(value.dtype == np.int8 and value.ndim == 2 for value in found.values()) == (
        LINEAR_LAYERS[kind] + embeddings
    )


@pytest.mark.parametrize("kind", KINDS)
def test_the_original_is_left_as_it_is(kind: str, exported: dict[str, Exported]) -> None:
    each = exported[kind]
    state = each.original.torch_model.state_dict()
    assert state.keys() == each.state.keys()
    assert all(torch.equal(state[name], value) for name, value in each.state.items())
    assert not any(module._forward_pre_hooks for module in each.original.torch_model.modules())
    assert "onnx" not in each.original.metadata
    assert each.fp32.metadata == {**each.original.metadata, "onnx": {"opset": 23, "weights": "float32"}}
    if each.int8:
        settings = {
            "opset": 23,
            "weights": "int8",
            "per_channel": True,
            "reduce_range": True,
            "embedding_bits": 8,
            "calibration_texts": 64,
        }
        assert each.int8.metadata["onnx"] == settings


def test_no_path_of_this_machine_is_in_the_model(exported: dict[str, Exported]) -> None:
    for each in exported.values():
        for checkpoint in each.all:
            assert b".py" not in checkpoint.model.serialized
            assert str(Path.home()).encode() not in checkpoint.model.serialized


def test_saved_models_predict_the_same_elsewhere_without_network_or_exporter(
    exported: dict[str, Exported], tmp_path: Path
) -> None:
    expected = {}
    for kind, each in exported.items():
        for number, checkpoint in enumerate(each.all):
            path = tmp_path / f"{kind}_{number}.onnx"
            save(checkpoint, path)
            expected[str(path)] = checkpoint.predict_proba(TEXTS)
    torch.save((TEXTS, expected), tmp_path / "expected.pt")
    code = f"""
import socket, sys
def refuse(*_): raise OSError("no network here")
socket.socket.connect = refuse
for name in ("onnxscript", "onnx_ir", "onnxruntime.quantization"):
    sys.modules[name] = None
import torch
from emotion.checkpoint import load, save
torch.set_num_threads(1)
texts, expected = torch.load({str(tmp_path / "expected.pt")!r})
for path, probabilities in expected.items():
    assert torch.equal(load(path).predict_proba(texts), probabilities), path
print(len(expected))
"""
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (0, "7\n"), run.stderr


def test_a_shrunk_model_exports_quietly(backbones: dict[str, Path], capfd: pytest.CaptureFixture[str]) -> None:
    """Local attention covers fewer tokens than texts have, so some tokens have no padding within reach."""
    checkpoint = lively("modernbert", backbones["modernbert"])
    texts, labels = zip(*sample_rows("train", 40), strict=True)
    trim_vocabulary_(checkpoint, TrimVocabularyConfig(min_count=1), texts)
    narrow_(checkpoint, NarrowConfig(ffn=0.5, heads=0.5, hidden=1.0), texts, labels)
    drop_layers_(checkpoint.torch_model, DropLayersConfig(keep=[0, 1]))
    assert {layer.attention_type for layer in checkpoint.torch_model.model.layers} == {
        "full_attention",
        "sliding_attention",
    }
    capfd.readouterr()
    small = export_onnx(checkpoint)
    assert capfd.readouterr() == ("", "")
    torch.testing.assert_close(small.predict_proba(TEXTS), checkpoint.predict_proba(TEXTS), rtol=1e-3, atol=1e-4)


class _Unexportable(nn.Module):
    def forward(self, hidden: Tensor) -> Tensor:
        return hidden if hidden.numpy().sum() > 0 else -hidden


def test_a_model_that_cannot_be_exported_is_refused_in_one_line(originals: dict[str, Path]) -> None:
    checkpoint = load(originals["minilm"])
    checkpoint.torch_model.dropout = _Unexportable()
    with pytest.raises(UserError, match="onnx: must have a model that can be exported, found ") as caught:
        export_onnx(checkpoint)
    assert "\n" not in str(caught.value)


def test_an_exported_model_cannot_be_exported_again(exported: dict[str, Exported]) -> None:
    with pytest.raises(UserError, match=r"must be a \.pt checkpoint"):
        export_onnx(exported["minilm"].fp32)


def test_without_the_exporters_packages_the_error_says_what_to_install(originals: dict[str, Path]) -> None:
    code = f"""
import sys
sys.modules["onnxscript"] = None
from emotion.checkpoint import load, save
from emotion.compression import export_onnx
from emotion.errors import UserError
try:
    export_onnx(load({str(originals["minilm"])!r}))
except UserError as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 'found no onnxscript: pip install -e ".[onnx]"\n' in run.stdout
    assert run.stdout.count("\n") == 1


def test_exporting_logs_nothing(originals: dict[str, Path], caplog: pytest.LogCaptureFixture) -> None:
    """The exporter's and the quantiser's own messages would hide what users must read."""
    with caplog.at_level(logging.INFO):
        export_onnx_int8(
            load(originals["minilm"]), OnnxConfig(per_channel=True, reduce_range="auto", embedding_bits=8), CALIBRATION
        )
    assert [record.getMessage() for record in caplog.records if "torch.__trace" not in record.name] == []
