"""Collect what an output folder holds: reports, row-level predictions, and the texts that they are about."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from emotion.data import LabelledTexts, validation_part
from emotion.errors import UserError
from emotion.files import sha256
from emotion.labels import LabelSet
from emotion.reporting import (
    REPORT_NAME,
    VALIDATION,
    CompressionReport,
    DataFile,
    EvaluationReport,
    ModelEntry,
    Rows,
    RowsFile,
    ScoresRecord,
    SeedSummary,
    TrainingReport,
    intact_rows,
    read_compression_report,
    read_evaluation_report,
    read_report,
    seed_summaries,
)
from emotion.reporting.report_tables import BASELINE_NAMES


@dataclass(frozen=True, slots=True)
class ScoredRows:
    """The row-level predictions of a model on one CSV."""

    rows: Rows
    texts: list[str] | None
    """The texts of the rows; None if the CSV is gone or has changed since."""


@dataclass(frozen=True, slots=True)
class ModelMaterial:
    """A model of the report, and its evidence."""

    name: str
    entry: ModelEntry
    labels: LabelSet
    checkpoint: Path | None
    """Its file; None if that is gone or another run's."""
    scored: dict[str, ScoredRows]
    """By the name of the CSV: ``validation`` and the evaluation sets; those whose predictions are there."""

    @property
    def records(self) -> dict[str, ScoresRecord]:
        """Its scores by the name of the CSV: validation, its parts if it is several CSVs, and the evaluation sets."""
        parts = {validation_part(name): record for name, record in self.entry.corpora.items()}
        return {VALIDATION: self.entry, **parts, **self.entry.evaluations}


@dataclass(frozen=True, slots=True)
class Material:
    """Everything of an output folder that an article is made of."""

    output_dir: Path
    report: TrainingReport
    seeds: list[SeedSummary]
    models: dict[str, ModelMaterial]
    """The best macro F1 first."""
    compression: CompressionReport | None
    evaluation: EvaluationReport | None
    left_out: list[str] = field(default_factory=list)
    """What is missing, and why, in sentences."""

    @classmethod
    def read(cls, output_dir: Path) -> "Material":
        """Read a folder; evidence that is gone or has changed is left out, and :attr:`left_out` says so.

        Raises:
            UserError: There is no report of a training, or a report cannot be read.
        """
        if not (output_dir / REPORT_NAME).is_file():
            raise UserError(f"output_dir: must hold {REPORT_NAME}, found none in {output_dir}")
        report = read_report(output_dir)
        if not report.models:
            raise UserError(f"output_dir: must hold a report of a training, found no model in {output_dir}")
        left_out: list[str] = []
        texts = _Texts(left_out)
        by_score = sorted(report.models.items(), key=lambda item: -item[1].selection_f1)
        return cls(
            output_dir=output_dir,
            report=report,
            seeds=seed_summaries(report),
            models={name: _model(name, entry, output_dir, texts, left_out) for name, entry in by_score},
            compression=read_compression_report(output_dir / "compression_results"),
            evaluation=read_evaluation_report(output_dir),
            left_out=left_out,
        )

    @property
    def best(self) -> ModelMaterial:
        """The model that validation chose."""
        return self.models[self.report.best_model or next(iter(self.models))]

    @property
    def sets(self) -> list[str]:
        """The names of all CSVs that a model was scored on, validation first."""
        return list(dict.fromkeys(data for each in self.models.values() for data in each.records))

    @property
    def evaluation_sets(self) -> list[str]:
        """The names of all evaluation sets that a model was scored on."""
        return list(dict.fromkeys(data for each in self.models.values() for data in each.entry.evaluations))

    def scores_on(self, data: str) -> dict[str, ScoresRecord]:
        """Return the models' scores on one CSV, by name, the best macro F1 first."""
        found = [(name, each.records[data]) for name, each in self.models.items() if data in each.records]
        return dict(sorted(found, key=lambda item: -item[1].macro_f1))

    def baselines_on(self, data: str) -> dict[str, ScoresRecord]:
        """Return the scores of the best model's baselines on one CSV, by name, the best macro F1 first."""
        found = {}
        for name, record in self.best.entry.baselines.items():
            scores = record if data == VALIDATION else record.evaluations.get(data)
            if scores is not None:
                found[BASELINE_NAMES.get(name, name)] = scores
        return dict(sorted(found.items(), key=lambda item: -item[1].macro_f1))


class _Texts:
    """Reads the texts of CSVs that still are what they were, each once."""

    def __init__(self, left_out: list[str]) -> None:
        self._left_out = left_out
        self._known: dict[tuple[str, str], list[str] | None] = {}

    def of(self, data: DataFile, config: Mapping[str, Any], labels: LabelSet) -> list[str] | None:
        """Return the texts of a CSV, or of several in their order; None if one is not what it was.

        Args:
            data: The CSV as it was.
            config: The ``data`` of the run's config.
            labels: The classes.
        """
        parts = [self._of_one(each, config, labels) for each in (data.corpora or {"": data}).values()]
        read = [part for part in parts if part is not None]
        return [text for part in read for text in part] if len(read) == len(parts) else None

    def _of_one(self, data: DataFile, config: Mapping[str, Any], labels: LabelSet) -> list[str] | None:
        key = data.path, data.sha256
        if key not in self._known:
            self._known[key] = self._read(data, config, labels)
        return self._known[key]

    def _read(self, data: DataFile, config: Mapping[str, Any], labels: LabelSet) -> list[str] | None:
        file = Path(data.path)
        if not file.is_file() or sha256(file) != data.sha256:
            change = "has changed" if file.is_file() else "is gone"
            self._left_out.append(f"The texts of {file.name} are left out, as the file {change}.")
            return None
        columns = config.get("text_column", "text"), config.get("label_column", "label")
        return LabelledTexts.read(data.path, *columns, labels, "data", config.get("map")).texts


def _model(name: str, entry: ModelEntry, folder: Path, texts: _Texts, left_out: list[str]) -> ModelMaterial:
    checkpoint = folder / entry.checkpoint
    is_there = checkpoint.is_file() and sha256(checkpoint) == entry.checkpoint_sha256
    if not is_there:
        left_out.append(f"What needs the checkpoint of {name} is left out, as {entry.checkpoint} is not the report's.")
    labels = LabelSet.coloured(entry.per_class, entry.config.get("labels", {}).get("colours"))
    files: dict[str, tuple[RowsFile | None, DataFile]] = {VALIDATION: (entry.predictions, entry.data.validation)}
    files |= {data: (each.predictions, each.data) for data, each in entry.evaluations.items()}
    scored = {}
    for data, (file, csv) in files.items():
        rows = intact_rows(file, folder)
        if rows is None:
            left_out.append(f"The rows of {name} on {data} are left out, as their file is gone or has changed.")
            continue
        found = texts.of(csv, entry.config.get("data", {}), labels)
        scored[data] = ScoredRows(rows, found if found is not None and len(found) == len(rows.labels) else None)
    return ModelMaterial(name, entry, labels, checkpoint if is_there else None, scored)


def word_counts(texts: list[str]) -> np.ndarray:
    """Count the words of each text, (texts,), int64."""
    return np.array([len(text.split()) for text in texts], dtype=np.int64)
