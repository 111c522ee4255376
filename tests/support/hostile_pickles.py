"""Pickles that run code where they are loaded without care, each in a form of its own."""

import builtins
import codecs
import collections
import functools
import importlib
import io
import marshal
import operator
import os
import pickle
import runpy
import shutil
import socket
import struct
import subprocess
import sys
import timeit
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch


class Calls:
    """Pickles as a call of ``function`` with ``arguments``, and then a state."""

    def __init__(self, function: Callable[..., Any], *arguments: Any, state: Any = None) -> None:
        self.function, self.arguments, self.state = function, arguments, state

    def __reduce__(self) -> tuple[Any, ...]:
        call = (self.function, self.arguments)
        return call if self.state is None else (*call, self.state)


def _nested(mark: str) -> bytes:
    return pickle.dumps(Calls(os.system, f"touch {mark}"))


CALLS: dict[str, Callable[[str], Any]] = {
    "os.system": lambda mark: Calls(os.system, f"touch {mark}"),
    "popen": lambda mark: Calls(os.popen, f"touch {mark}"),
    "execv": lambda mark: Calls(os.execv, "/bin/touch", ["touch", mark]),
    "Popen": lambda mark: Calls(subprocess.Popen, ["touch", mark]),
    "run": lambda mark: Calls(subprocess.run, ["touch", mark]),
    "exec": lambda mark: Calls(builtins.exec, f"open({mark!r}, 'w')"),
    "eval": lambda mark: Calls(builtins.eval, f"open({mark!r}, 'w')"),
    "open": lambda mark: Calls(builtins.open, mark, "w"),
    "import_module": lambda _: Calls(importlib.import_module, "antigravity"),
    "__import__": lambda _: Calls(builtins.__import__, "this"),
    "getattr": lambda mark: Calls(getattr, Calls(importlib.import_module, "os"), "system", state=mark),
    "methodcaller": lambda mark: Calls(
        operator.methodcaller("system", f"touch {mark}"), Calls(importlib.import_module, "os")
    ),
    "partial": lambda mark: functools.partial(os.system, f"touch {mark}"),
    "called partial": lambda mark: Calls(functools.partial(os.system, f"touch {mark}")),
    "codecs": lambda mark: Calls(codecs.encode, Calls(os.system, f"touch {mark}"), "rot13"),
    "numpy": lambda mark: np.array([Calls(os.system, f"touch {mark}")], dtype=object),
    "torch.load": lambda mark: Calls(torch.load, io.BytesIO(_nested(mark))),
    "storage": lambda mark: Calls(torch.storage._load_from_bytes, _nested(mark)),
    "rebuild": lambda mark: Calls(torch._tensor._rebuild_from_type_v2, os.system, str, (f"touch {mark}",), {}),
    "parameter": lambda mark: Calls(torch._utils._rebuild_parameter, Calls(os.system, f"touch {mark}"), True, {}),
    "ordered dict": lambda mark: Calls(collections.OrderedDict, state={"x": Calls(os.system, f"touch {mark}")}),
    "set": lambda mark: Calls(set, [Calls(os.system, f"touch {mark}")]),
    "bytearray": lambda _: Calls(bytearray, 1 << 44),
    "code": lambda mark: Calls(marshal.loads, marshal.dumps(compile("1", mark, "eval"))),
    "runpy": lambda mark: Calls(runpy.run_path, mark),
    "timeit": lambda mark: Calls(timeit.timeit, f"open({mark!r}, 'w')"),
    "socket": lambda _: Calls(socket.create_connection, ("127.0.0.1", 9)),
    "rmtree": lambda mark: Calls(shutil.rmtree, str(Path(mark).parent)),
    "exit": lambda _: Calls(sys.exit, 3),
    "size": lambda _: Calls(torch.Size, [2**60, 2**60]),
}
"""By what is called; each would leave a file ``mark``, or an event."""


def opcodes(mark: str) -> dict[str, bytes]:
    """Pickles that no pickler would write."""
    command = f"touch {mark}".encode()
    text = b"X" + struct.pack("<I", len(command)) + command
    return {
        "GLOBAL": b"\x80\x02cposix\nsystem\n" + text + b"\x85R.",
        "STACK_GLOBAL": b"\x80\x04\x8c\x05posix\x8c\x06system\x93" + text + b"\x85R.",
        "INST": b"(" + text + b"iposix\nsystem\n.",
        "OBJ": b"(cposix\nsystem\n" + text + b"o.",
        "NEWOBJ": b"\x80\x02cposix\nsystem\n" + text + b"\x85\x81.",
        "NEWOBJ_EX": b"\x80\x04cposix\nsystem\n" + text + b"\x85}\x92.",
        "BUILD": b"\x80\x02ccollections\nOrderedDict\n)R}X\x0c\x00\x00\x00__setstate__cposix\nsystem\nsb"
        + text
        + b"b.",
        "EXT": b"\x80\x02\x82\x01.",
        "dotted": b"\x80\x04\x8c\x05torch\x8c\x09os.system\x93" + text + b"\x85R.",
        "text id": b"Pposix.system\n.",
        "odd id": b"\x80\x02(X\x07\x00\x00\x00storagecposix\nsystem\n" + text + b"X\x03\x00\x00\x00cpuK\x01tQ.",
        "no end": b"\x80\x02" + b"(" * 100_000,
        "deep": b"\x80\x02" + b"]" * 50_000 + b"a" * 49_999 + b".",
        "long text": b"\x80\x04\x8d" + struct.pack("<Q", 1 << 60) + b"x.",
        "long number": b"\x80\x02\x8b" + struct.pack("<i", 1 << 30) + b"1.",
        "frame": b"\x80\x04\x95" + struct.pack("<Q", 1 << 50) + b"N.",
        "memo": b"\x80\x02Nr\xff\xff\xff\xff.",
        "protocol": b"\x80\xff}.",
        "nothing": b"",
    }


def doubled(levels: int) -> dict[str, Any]:
    """A dict of a few lists that is a tree of 2 ** levels values."""
    value: list[Any] = []
    for _ in range(levels):
        value = [value, value]
    return {"laughs": value}


def in_zip(whole: bytes, pickled: bytes) -> bytes:
    """The ``.pt`` file ``whole`` with another pickle in it."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as source, zipfile.ZipFile(target, "w") as archive:
        for name in source.namelist():
            archive.writestr(name, pickled if name.endswith("data.pkl") else source.read(name))
    return target.getvalue()


def pickled(random: Random, mark: str) -> tuple[str, bytes]:
    """The name and the bytes of a pickle that would run code."""
    codes = opcodes(mark)
    name = random.choice([*CALLS, *codes])
    if name in codes:
        return name, codes[name]
    value = CALLS[name](mark)
    if random.random() < 0.7:
        value = {"model_state_dict": {"weight": value}, "model_id": "a", "model_name": "a", "config": {}}
    return name, pickle.dumps(value, protocol=random.choice([2, 3, 4, 5]))
