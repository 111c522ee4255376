"""Random command lines, and what must become of each: a table by hand of the values that each key takes."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

REFUSED = object()
"""The value of an override that no key takes."""


def _nested(depth: int) -> list[Any]:
    return [] if depth == 1 else [_nested(depth - 1)]


NUMBERS: dict[str, Any] = {
    **{text: int(text) for text in ("1", "0", "-3", "1_000", "64", "4294967296", "9" * 25)},
    **{text: float(text) for text in ("7.5", "0.5", "1e-3", "1.0", "-0.1", "1e400", "inf", "-inf", "nan")},
}
WORDS: dict[str, Any] = {
    **{text: text for text in ("", "word", "auto", "cpu", "none", "never", "a b", "0x10", "../*", "x" * 5000)},
    **{f"'{text}'": text for text in ("", "true", "1", 'quo"ted', "a: {b", "grün 🙂", "\x1b[31mred", "two\nlines")},
    **{f"'{text}'": text for text in ("\u202e", "layer", "float16", "size", "bertweet")},
}
OTHERS: dict[str, Any] = {
    "true": True,
    "False": False,
    "null": None,
    "bool(1)": True,
    "int(7.5)": 7,
    "float(1)": 1.0,
    "str(1)": "1",
    "[]": [],
    "[1,2]": [1, 2],
    "[word]": ["word"],
    "[true,null]": [True, None],
    "[" * 30 + "]" * 30: _nested(30),
    "{}": {},
    "{a:1}": {"a": 1},
    "{a:{b:[1]}}": {"a": {"b": [1]}},
    "${now:%Y}": "2026",
    "${oc.env:PATH}": "/bin",
}
_MALFORMED = (
    *("9" * 5000, "[" * 4000, "[1", "{a", "'open", "${", "'${a'", "🙂", "\x1b[31m", "two\nlines", "\udce9"),
    *("int(word)", "nope(1)", "range(1)"),
)
_UNRESOLVED = ("${missing}", "${oc.env:NOT_THERE}", "${..}", "${nope:1}", "[${missing}]", "${oc.decode:'['}", "???")
_SWEEPS = ("1,2", "choice(1,2)", "range(1,3)", "glob(*)", "interval(0,1)", "sort(2,1)")
VALUES: dict[str, Any] = {
    **NUMBERS,
    **WORDS,
    **OTHERS,
    **dict.fromkeys((*_MALFORMED, *_UNRESOLVED, *_SWEEPS), REFUSED),
}
"""Text on the command line -> the value that it stands for."""


def whole(lowest: int, highest: int | None = None) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and lowest <= value and (highest is None or value <= highest)


def number(above: float, highest: float = math.inf, included: bool = False) -> Callable[[Any], bool]:
    def takes(value: Any) -> bool:
        if type(value) not in (int, float) or not math.isfinite(value):
            return False
        return (value > above or (included and value == above)) and value <= highest

    return takes


def one_of(*words: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and value in words


def text(value: Any) -> bool:
    """Numbers are taken as the text that they were typed as."""
    return type(value) in (int, float) or (isinstance(value, str) and value != "")


def switch(value: Any) -> bool:
    return value is True or value is False


def or_null(takes: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or takes(value)


def batches(value: Any) -> bool:
    return value is None or whole(1)(value) or (type(value) is float and 0 < value <= 1)


TRAINING: dict[str, Callable[[Any], bool]] = {
    "seed": whole(0, 2**32 - 1),
    "compile": switch,
    "fast": switch,
    "resume": one_of("auto", "never"),
    "save_every_minutes": or_null(number(0)),
    "output_dir": text,
    "data.text_column": text,
    "data.batch_size": whole(1),
    "data.max_length": whole(4),
    "model.name": lambda value: isinstance(value, str) and bool(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", value)),
    "model.learning_rate": number(0, 1),
    "model.normalization": one_of("none", "bertweet", "cardiff"),
    "optimizer.weight_decay": number(0, included=True),
    "optimizer.warmup_fraction": number(0, 1, included=True),
    "trainer.accelerator": one_of("auto", "cpu", "gpu", "mps"),
    "trainer.devices": lambda value: value == "auto" or whole(1)(value),  # a list picks GPUs, which are hidden
    "trainer.num_nodes": lambda value: value == 1,  # others are for torchrun and Slurm
    "trainer.max_epochs": whole(1),
    "trainer.gradient_clip_val": or_null(number(0)),
    "trainer.limit_train_batches": batches,
    "trainer.enable_progress_bar": switch,
}
COMPRESSION: dict[str, Callable[[Any], bool]] = {
    "output_dir": or_null(text),
    "data.label_column": text,
    "accelerator": one_of("auto", "cpu", "gpu", "mps"),
    "seed": whole(0, 2**32 - 1),
    "rounds": whole(1),
    "max_drop": or_null(number(0, 1, included=True)),
    "prefer": one_of("size", "speed"),
    "prune.include_head": switch,
    "quantize.threshold": number(0, included=True),
    "half.dtype": one_of("float16", "bfloat16"),
    "narrow.heads": number(0, 1),
    "trim_vocabulary.min_count": whole(1),
    "distill.temperature": number(0),
    "distill.max_epochs": whole(1),
}
PREDICTION: dict[str, Callable[[Any], bool]] = {
    "output": or_null(text),
    "text_column": text,
    "label_column": text,
    "batch_size": whole(1),
    "probabilities": switch,
    "escape_formulas": switch,
    "accelerator": one_of("auto", "cpu", "gpu", "mps"),
    "fast": switch,
}
GROUPS = {
    "data": ("csv", "sample"),
    "model": ("bertweet", "cardiff", "minilm", "modernbert"),
    "trainer": ("ddp", "debug", "default"),
    "labels": ("auto", "emotion6", "goemotions28", "tweeteval4"),
}


@dataclass
class Command:
    """A command with inputs that do not exist, so that it ends once its settings were taken."""

    inputs: tuple[str, ...]
    ends_with: str
    """What it says then."""
    keys: dict[str, Callable[[Any], bool]]
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)


_CSVS = ("data.train=gone.csv", "data.validation=gone.csv")
_NO_CSV = "data.train: must be a CSV file, found no file at gone.csv"
_NO_WEIGHTS = "weights: must be a checkpoint file, found no file at gone.pt"
COMMANDS = {
    "train": Command(_CSVS, _NO_CSV, TRAINING, GROUPS),
    "benchmark": Command(
        _CSVS,
        _NO_CSV,
        {
            **TRAINING,
            "trainer.devices": lambda value: value == "auto" or whole(1, 1)(value),
            "rows": whole(64),
            "rounds": whole(1),
            "quick": switch,
            "weights": or_null(text),
        },
        {
            **GROUPS,
            "trainer": ("debug", "default"),
            "benchmark": ("all", "compress", "devices", "predict", "scaling", "startup", "train"),
        },
    ),
    "compress": Command(
        ("weights=gone.pt",), _NO_WEIGHTS, COMPRESSION, {"technique": ("all", "combined", "prune", "tiny")}
    ),
    "predict": Command(
        ("weights=gone.pt", "csv=gone.csv"), "csv: must be a CSV file, found no file at gone.csv", PREDICTION
    ),
}


def random_override(random: Random, command: Command) -> tuple[str, str, bool]:
    """Return an override, the word that an error about it must name, and whether it must be taken."""
    value = random.choice(list(VALUES))
    key = random.choice(list(command.keys))
    if random.random() < 0.6:  # few random values are right
        value = random.choice([each for each in VALUES if _takes(command, key, each)])
    kind = random.random()
    if kind < 0.12 and command.groups:
        group, files = random.choice(list(command.groups.items()))
        choice = random.choice([*files, *files, "nope", value])
        return f"{group}={choice}", group, choice in files
    if kind < 0.2:  # misspelled
        place = random.randrange(1, len(key))
        wrong = key[:place] + random.choice("xyz_") + key[place:]
        unknown = next(part for part in wrong.split(".") if part not in key.split("."))
        return f"{random.choice(['', '+', '++'])}{wrong}={value}", unknown, False
    added = 0 if command.keys[key](None) else 1  # Hydra lets + replace null
    prefix = random.choices(["", "++", "~", "+"], [20, 3, 1, added])[0]
    if prefix == "~" and random.random() < 0.5:
        return f"~{key}", key, False
    if random.random() < 0.03:
        return f"{prefix}{key}@{random.choice(['_global_', 'x', ''])}={value}", key, False
    if random.random() < 0.03:
        return f"{prefix}{key}.{random.choice(['x', '0'])}={value}", key.rpartition(".")[2], False
    return f"{prefix}{key}={value}", key, _takes(command, key, value) and prefix in ("", "++")


def _takes(command: Command, key: str, value: str) -> bool:
    return VALUES[value] is not REFUSED and command.keys[key](VALUES[value])
