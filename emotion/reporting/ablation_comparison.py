"""Compare the changes of an ablation with the recipe as it is, row by row."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from emotion.evaluation import holm, paired_bootstrap
from emotion.reporting.ablation_report import BASE, AblationReport, SwitchEffect
from emotion.reporting.rows import VALIDATION, Rows, intact_rows


def compared_sets(report: AblationReport) -> list[str]:
    """Return ``validation``, which stands for the rows set apart, and the evaluation sets that any training scored."""
    return list(dict.fromkeys([VALIDATION, *(name for run in report.runs for name in run.evaluations)]))


def switch_effects(report: AblationReport, folder: Path, data: str) -> list[SwitchEffect]:
    """Compare each change with the recipe as it is, on ``validation`` or an evaluation set, by ``folder``'s rows."""
    rows = _rows(report, folder, data)
    base = rows.get(BASE, {})
    found = []
    for switch, by_seed in rows.items():
        seeds = sorted(base.keys() & by_seed.keys())
        if switch == BASE or not seeds:
            continue
        reference = base[seeds[-1]]
        # An evaluation set may have changed since the others.
        seeds = [
            seed
            for seed in seeds
            if all(np.array_equal(each[seed].labels, reference.labels) for each in (base, by_seed))
        ]
        if not seeds:
            continue
        labels, classes = reference.labels, len(reference.names)
        pairs = [(_labels(by_seed[seed]), _labels(base[seed])) for seed in seeds]
        together = paired_bootstrap(labels, [pair[0] for pair in pairs], [pair[1] for pair in pairs], classes)
        each = [paired_bootstrap(labels, *pair, classes, resamples=1).difference for pair in pairs]
        found.append((switch, seeds, together, each))
    corrected = holm([together.p_value for _, _, together, _ in found])
    return [
        SwitchEffect(switch=switch, seeds=seeds, difference=together, by_seed=each, holm_p=p)
        for (switch, seeds, together, each), p in zip(found, corrected, strict=True)
    ]


def _rows(report: AblationReport, folder: Path, data: str) -> Mapping[str, dict[int, Rows]]:
    found: dict[str, dict[int, Rows]] = {}
    for run in report.runs:
        scores = run.evaluations.get(data)
        of_set = None if scores is None else scores.predictions
        rows = intact_rows(run.rows if data == VALIDATION else of_set, folder)
        if rows is not None:
            found.setdefault(run.switch, {})[run.seed] = rows
    return found


def _labels(rows: Rows) -> list[int]:
    labels: list[int] = rows.probabilities.argmax(axis=1).tolist()
    return labels
