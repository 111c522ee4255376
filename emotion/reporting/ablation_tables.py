"""Tabulate an ablation: what each change of the recipe adds, and whether chance could add as much."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np

from emotion.evaluation import MacroF1Difference, holm, paired_bootstrap
from emotion.files import marked
from emotion.reporting.ablation_report import AblationReport, AblationRun
from emotion.reporting.rows import VALIDATION, Rows, intact_rows
from emotion.reporting.schema import SIGNIFICANCE
from emotion.reporting.tables import Table, to_markdown

BASE = "base"
"""Name of the recipe without any change."""
TABLES_NAME = "ablation.md"
NOISE, BETTER, WORSE = "noise", "better", "worse"


@dataclass(frozen=True, slots=True)
class SwitchEffect:
    """What a change does to the macro F1 on some rows, over the seeds that it and the recipe as it is share."""

    switch: str
    seeds: tuple[int, ...]
    found: MacroF1Difference
    by_seed: tuple[float, ...]
    """The difference of each seed."""
    holm_p: float
    """P-value of no difference, corrected for the number of changes."""

    @property
    def verdict(self) -> str:
        """``better`` or ``worse`` if neither other rows nor another seed would be likely to say otherwise."""
        interval = self.found.interval
        if interval.low <= 0 <= interval.high or self.holm_p >= SIGNIFICANCE:
            return NOISE
        if min(self.by_seed) < 0 < max(self.by_seed):
            return NOISE
        return BETTER if self.found.difference > 0 else WORSE


def switch_effects(report: AblationReport, folder: Path, data: str) -> list[SwitchEffect]:
    """Compare each change with the recipe as it is, on ``validation``, the rows set apart, or an evaluation set."""
    rows = _rows(report, folder, data)
    base = rows.get(BASE, {})
    found = []
    for switch, by_seed in rows.items():
        seeds = sorted(base.keys() & by_seed.keys())
        if switch == BASE or not seeds:
            continue
        reference = base[seeds[-1]]
        # An evaluation set may have changed since the others.
        same = {
            seed
            for seed in seeds
            if all(np.array_equal(each[seed].labels, reference.labels) for each in (base, by_seed))
        }
        seeds = [seed for seed in seeds if seed in same]
        if not seeds:
            continue
        labels, classes = reference.labels, len(reference.names)
        pairs = [(_labels(by_seed[seed]), _labels(base[seed])) for seed in seeds]
        together = paired_bootstrap(labels, [pair[0] for pair in pairs], [pair[1] for pair in pairs], classes)
        each = [paired_bootstrap(labels, *pair, classes, resamples=1).difference for pair in pairs]
        found.append((switch, tuple(seeds), together, tuple(each)))
    corrected = holm([together.p_value for _, _, together, _ in found])
    return [SwitchEffect(*each, p) for each, p in zip(found, corrected, strict=True)]


def ablation_tables(report: AblationReport, folder: Path) -> list[Table]:
    """Tabulate the changes on the rows set apart, and on each evaluation set that all trainings scored."""
    return [_table(report, folder, data) for data in _sets(report)]


def ablation_effects(report: AblationReport, folder: Path) -> dict[str, list[SwitchEffect]]:
    """Return the effects of the changes by the title of the rows; sets that some of the trainings lack are left out."""
    found = {_title(data): switch_effects(report, folder, data) for data in _sets(report)}
    changes = [each.switch for each in next(iter(found.values()), [])]
    return {name: each for name, each in found.items() if each and [one.switch for one in each] == changes}


def write_ablation_tables(report: AblationReport, folder: Path) -> None:
    """Write the tables in Markdown."""
    with marked(folder / TABLES_NAME, "output_dir") as temporary:
        text = "\n\n".join(to_markdown(table) for table in ablation_tables(report, folder))
        temporary.write_text(text + "\n", encoding="utf-8")


def _table(report: AblationReport, folder: Path, data: str) -> Table:
    effects = {each.switch: each for each in switch_effects(report, folder, data)}
    lines = []
    for switch in (BASE, *report.switches):
        runs = [run for run in report.runs if run.switch == switch and _scores(run, data) is not None]
        if not runs:
            continue
        accuracy, macro_f1 = (fmean(each) for each in zip(*(_scores(run, data) or (0, 0) for run in runs), strict=True))
        scores = (str(len(runs)), f"{100 * accuracy:.2f}", f"{100 * macro_f1:.2f}")
        effect = effects.get(switch)
        if effect is None:
            lines.append((switch, *scores, "", "", ""))
            continue
        interval = effect.found.interval
        change = f"{100 * effect.found.difference:+.2f}"
        lines.append(
            (switch, *scores, change, f"{100 * interval.low:+.2f} to {100 * interval.high:+.2f}", effect.verdict)
        )
    headings = ("change", "seeds", "accuracy %", "macro F1 %", "points", "95 %", "verdict")
    return Table(_title(data), headings, lines)


def _title(data: str) -> str:
    return "Rows set apart" if data == VALIDATION else data


def _sets(report: AblationReport) -> list[str]:
    return list(dict.fromkeys([VALIDATION, *(name for run in report.runs for name in run.evaluations)]))


def _scores(run: AblationRun, data: str) -> tuple[float, float] | None:
    if data == VALIDATION:
        return run.accuracy, run.macro_f1
    found = run.evaluations.get(data)
    return None if found is None else (found.accuracy, found.macro_f1)


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
