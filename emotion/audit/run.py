"""Audit labelled CSVs: ``scripts/audit.py``."""

import csv
import logging
from collections import Counter
from pathlib import Path

from emotion.audit.config import AuditConfig
from emotion.audit.folds import encoder_of, out_of_fold_by_training
from emotion.data import TRAIN, VALIDATION, LabelledTexts, SuspectLabel, audit_splits, only_csv, suspect_labels
from emotion.evaluation import apply_temperature, evaluate, fit_temperature
from emotion.files import marked, require_unchanged, require_writable
from emotion.isolation import isolated
from emotion.models import SVM, out_of_fold
from emotion.reporting import (
    SUSPECTS_NAME,
    AuditReport,
    Environment,
    SuspectPair,
    Suspects,
    git_commit,
    hardware,
    locked,
    read_audit_report,
    versions,
    write_audit_report,
)
from emotion.scoring import data_file, read_sets

log = logging.getLogger(__name__)

COLUMNS = ("row", "text", "label", "suggested_label", "self_confidence")


@isolated()
def audit(config: AuditConfig) -> AuditReport:
    """Audit the CSVs of ``config.data``; write ``audit_report.json`` and ``suspect_labels.csv``.

    Raises:
        UserError: A CSV or the model cannot be used, or a file that is not ours would be replaced.
    """
    splits = _read(config)
    train, folder = splits[TRAIN], Path(config.output_dir)
    require_writable(folder, "output_dir")
    require_unchanged(folder / SUSPECTS_NAME, "output_dir")
    read_audit_report(folder)

    limit, cut = config.data.max_length, None
    if config.model is not None:
        encoder = encoder_of(config.model, limit)
        cut = {name: encoder.encode_and_mark(split.texts)[1] for name, split in splits.items()}
    findings = audit_splits(splits, limit, cut)
    suspects, record = _suspects(config, splits)
    report = AuditReport(
        environment=Environment(versions=versions(), hardware=hardware(), git_commit=git_commit()),
        files={name: data_file(split) for name, split in splits.items()},
        audit=findings,
        suspects=record,
    )
    with locked(folder):
        with marked(folder / SUSPECTS_NAME, "output_dir") as temporary:
            _write_suspects(temporary, train, suspects)
        write_audit_report(report, folder)
    return report


def _read(config: AuditConfig) -> dict[str, LabelledTexts]:
    data = config.data
    columns = data.text_column, data.label_column
    paths = {key: only_csv(getattr(data, key), f"data.{key}") for key in ("train", "validation")}
    train = LabelledTexts.read(paths["train"], *columns, config.labels.label_set(), "data.train", data.map)
    validation = LabelledTexts.read(paths["validation"], *columns, train.label_set, "data.validation", data.map)
    further = read_sets(data.evaluation_paths, *columns, train.label_set, renamed=data.map)
    return {TRAIN: train, VALIDATION: validation, **further}


def _suspects(config: AuditConfig, splits: dict[str, LabelledTexts]) -> tuple[list[SuspectLabel], Suspects]:
    """Find the training rows whose label is probably wrong, and describe how."""
    train = splits[TRAIN]
    names = train.label_set.names
    if config.model is None:
        raw = out_of_fold(train.texts, train.labels, len(names), config.folds, config.seed)
    else:
        raw = out_of_fold_by_training(config, config.model, train, splits[VALIDATION])
    temperature = fit_temperature(raw, train.labels)
    suspects = suspect_labels(apply_temperature(raw, temperature), train.labels)
    scores = evaluate(train.labels, raw.argmax(axis=1).tolist(), names)
    pairs = Counter((names[each.label], names[each.suggested]) for each in suspects)
    record = Suspects(
        model=SVM if config.model is None else config.model.name,
        folds=config.folds,
        seed=config.seed,
        temperature=temperature,
        accuracy=scores.accuracy,
        macro_f1=scores.macro_f1,
        rows=train.csv_rows(each.row for each in suspects),
        pairs=[SuspectPair(label=label, suggested=other, rows=rows) for (label, other), rows in pairs.most_common()],
    )
    return suspects, record


def _write_suspects(path: Path, train: LabelledTexts, suspects: list[SuspectLabel]) -> None:
    names = train.label_set.names
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)  # a lone CR would end a row
        writer.writerow(COLUMNS)
        for each in suspects:
            (row,) = train.csv_rows([each.row])
            label, suggested = names[each.label], names[each.suggested]
            writer.writerow((row, train.texts[each.row], label, suggested, float(f"{each.self_confidence:.4g}")))
