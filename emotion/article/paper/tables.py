"""Choose an article's tables from the material of an output folder."""

from collections.abc import Sequence

from emotion.article.material import Material
from emotion.article.paper.cells import BOLD, BRACKETS, CORRECTED, EMPTY, p_value, points, score
from emotion.article.paper.compression_tables import compression_tables
from emotion.article.paper.latex import Cell, Column, LatexTable
from emotion.evaluation import Calibration
from emotion.reporting import VALIDATION, Comparison, ScoresRecord, SeedSummary

_MOST_MODELS = 3
"""Models side by side in the table of classes: more are wider than a page."""


def paper_tables(material: Material) -> list[LatexTable]:
    """Make all tables for which there are figures."""
    seed_sets = list(dict.fromkeys(data for each in material.seeds for data in each.scores))
    tables = [
        _data(material),
        *(_results(material, data) for data in material.sets),
        *(_seeds(material.seeds, data) for data in seed_sets),
        *_comparisons(material.report.comparisons),
        *_calibration(material),
        *(_classes(material, data) for data in material.sets),
        *([] if material.compression is None else compression_tables(material.compression)),
    ]
    return [table for table in tables if table.rows]


def _data(material: Material) -> LatexTable:
    entry = material.best.entry
    files = {"training": entry.data.train, VALIDATION: entry.data.validation}
    files |= {data: record.data for data, record in entry.evaluations.items()}
    names = list(entry.per_class)
    rows = [[Cell(name), *(Cell(f"{each.label_counts.get(name, 0):,}") for each in files.values())] for name in names]
    rows.append([Cell("all"), *(Cell(f"{each.rows:,}") for each in files.values())])
    columns = [Column("class"), *map(Column, files)]
    return LatexTable("data", "Rows of each class.", columns, rows, groups=[len(names)])


def _results(material: Material, data: str) -> LatexTable:
    models, baselines = material.scores_on(data), material.baselines_on(data)
    rows = [_result(name, record, record.calibration) for name, record in models.items()]
    rows += [_result(name, record, None) for name, record in baselines.items()]
    columns = [Column("model"), Column("accuracy", "higher"), Column("macro F1", "higher"), Column("ECE", "lower")]
    caption = f"Results on {_rows_of(material, data)}. {BRACKETS} {CORRECTED} {BOLD}"
    return LatexTable(f"results-{data}", caption, columns, rows, groups=[len(models)] if baselines else [])


def _result(name: str, record: ScoresRecord, calibration: Calibration | None) -> list[Cell]:
    found = record.intervals
    return [
        Cell(name),
        score(record.accuracy, None if found is None else found.accuracy),
        score(record.macro_f1, None if found is None else found.macro_f1),
        EMPTY if calibration is None else score(calibration.ece_after, calibration.ece_interval, digits=3),
    ]


def _rows_of(material: Material, data: str) -> str:
    if data == VALIDATION:
        rows = material.best.entry.data.validation.rows
        return f"the {rows:,} validation rows, which also chose the epoch of each model and the best model"
    records = [each.entry.evaluations[data] for each in material.models.values() if data in each.entry.evaluations]
    if not records:  # one of several validation CSVs
        rows = max(each.rows for each in material.scores_on(data).values())
        return f"the {rows:,} rows of {data}, which also chose the epoch of each model and the best model"
    rows, reads = max(each.data.rows for each in records), max(each.reads for each in records)
    return f"the {rows:,} rows of {data}, which chose nothing ({_times(reads)})"


def _times(reads: int) -> str:
    return "read once for each model" if reads == 1 else f"read up to {reads} times for a model"


def _seeds(summaries: Sequence[SeedSummary], data: str) -> LatexTable:
    rows = []
    for summary in summaries:
        if data not in summary.scores:
            continue
        macro_f1, accuracy = summary.scores[data]["macro_f1"], summary.scores[data]["accuracy"]
        kept = "" if summary.shipped_seed is None else str(summary.shipped_seed)
        rows.append(
            [
                Cell(summary.model_name),
                Cell(str(len(summary.seeds))),
                score(macro_f1.mean, macro_f1.interval),
                Cell("" if macro_f1.std is None else f"{macro_f1.std:.4f}"),
                Cell(f"{macro_f1.low:.4f}"),
                Cell(f"{macro_f1.high:.4f}"),
                Cell(f"{accuracy.mean:.4f}", accuracy.mean),
                Cell(kept),
            ]
        )
    columns = [
        *(Column("model"), Column("seeds"), Column("macro F1", "higher"), Column("std."), Column("min"), Column("max")),
        *(Column("accuracy", "higher"), Column("kept")),
    ]
    caption = (
        f"Means over seeds, on {data}. Brackets: 95 % intervals of the mean (Student's t). {BOLD} Kept: the seed of the"
        " checkpoint, chosen by macro F1 on validation alone."
    )
    return LatexTable(f"seeds-{data}", caption, columns, rows)


def _comparisons(comparisons: Sequence[Comparison]) -> list[LatexTable]:
    tables = []
    for data in dict.fromkeys(each.data for each in comparisons):
        rows = [
            [
                Cell(f"{each.first} - {each.second}"),
                points(each.difference.difference, each.difference.interval),
                Cell("" if each.difference_holm_p is None else p_value(each.difference_holm_p)),
                Cell(p_value(each.holm_p)),
                Cell("" if each.rows_needed is None else f"{each.rows_needed:,}"),
            ]
            for each in comparisons
            if each.data == data
        ]
        columns = [Column("models"), *map(Column, ("macro F1, points", "p", "McNemar p", "rows needed"))]
        count = next(each.rows for each in comparisons if each.data == data)
        caption = (
            f"Differences between models on the same {count:,} rows of {data}. Brackets: 95 % intervals of a paired"
            " bootstrap, p: of no difference in macro F1. McNemar: exact test of equal error rates. Both p-values are"
            " corrected for all pairs (Holm). Rows needed: to find a difference of this size four times in five."
        )
        tables.append(LatexTable(f"differences-{data}", caption, columns, rows))
    return tables


def _calibration(material: Material) -> list[LatexTable]:
    rows = []
    for name, each in material.models.items():
        found = each.entry.calibration
        if found is None:
            continue
        rows.append(
            [
                Cell(name),
                Cell(f"{found.temperature:.2f}"),
                Cell(f"{found.ece_before:.3f}"),
                score(found.ece_after, found.ece_interval, digits=3),
                Cell(f"{found.ece_perfect.high:.3f}"),
                Cell(f"{found.brier_after:.3f}", found.brier_after),
                Cell(f"{found.nll_after:.3f}", found.nll_after),
            ]
        )
    columns = [
        *(Column("model"), Column("temperature"), Column("ECE before"), Column("ECE after", "lower")),
        *(Column("noise"), Column("Brier", "lower"), Column("NLL", "lower")),
    ]
    caption = (
        "Calibration on validation, by cross-fitting: no row is judged with a temperature that it helped to fit."
        f" {BRACKETS} {CORRECTED} Noise: the error that a perfectly calibrated model stays below 19 times in 20. {BOLD}"
    )
    return [LatexTable("calibration", caption, columns, rows)]


def _classes(material: Material, data: str) -> LatexTable:
    records = material.scores_on(data)
    shown = dict(list(records.items())[:_MOST_MODELS])
    first = next(iter(shown.values()))
    rows = [
        [
            Cell(name),
            *(_class_f1(record, name) for record in shown.values()),
            Cell(f"{scores.support:,}"),
        ]
        for name, scores in first.per_class.items()
    ]
    caption = f"F1 of each class on {data}. {BRACKETS}"
    if len(shown) < len(records):
        caption += f" The first {len(shown)} of {len(records)} models."
    columns = [Column("class"), *map(Column, shown), Column("rows")]
    return LatexTable(f"classes-{data}", caption, columns, rows)


def _class_f1(record: ScoresRecord, name: str) -> Cell:
    scores = record.per_class.get(name)
    if scores is None:
        return EMPTY
    return score(scores.f1, None if record.intervals is None else record.intervals.per_class_f1.get(name), digits=3)
