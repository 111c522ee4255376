"""ONNX models that would take all memory or time, read files or run more than a graph are refused before they do."""

import resource
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import onnx
import pytest
import torch

from emotion import checkpoint
from emotion.checkpoint import onnx_format
from emotion.compression import export_onnx
from emotion.errors import UserError
from support.files import TEXTS
from support.onnx_bombs import BOMBS, external_weight, function, weight_without_bytes, with_nodes
from support.onnx_models import node

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def exported(originals: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> onnx.ModelProto:
    """A checkpoint in ONNX; not to be changed."""
    path = tmp_path_factory.mktemp("exported") / "model.onnx"
    checkpoint.save(export_onnx(checkpoint.load(originals["minilm"])), path)
    return onnx.load(path)


def placed(model: onnx.ModelProto, exported: onnx.ModelProto, path: Path) -> Path:
    """Save a checkpoint like ``exported`` with ``model`` in it, as strangers do who have a writer of their own."""
    model.metadata_props.extend(each for each in exported.metadata_props if each.key == onnx_format.KEY)
    path.write_bytes(model.SerializeToString())
    return path


def refusal(path: Path) -> str:
    """The refusal of a file, which must come soon and take little memory."""
    started, before = monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError) as caught:
        checkpoint.load(path)
    assert monotonic() - started < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_harmless_form_loads(exported: onnx.ModelProto, tmp_path: Path) -> None:
    path = placed(with_nodes([node("Identity", "one", "extra")]), exported, tmp_path / "model.onnx")
    found = checkpoint.load(path).predict_proba(TEXTS[:3])
    torch.testing.assert_close(found, torch.full((3, 6), 1 / 6))


SIZES, LIMIT, OPERATOR = (
    "must have sizes that follow from",
    "must compute at most",
    "must use operators of a classifier",
)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("expand", LIMIT),
        ("tile", LIMIT),
        ("range", LIMIT),
        ("constant of shape", OPERATOR),
        ("pad", OPERATOR),
        ("loop", OPERATOR),
        ("endless loop", OPERATOR),
        ("doubled", LIMIT),
        ("doubled sizes", LIMIT),
        ("squared", LIMIT),
        ("for longer texts", LIMIT),
        ("by token", SIZES),
        ("for shorter texts", SIZES),
        ("matrix products", LIMIT),
        ("long products", LIMIT),
        ("many nodes", "must be a graph of at most 10,000 nodes"),
        ("custom operator", OPERATOR),
        ("random numbers", OPERATOR),
        ("a tensor in a node", OPERATOR),
    ],
)
def test_a_bomb_is_refused(kind: str, words: str, exported: onnx.ModelProto, tmp_path: Path) -> None:
    found = refusal(placed(with_nodes(BOMBS[kind]()), exported, tmp_path / "bomb.onnx"))
    assert words in found
    assert found.endswith("refused")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (external_weight, "in another file"),
        (weight_without_bytes, "must hold weights with all their bytes"),
        (function, "must be one plain ONNX graph"),
    ],
)
def test_a_model_that_is_not_whole_is_refused(
    change: Callable[[onnx.ModelProto], None], words: str, exported: onnx.ModelProto, tmp_path: Path
) -> None:
    model = with_nodes([node("Identity", "one", "extra")])
    change(model)
    assert words in refusal(placed(model, exported, tmp_path / "odd.onnx"))


@pytest.mark.parametrize("end", ["input", "output"])
def test_renamed_inputs_and_outputs_are_refused_on_loading(end: str, exported: onnx.ModelProto, tmp_path: Path) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(exported)
    getattr(model.graph, end)[0].name = "odd"
    (tmp_path / "renamed.onnx").write_bytes(model.SerializeToString())
    assert f"must have the {end}s " in refusal(tmp_path / "renamed.onnx")
