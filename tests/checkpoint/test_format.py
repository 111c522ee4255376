"""Pruned matrices are stored without their zeros: every bit comes back, and the file is as small as arithmetic says."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from emotion.checkpoint import load, save, write
from emotion.checkpoint.format import FORMAT, SCHEMA_VERSION, read, state_dict
from emotion.compression.steps.prune import PruneConfig, prune_
from emotion.errors import UserError
from support.files import TEXTS
from support.predictors import KINDS, untrained

pytestmark = pytest.mark.usefixtures("one_thread")

PLAIN = {"model_id": "owner/model", "model_name": "Model", "config": {"max_length": 8, "num_labels": 6}}
FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
SHAPES = [(1, 1), (1, 7), (3, 5), (8, 8), (2, 3, 5), (13, 17)]


def bits(tensor: Tensor) -> bytes:
    return tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes()


def round_trip(tensors: dict[str, Tensor], folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The content of a file with these tensors, and the tensors that are read from it."""
    write({"model_state_dict": tensors, **PLAIN}, folder / "model.pt")
    content = read(folder / "model.pt")
    return content, state_dict(content)


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert (found[name].dtype, found[name].shape) == (tensor.dtype, tensor.shape)
        assert bits(found[name]) == bits(tensor), name


@pytest.mark.parametrize("dtype", [*FLOATS, torch.int8, torch.uint8, torch.int64, torch.bool])
def test_every_bit_comes_back_wherever_there_are_zeros(dtype: torch.dtype, tmp_path: Path) -> None:
    torch.manual_seed(0)
    tensors = {}
    for shape in SHAPES:
        values = (torch.randn(shape) * 9).to(dtype)
        values[torch.rand(shape) < 0.6] = 0
        tensors[f"some {shape}"] = values
        tensors[f"all {shape}"] = torch.zeros(shape, dtype=dtype)
        tensors[f"none {shape}"] = torch.ones(shape, dtype=dtype)
    tensors |= {
        "vector": torch.zeros(500, dtype=dtype),
        "scalar": torch.zeros((), dtype=dtype),
        "empty": torch.zeros(0, 4, dtype=dtype),
        "transposed": tensors["some (13, 17)"].T,
    }
    content, found = round_trip(tensors, tmp_path)
    assert_same(found, tensors)
    assert "transposed" in content["sparse_state_dict"], "otherwise nothing was tested"
    dense = {"vector", "scalar", "empty", *(name for name in tensors if name.startswith("none"))}
    assert dense <= content["model_state_dict"].keys()
    assert not content["model_state_dict"].keys() & content["sparse_state_dict"].keys()


@pytest.mark.parametrize("dtype", FLOATS)
def test_negative_zeros_nan_and_infinities_come_back(dtype: torch.dtype, tmp_path: Path) -> None:
    values = torch.zeros(30, 30, dtype=dtype)
    smallest = torch.finfo(dtype).smallest_normal / 4  # subnormal
    values.view(-1)[:8] = torch.tensor(
        [-0.0, float("nan"), float("inf"), float("-inf"), smallest, -smallest, 1.0, -0.0], dtype=dtype
    )
    content, found = round_trip({"values": values, "negative": torch.full((5, 5), -0.0, dtype=dtype)}, tmp_path)
    assert_same({"values": found["values"]}, {"values": values})
    assert len(content["sparse_state_dict"]["values"]["values"]) == 8
    assert torch.signbit(found["negative"]).all()
    assert "negative" in content["model_state_dict"], "negative zeros are kept as values"


def test_the_documented_layout_of_a_pruned_matrix(tmp_path: Path) -> None:
    matrix = torch.zeros(3, 4)
    matrix[0, 1], matrix[2, 3] = 5.0, -6.0
    packed = round_trip({"matrix": matrix}, tmp_path)[0]["sparse_state_dict"]["matrix"]
    assert packed["mask"].tolist() == [0b0100_0000, 0b0001_0000]
    assert packed["mask"].dtype == torch.uint8
    assert packed["values"].tolist() == [5.0, -6.0]
    assert packed["shape"] == [3, 4]


@pytest.mark.parametrize(("dtype", "zeros"), [(torch.float32, 1 / 32), (torch.float16, 1 / 16), (torch.int8, 1 / 8)])
def test_a_matrix_is_stored_without_zeros_only_where_that_saves_bytes(
    dtype: torch.dtype, zeros: float, tmp_path: Path
) -> None:
    """The mask costs one bit per element, so it pays once more than one in 32, 16 or 8 elements is zero."""

    def is_sparse(count: int) -> bool:
        matrix = torch.ones(64, 64, dtype=dtype)
        matrix.view(-1)[:count] = 0
        return "matrix" in round_trip({"matrix": matrix}, tmp_path)[0]["sparse_state_dict"]

    even = int(zeros * 64 * 64)
    assert not is_sparse(even)
    assert is_sparse(even + 1)


@pytest.mark.parametrize(("dtype", "amount"), [(torch.float32, 0.3), (torch.float32, 0.9), (torch.float16, 0.3)])
def test_zeros_cost_a_bit_each_on_disk(dtype: torch.dtype, amount: float, tmp_path: Path) -> None:
    torch.manual_seed(0)
    rows, columns = 300, 401
    matrix = torch.randn(rows, columns).to(dtype)
    matrix[matrix == 0] = 1
    dense, sparse = tmp_path / "dense.pt", tmp_path / "sparse.pt"
    write({"model_state_dict": {"matrix": matrix}, **PLAIN}, dense)
    matrix.view(-1)[torch.randperm(matrix.numel())[: int(amount * matrix.numel())]] = 0
    write({"model_state_dict": {"matrix": matrix}, **PLAIN}, sparse)
    saved = amount * matrix.numel() * matrix.element_size() - math.ceil(matrix.numel() / 8)
    assert dense.stat().st_size - sparse.stat().st_size == pytest.approx(saved, abs=1000)


@pytest.mark.parametrize("kind", KINDS)
def test_a_pruned_models_file_is_smaller_and_loads_as_it_was(
    kind: str, backbones: dict[str, Path], tmp_path: Path
) -> None:
    checkpoint = untrained(kind, backbones[kind])
    save(checkpoint, tmp_path / "dense.pt")
    prune_(checkpoint.model, PruneConfig(amount=0.6, scope="layer", include_head=False))
    save(checkpoint, tmp_path / "pruned.pt")
    loaded = load(tmp_path / "pruned.pt")
    assert_same(dict(loaded.model.state_dict()), dict(checkpoint.model.state_dict()))
    assert torch.equal(loaded.predict_proba(TEXTS), checkpoint.predict_proba(TEXTS))
    assert loaded.precision == "float32"

    dense, pruned = (read(tmp_path / name) for name in ("dense.pt", "pruned.pt"))
    assert dense["sparse_state_dict"] == {}
    elements = [math.prod(packed["shape"]) for packed in pruned["sparse_state_dict"].values()]
    assert len(elements) == (8 if kind == "modernbert" else 12)
    saved = sum(4 * round(0.6 * count) - math.ceil(count / 8) for count in elements)
    records = 500 * len(elements)  # overhead of the archive and the pickle: two tensors in place of one
    difference = (tmp_path / "dense.pt").stat().st_size - (tmp_path / "pruned.pt").stat().st_size
    assert saved - records < difference <= saved


def test_a_file_of_the_first_schema_loads(backbones: dict[str, Path], tmp_path: Path) -> None:
    """Such a file has no ``sparse_state_dict``."""
    original = untrained("minilm", backbones["minilm"])
    save(original, tmp_path / "now.pt")
    content = torch.load(tmp_path / "now.pt", weights_only=True)
    assert content["format"] == FORMAT
    assert content["schema_version"] == SCHEMA_VERSION == 2
    content["schema_version"] = 1
    del content["sparse_state_dict"]
    torch.save(content, tmp_path / "first.pt")
    assert torch.equal(load(tmp_path / "first.pt").predict_proba(TEXTS), original.predict_proba(TEXTS))


@pytest.mark.parametrize("how", ["newer", "values missing", "another shape", "no mask", "a list"])
def test_a_damaged_pruned_file_is_refused_in_one_line(how: str, backbones: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "pruned.pt"
    checkpoint = untrained("minilm", backbones["minilm"])
    prune_(checkpoint.model, PruneConfig(amount=0.3, scope="layer", include_head=False))
    save(checkpoint, path)
    content = torch.load(path, weights_only=True)
    name, packed = next(iter(content["sparse_state_dict"].items()))
    match how:
        case "newer":
            content["schema_version"] = SCHEMA_VERSION + 1
        case "values missing":
            packed["values"] = packed["values"][:-1]
        case "another shape":
            packed["shape"] = [packed["shape"][0] + 1, packed["shape"][1]]
        case "no mask":
            del packed["mask"]
        case "a list":
            content["sparse_state_dict"] = [name]
    torch.save(content, path)
    with pytest.raises(UserError) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    if how == "newer":
        assert "must have schema version <= 2, found 3" in str(caught.value)
