"""Tabulate what a model card shows, as Markdown."""

from collections.abc import Iterable, Mapping
from typing import Any

from emotion.article.checkpoint_record import CheckpointRecord, CompressionRecord, file_name
from emotion.errors import printable
from emotion.evaluation import ClassScores, Interval
from emotion.reporting import VALIDATION, DataFile, Environment, Table, to_markdown

_SPECIAL = str.maketrans({letter: f"\\{letter}" for letter in "\\`*_[]<>#~&$:!"})
"""What Markdown, and the hub's own (formulas, emoji by name), would interpret within a line; tables escape ``|``."""
_SETTINGS: dict[str, tuple[str, ...]] = {
    "model": ("learning_rate", "normalization"),
    "data": ("batch_size", "max_length", "drop_conflicts"),
    "optimizer": (
        *("weight_decay", "warmup_fraction", "schedule", "layer_decay", "class_weights", "logit_adjustment"),
        *("average", "average_from", "ema_decay"),
    ),
    "trainer": (
        *("accelerator", "devices", "strategy", "precision", "max_epochs", "gradient_clip_val"),
        *("limit_train_batches", "limit_val_batches", "val_check_interval", "patience"),
    ),
}
"""Settings that weights depend on, by their group; none of them is a path."""


def plain(text: object) -> str:
    """Write a name of a user or stranger so that Markdown and HTML show it as it is, on one line."""
    return printable(str(text)).translate(_SPECIAL)


def results_table(record: CheckpointRecord) -> str:
    """Tabulate accuracy and macro F1 on each CSV."""
    rows = []
    if record.accuracy is not None and record.macro_f1 is not None:
        count = str(record.data.validation.rows) if record.data is not None else ""
        rows.append((VALIDATION, count, "", *_score_cells(record)))
    for name, each in record.evaluations.items():
        rows.append((name, str(each.data.rows), str(each.reads), *_score_cells(each)))
    return _markdown("data", ("rows", "read", "accuracy", "95 % interval", "macro F1", "95 % interval"), rows)


def classes_table(per_class: Mapping[str, ClassScores], intervals: Mapping[str, Interval]) -> str:
    """Tabulate the scores of each class on one CSV."""
    rows = []
    for name, scores in per_class.items():
        cells = (f"{scores.precision:.3f}", f"{scores.recall:.3f}", f"{scores.f1:.3f}", _range(intervals.get(name)))
        rows.append((name, *cells, str(scores.support)))
    return _markdown("class", ("precision", "recall", "F1", "95 % interval", "rows"), rows)


def data_table(files: Mapping[str, DataFile]) -> str:
    """Tabulate the CSVs, by what they were for."""
    rows = [(use, file_name(file.path), str(file.rows), file.sha256) for use, file in files.items()]
    return _markdown("used for", ("file", "rows", "SHA-256"), rows)


def counts_table(names: Iterable[str], files: Mapping[str, DataFile]) -> str:
    """Tabulate the rows of each class in each CSV."""
    rows = [(name, *(str(file.label_counts.get(name, 0)) for file in files.values())) for name in names]
    return _markdown("class", tuple(files), rows)


def settings_table(config: Mapping[str, Any]) -> str:
    """Tabulate the settings that a training's weights depend on; "" if none are known."""
    rows = [("seed", str(config["seed"]))] if "seed" in config else []
    for group, keys in _SETTINGS.items():
        values = config.get(group)
        if isinstance(values, dict):
            rows += [(f"{group}.{key}", _value(values[key])) for key in keys if key in values]
    return _markdown("setting", ("value",), rows) if rows else ""


def compression_table(compression: CompressionRecord) -> str:
    """Tabulate the settings of each step of a compression; "" if there are none."""
    rows = [
        (f"{step}.{key}", _value(value))
        for step, values in compression.settings.items()
        for key, value in values.items()
    ]
    return _markdown("setting", ("value",), rows) if rows else ""


def environment_table(environment: Environment) -> str:
    """Tabulate what a training ran on."""
    commit = [("commit of the code", environment.git_commit or "not recorded")]
    found = [*environment.versions.items(), *environment.hardware.items(), *commit]
    return _markdown("what", ("version",), [(str(name), str(value)) for name, value in found])


def _markdown(title: str, headings: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    escaped = [tuple(map(plain, row)) for row in rows]
    return to_markdown(Table(plain(title), (plain(title), *map(plain, headings)), escaped))


def _score_cells(scores: Any) -> tuple[str, str, str, str]:
    found = scores.intervals
    accuracy, macro_f1 = (None, None) if found is None else (found.accuracy, found.macro_f1)
    return f"{scores.accuracy:.4f}", _range(accuracy), f"{scores.macro_f1:.4f}", _range(macro_f1)


def _range(interval: Interval | None) -> str:
    return "" if interval is None else f"{interval.low:.3f} to {interval.high:.3f}"


def _value(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_value, value))
    return "none" if value is None else str(value)
