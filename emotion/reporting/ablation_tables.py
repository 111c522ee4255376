"""Tabulate an ablation: what each change of the recipe adds, and whether chance could add as much."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from emotion.files import marked
from emotion.reporting.ablation_comparison import compared_sets
from emotion.reporting.ablation_report import BASE, AblationReport, AblationRun, SwitchEffect
from emotion.reporting.rows import VALIDATION
from emotion.reporting.tables import Table, to_markdown

TABLES_NAME = "ablation.md"


def ablation_tables(report: AblationReport) -> list[Table]:
    """Tabulate the changes on the rows set apart, and on each evaluation set that any training scored."""
    return [_table(report, data) for data in compared_sets(report)]


def ablation_panels(report: AblationReport) -> dict[str, Sequence[SwitchEffect]]:
    """Return the effects of the changes by the title of the rows; sets that some of the trainings lack are left out."""
    changes = [each.switch for each in report.effects.get(VALIDATION, [])]
    return {
        _title(data): effects
        for data, effects in report.effects.items()
        if effects and [each.switch for each in effects] == changes
    }


def write_ablation_tables(report: AblationReport, folder: Path) -> None:
    """Write the tables in Markdown."""
    with marked(folder / TABLES_NAME, "output_dir") as temporary:
        text = "\n\n".join(to_markdown(table) for table in ablation_tables(report))
        temporary.write_text(text + "\n", encoding="utf-8")


def _table(report: AblationReport, data: str) -> Table:
    effects = {each.switch: each for each in report.effects.get(data, [])}
    lines = []
    for switch in (BASE, *report.switches):
        scores = [found for run in report.runs if run.switch == switch if (found := _scores(run, data)) is not None]
        if not scores:
            continue
        accuracy, macro_f1 = (fmean(each) for each in zip(*scores, strict=True))
        means = (str(len(scores)), f"{100 * accuracy:.2f}", f"{100 * macro_f1:.2f}")
        effect = effects.get(switch)
        if effect is None:
            lines.append((switch, *means, "", "", ""))
            continue
        interval = effect.difference.interval
        between = f"{100 * interval.low:+.2f} to {100 * interval.high:+.2f}"
        lines.append((switch, *means, f"{100 * effect.difference.difference:+.2f}", between, effect.verdict))
    headings = ("change", "seeds", "accuracy", "macro F1", "points", "95 %", "verdict")
    return Table(_title(data), headings, lines)


def _title(data: str) -> str:
    return "Rows set apart" if data == VALIDATION else data


def _scores(run: AblationRun, data: str) -> tuple[float, float] | None:
    if data == VALIDATION:
        return run.accuracy, run.macro_f1
    found = run.evaluations.get(data)
    return None if found is None else (found.accuracy, found.macro_f1)
