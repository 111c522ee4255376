"""Compare models on the same rows, from their row-level predictions."""

from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

import numpy as np

from emotion.errors import UserError
from emotion.evaluation import holm, mcnemar_p, paired_bootstrap, rows_needed
from emotion.reporting.rows import VALIDATION, Rows, intact_rows
from emotion.reporting.schema import Comparison, RowsFile, TrainingReport


def require_same_rows(rows: Mapping[str, Rows]) -> None:
    """Refuse predictions of different rows, which no paired test can compare.

    Args:
        rows: Predictions by the name of their model or file.

    Raises:
        UserError: Two differ in the number of rows, in the classes, or in a row's label.
    """
    (first, reference), *others = rows.items()
    for name, each in others:
        pair = f"{first} and {name}: must be predictions of the same rows"
        if len(each.labels) != len(reference.labels):
            raise UserError(f"{pair}, found {len(reference.labels)} and {len(each.labels)}")
        if each.names != reference.names:
            raise UserError(f"{pair}, found other classes: {', '.join(reference.names)} and {', '.join(each.names)}")
        different = np.flatnonzero(each.labels != reference.labels)
        if len(different):
            row = int(different[0])
            found = f"found label {reference.labels[row]} and {each.labels[row]} in row {row + 2}"
            raise UserError(f"{pair}, {found} (the header is row 1; {len(different)} rows differ)")


def compare_rows(rows: Mapping[str, Rows], data: str) -> list[Comparison]:
    """Compare each pair of models by the labels that they predict for the same rows.

    Args:
        rows: Predictions by model, at least one.
        data: Name of the CSV, for the record.

    Raises:
        UserError: The rows differ.
    """
    require_same_rows(rows)
    pairs = list(combinations(rows, 2))
    predicted = {name: each.probabilities.argmax(axis=1) for name, each in rows.items()}
    reference = next(iter(rows.values()))
    p_values = [mcnemar_p(reference.labels, predicted[first], predicted[second]) for first, second in pairs]
    classes = len(reference.names)
    differences = [
        paired_bootstrap(reference.labels, predicted[first], predicted[second], classes) for first, second in pairs
    ]
    corrected_p = zip(holm(p_values), holm([each.p_value for each in differences]), strict=True)
    comparisons = []
    for (first, second), p_value, found, (corrected, difference_p) in zip(
        pairs, p_values, differences, corrected_p, strict=True
    ):
        comparisons.append(
            Comparison(
                first=first,
                second=second,
                data=data,
                rows=len(reference.labels),
                difference=found,
                mcnemar_p=p_value,
                holm_p=corrected,
                difference_holm_p=difference_p,
                rows_needed=rows_needed(found.difference, found.standard_error, len(reference.labels)),
            )
        )
    return comparisons


def compare_models(report: TrainingReport, output_dir: Path) -> list[Comparison]:
    """Compare the report's models on each CSV that several were scored on, the best macro F1 first.

    Models whose row-level predictions are gone or have changed are left out.
    """
    comparisons: list[Comparison] = []
    for data in _sets(report):
        by_content: dict[str, dict[str, Rows]] = {}
        for name, digest, file in _scored(report, data):
            rows = intact_rows(file, output_dir)
            if rows is not None:
                by_content.setdefault(digest, {})[name] = rows
        for rows_of_models in by_content.values():
            if len(rows_of_models) > 1:
                comparisons += compare_rows(rows_of_models, data)
    return comparisons


def _sets(report: TrainingReport) -> list[str]:
    return list(dict.fromkeys([VALIDATION, *(name for entry in report.models.values() for name in entry.evaluations)]))


def _scored(report: TrainingReport, data: str) -> list[tuple[str, str, RowsFile | None]]:
    """List the models that were scored on ``data``, by falling macro F1: name, digest of the CSV, and rows."""
    found = []
    for name, entry in report.models.items():
        if data == VALIDATION:
            found.append((entry.macro_f1, name, entry.data.validation.sha256, entry.predictions))
        elif (record := entry.evaluations.get(data)) is not None:
            found.append((record.macro_f1, name, record.data.sha256, record.predictions))
    found.sort(key=lambda each: -each[0])
    return [each[1:] for each in found]
