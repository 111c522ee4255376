"""A bound on the memory and time of an ONNX model, found without running it.

Nodes of a few bytes can ask for terabytes, at once or only for some texts. So sizes are worked out node by node, by
onnx's own rules, for a prime number of texts of another prime number of tokens: what a result's size can be divided by
shows what it grows with. The primes are drawn at random, so that no file can be made to fit them.

This holds for all texts, because sizes may depend on nothing else and never shrink as texts or tokens become more:
``Shape`` gives them, ``Reshape``, ``Expand``, ``Tile``, ``Range`` and ``Slice`` take them, and between the two they are
put together and multiplied but not otherwise computed with. Exported models are so. A node takes some 30 microseconds,
and no weight is looked at: it is 1 % of the time in which MiniLM is loaded.
"""

import math
from collections import Counter
from functools import cache
from pathlib import Path
from random import SystemRandom
from typing import Any

import numpy as np

from emotion.errors import UserError, first_line, quoted
from emotion.models import require_packages

Shape = tuple[int, ...]

MOST_NODES = 10_000
"""Six times those of ModernBERT in INT8."""
_PRIMES = [number for number in range(10_007, 20_000, 2) if all(number % odd for odd in range(3, 142, 2))]
_MOST_DIMENSIONS = 8
"""Of a result, and so sizes in a list of them."""
_SIZE_INPUTS = {"Reshape": 1, "Expand": 1, "Tile": 1, "Range": 1, "Slice": 2}
"""Place of the input that may be a size by operator; all other inputs that a result's size depends on are constants."""
_CALL, _TOKEN, _PAIR = "a call", "a token", "a pair of tokens"


def require_within_limits(model: Any, path: Path) -> None:
    """Refuse an ``onnx.ModelProto`` that computes more than a Transformer with as many weights.

    Raises:
        UserError: It does, or its sizes depend on more than the numbers of texts and tokens.
    """
    nodes = model.graph.node
    if len(nodes) > MOST_NODES:
        raise UserError(f"{path}: must be a graph of at most {MOST_NODES:,} nodes, found {len(nodes):,}; refused")
    weights = sum(math.prod(each.dims) for each in model.graph.initializer)
    limits = _limits(weights)
    found: Counter[tuple[str, str]] = Counter()
    sizes = _Sizes(model)
    for node in nodes:
        try:
            counts = sizes.add(node)
        except Exception as error:  # onnx's own kinds, and numpy's
            raise UserError(
                f"{path}: must have sizes that follow from the numbers of texts and tokens, found a"
                f" {node.op_type} whose do not ({quoted(first_line(error))}); refused"
            ) from error
        for what, count in counts:
            growth, factor = sizes.growth(count)
            found[what, growth] += factor
            limit = limits.get((what, growth), 0)
            if found[what, growth] > limit:
                raise UserError(
                    f"{path}: must compute at most {limit:,} {what} {growth} with {weights:,} weights, found more by"
                    f" {quoted(node.op_type)}; refused"
                )


def _limits(weights: int) -> dict[tuple[str, str], int]:
    """Return how many numbers all results together may hold, and how many products they may take to compute.

    Each is several times what exports need. Results are about as wide as the square root of the weights; a product
    with a weight is done for each token, and once for each layer that shares it, as ALBERT's 12 or 24 do.
    """
    width = math.isqrt(weights)
    return {
        ("numbers", _CALL): 1_000_000 + 4 * weights,
        ("numbers", _TOKEN): 20_000 + 128 * width,
        ("numbers", _PAIR): 256 + width,
        ("products", _CALL): 10_000_000 + 64 * weights,
        ("products", _TOKEN): 1_000_000 + 32 * weights,
        ("products", _PAIR): 10_000 + 64 * width,
    }


class _Sizes:
    """The types of a graph's results, and the values of those that are sizes."""

    def __init__(self, model: Any) -> None:
        self.onnx, self.inference = require_packages("onnx", "onnx.shape_inference")
        self.texts, self.tokens = SystemRandom().sample(_PRIMES, 2)
        self.opsets, self.schema = model.opset_import, cache(self._find_schema)
        tensor_type, integer = self.onnx.helper.make_tensor_type_proto, self.onnx.TensorProto.INT64
        weights = model.graph.initializer
        self.types = {each.name: tensor_type(each.data_type, tuple(each.dims)) for each in weights}
        self.shapes: dict[str, Shape] = {each.name: tuple(each.dims) for each in weights}
        for each in model.graph.input:
            self.shapes[each.name] = (self.texts, self.tokens)
            self.types[each.name] = tensor_type(integer, self.shapes[each.name])
        self.constants = {each.name: each for each in weights if math.prod(each.dims) <= _MOST_DIMENSIONS}
        to_array = self.onnx.numpy_helper.to_array
        self.values = {name: to_array(each) for name, each in self.constants.items() if each.data_type == integer}

    def _find_schema(self, operator: str) -> Any:
        return self.onnx.defs.get_schema(operator, self.opsets[0].version, "")

    def add(self, node: Any) -> list[tuple[str, int]]:
        """Work out the sizes of a node's results, and return how many numbers and products each takes.

        Raises:
            Exception: They do not follow.
        """
        for name, kind in self._infer(node).items():
            self.types[name], self.shapes[name] = kind, _shape(kind)
        self._pass_sizes_on(node)
        first = self.shapes[node.input[0]]
        sizes = [math.prod(self.shapes[name]) for name in node.output if name]
        factor, scores = 1, []
        if node.op_type in ("MatMul", "MatMulInteger", "Gemm"):
            factor = first[0 if any(each.name == "transA" and each.i for each in node.attribute) else -1]
        elif node.op_type == "Attention":
            factor = self.shapes[node.input[1]][-2]
            scores = [math.prod(first[:3]) * factor]
        return [("numbers", size) for size in sizes + scores] + [("products", size * factor) for size in sizes]

    def _infer(self, node: Any) -> dict[str, Any]:
        """Return the types of a node's results by name."""
        data = {name: self.constants[name] for name in node.input if name in self.constants}
        place = _SIZE_INPUTS.get(node.op_type, len(node.input))
        if place < len(node.input) and node.input[place] not in data:
            name = node.input[place]
            data[name] = self.onnx.numpy_helper.from_array(self.values[name], name)
            if node.op_type in ("Range", "Slice"):
                self._require_from_start(node)
            if node.op_type == "Slice":
                return {node.output[0]: self._cut(node)}
        inputs = {name: self.types[name] for name in node.input if name}
        schema = self.schema(node.op_type)
        found: dict[str, Any] = self.inference.infer_node_outputs(schema, node, inputs, data, opset_imports=self.opsets)
        return found

    def growth(self, count: int) -> tuple[str, int]:
        """Return what ``count`` grows with, and the factor that is left without it."""
        powers = []
        for prime in (self.texts, self.tokens):
            powers.append(0)
            while count and count % prime == 0:
                count //= prime
                powers[-1] += 1
        kinds = {(0, 0): _CALL, (1, 0): _TOKEN, (0, 1): _TOKEN, (1, 1): _TOKEN, (0, 2): _PAIR, (1, 2): _PAIR}
        return kinds.get((powers[0], powers[1]), "a larger group"), count

    def _require_from_start(self, node: Any) -> None:
        """Refuse a range or slice up to a size that shrinks as the size grows."""
        start, step = (0, 2) if node.op_type == "Range" else (1, 4)
        steps = self.values[node.input[step]] if len(node.input) > step else 1
        if not np.all(self.values[node.input[start]] == 0) or not np.all(steps == 1):
            raise ValueError("not from 0 in steps of 1")
        if any(node.input[each] not in self.constants for each in (start, step) if each < len(node.input)):
            raise ValueError("not from a constant")

    def _cut(self, node: Any) -> Any:
        """Return the type of a slice up to a computed size, as if there were always that much to slice."""
        shape = list(self.shapes[node.input[0]])
        axes = self.values[node.input[3]].tolist() if len(node.input) > 3 else range(len(shape))
        for axis, size in zip(axes, self.values[node.input[2]].tolist(), strict=True):
            shape[axis] = size
        kind = self.types[node.input[0]].tensor_type.elem_type
        return self.onnx.helper.make_tensor_type_proto(kind, shape)

    def _pass_sizes_on(self, node: Any) -> None:
        """Remember the value of a result that is a size, or sizes, put together from others."""
        if node.op_type == "Shape":
            shape = self.shapes[node.input[0]]
            bounds = {each.name: each.i for each in node.attribute}
            self.values[node.output[0]] = np.array(shape[bounds.get("start", 0) : bounds.get("end")], dtype=np.int64)
            return
        if node.op_type not in ("Concat", "Squeeze", "Unsqueeze", "Reshape", "Mul"):
            return
        inputs = node.input if node.op_type in ("Concat", "Mul") else node.input[:1]
        if any(name not in self.values for name in inputs) or math.prod(self.shapes[node.output[0]]) > _MOST_DIMENSIONS:
            return
        parts = [self.values[name] for name in inputs]
        if node.op_type == "Mul":
            if min(part.min() for part in parts) < 0 or math.prod(int(part.max()) for part in parts) >= 2**62:
                return
            value = parts[0] * parts[1]
        else:
            value = np.concatenate([part.reshape(-1) for part in parts])
        self.values[node.output[0]] = value.reshape(self.shapes[node.output[0]])


def _shape(kind: Any) -> Shape:
    """Return the shape of a type, >= 1 everywhere: a size that is 0 here may be another for other texts."""
    shape = tuple(each.dim_value for each in kind.tensor_type.shape.dim)
    if not kind.tensor_type.HasField("shape") or len(shape) > _MOST_DIMENSIONS or min(shape, default=1) < 1:
        raise ValueError(f"{len(shape)} sizes, at least one of them not known")
    return shape
