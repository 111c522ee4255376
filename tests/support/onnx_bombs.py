"""ONNX models of a few bytes that take more memory or time than there is, or do what no classifier does."""

from collections.abc import Callable

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from support.onnx_models import constant_logits, node


def _loop(forever: bool) -> list[NodeProto]:
    body = helper.make_graph(
        [node("Identity", "on", "still_on"), node("Add", "sum one", "more")],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum", TensorProto.FLOAT, []),
        ],
        [
            helper.make_tensor_value_info("still_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("more", TensorProto.FLOAT, []),
        ],
    )
    return [helper.make_node("Loop", ["" if forever else "huge", "yes", "one"], ["extra"], body=body)]


def _doubled(times: int, what: str) -> list[NodeProto]:
    nodes = [node("Shape", what, "part0")] if what == "input_ids" else [node("Identity", what, "part0")]
    nodes += [node("Concat", f"part{step} part{step}", f"part{step + 1}", axis=0) for step in range(times)]
    return [*nodes, node("ReduceSum", f"part{times}", "sum", keepdims=0), node("Cast", "sum", "extra", to=1)]


def _outer(times: int) -> list[NodeProto]:
    """Each step squares the number of elements."""
    nodes = [node("Cast", "input_ids", "cast", to=1), node("Reshape", "cast flat", "row0")]
    for step in range(times):
        nodes += [
            node("Unsqueeze", f"row{step} last", f"column{step}"),
            node("Add", f"row{step} column{step}", f"table{step}"),
            node("Reshape", f"table{step} flat", f"row{step + 1}"),
        ]
    return [*nodes, node("ReduceSum", f"row{times}", "extra", keepdims=0)]


def _beyond() -> list[NodeProto]:
    """Nothing for short texts, terabytes for longer ones: the tokens after the 20th, 10**13 times."""
    return [
        node("Slice", "input_ids place far one_axis", "rest"),
        node("Shape", "rest", "size", start=1),
        node("Concat", "size many", "sizes", axis=0),
        node("Expand", "one sizes", "wide"),
        node("ReduceSum", "wide", "extra", keepdims=0),
    ]


def _hidden_in_shapes() -> list[NodeProto]:
    """Terabytes if a token has a high id: the size is not a size of anything."""
    return [
        node("ReduceSum", "input_ids", "sum", keepdims=0),
        node("Mul", "sum huge", "product"),
        node("Reshape", "product flat", "sizes"),
        node("Expand", "one sizes", "wide"),
        node("ReduceSum", "wide", "extra", keepdims=0),
    ]


def _shrinking() -> list[NodeProto]:
    """Little for long texts, terabytes for short ones."""
    return [
        node("Shape", "input_ids", "size", start=1),
        node("Squeeze", "size", "tokens"),
        node("Range", "tokens huge scalar", "numbers"),
        node("Cast", "numbers", "cast", to=1),
        node("ReduceSum", "cast", "extra", keepdims=0),
    ]


_SUM = node("ReduceSum", "wide", "extra", keepdims=0)

BOMBS: dict[str, Callable[[], list[NodeProto]]] = {
    "expand": lambda: [node("Expand", "one sizes_of_terabytes", "wide"), _SUM],
    "tile": lambda: [node("Tile", "ones many", "wide"), _SUM],
    "range": lambda: [node("Range", "zero huge scalar", "numbers"), node("Cast", "numbers", "wide", to=1), _SUM],
    "constant of shape": lambda: [node("ConstantOfShape", "sizes_of_terabytes", "wide"), _SUM],
    "pad": lambda: [node("Pad", "ones pads", "wide"), _SUM],
    "loop": lambda: _loop(False),
    "endless loop": lambda: _loop(True),
    "doubled": lambda: _doubled(45, "ones"),
    "doubled sizes": lambda: _doubled(45, "input_ids"),
    "squared": lambda: _outer(5),
    "for longer texts": _beyond,
    "by token": _hidden_in_shapes,
    "for shorter texts": _shrinking,
    "matrix products": lambda: [
        node("Expand", "one square", "wide0"),
        *(node("MatMul", f"wide{step} wide{step}", f"wide{step + 1}") for step in range(40)),
        node("ReduceSum", "wide40", "extra", keepdims=0),
    ],
    "long products": lambda: [
        node("Expand", "one long", "row"),
        node("Expand", "one wide_long", "column"),
        node("MatMul", "row column", "wide"),
        _SUM,
    ],
    "many nodes": lambda: [
        node("Identity", "one", "v0"),
        *(node("Identity", f"v{step}", f"v{step + 1}") for step in range(300_000)),
        node("Identity", "v300000", "extra"),
    ],
    "custom operator": lambda: [helper.make_node("Run", ["one"], ["extra"], domain="com.stranger")],
    "random numbers": lambda: [node("RandomNormal", "", "extra", shape=[1])],
    "a tensor in a node": lambda: [
        node("Constant", "", "extra", value=numpy_helper.from_array(np.zeros((), np.float32)))
    ],
}


def with_nodes(nodes: list[NodeProto]) -> onnx.ModelProto:
    """A classifier whose logits are 0 plus ``extra``, which ``nodes`` compute."""
    model = onnx.load_from_string(constant_logits(1, 6))
    graph = model.graph
    constants = {
        "one": np.float32(1),
        "zero": np.int64(0),
        "scalar": np.int64(1),
        "ones": np.ones(4, np.float32),
        "huge": np.int64(10**13),
        "many": np.array([10**13]),
        "flat": np.array([-1]),
        "last": np.array([-1]),
        "place": np.array([20]),
        "far": np.array([2**62]),
        "one_axis": np.array([1]),
        "pads": np.array([0, 10**12]),
        "sizes_of_terabytes": np.array([10**6, 10**6]),
        "square": np.array([20_000, 20_000]),
        "long": np.array([1, 10**8]),
        "wide_long": np.array([10**8, 4]),
        "yes": np.bool_(True),
    }
    used = {name for node in nodes for name in node.input}
    graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items() if name in used | {"one"}
    )
    del graph.node[:]
    graph.node.extend([*nodes, *_logits()])
    graph.initializer.extend(
        [
            numpy_helper.from_array(np.array([1]), "axis"),
            numpy_helper.from_array(np.array([[0.0] * 6], np.float32), "none"),
        ]
    )
    return model


def _logits() -> list[NodeProto]:
    """Add ``extra`` to logits of the right shape, (texts, 6)."""
    return [
        node("Cast", "input_ids", "floats", to=1),
        node("ReduceSum", "floats axis", "column", keepdims=1),
        node("Mul", "column none", "plain"),
        node("Add", "plain extra", "logits"),
    ]


def weight_without_bytes(model: onnx.ModelProto) -> None:
    """Let the last weight claim terabytes."""
    weight = model.graph.initializer[-1]
    del weight.dims[:]
    weight.dims.extend([10**6, 10**6])


def external_weight(model: onnx.ModelProto) -> None:
    """Let the last weight lie in a file of the machine."""
    weight = model.graph.initializer[-1]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="../../../../../../etc/passwd")


def function(model: onnx.ModelProto) -> None:
    """Hide nodes in a function."""
    model.functions.append(
        helper.make_function(
            "com.stranger", "Run", ["x"], ["y"], [node("Identity", "x", "y")], [helper.make_opsetid("", 23)]
        )
    )
