"""Tabulate an audit, and say in words what to look at."""

from collections.abc import Iterator

from emotion.data import TRAIN, Audit, SplitAudit
from emotion.reporting.audit_report import SUSPECTS_NAME, AuditReport, Suspects
from emotion.reporting.tables import Table

_MOST_PAIRS = 10


def audit_tables(report: AuditReport) -> list[Table]:
    """Tabulate the splits, the balance of their labels, their characters, and the suspect labels."""
    tables = [_splits_table(report.audit), _labels_table(report.audit), _characters_table(report.audit)]
    if len(report.audit.splits) > 1:
        tables.insert(1, _overlaps_table(report.audit))
    if report.suspects.pairs:
        tables.append(_pairs_table(report.suspects))
    return tables


def audit_in_words(report: AuditReport) -> list[str]:
    """Say what was found, worst first; what was not found is left out."""
    return [*_conflicts(report.audit), *_others(report.audit), _suspects(report)]


def _splits_table(audit: Audit) -> Table:
    rows = []
    for name, split in audit.splits.items():
        repeats, words = split.repeats, split.words
        unseen = "" if name == TRAIN else f"{100 * words.unseen:.1f}"
        counts = (len(split.empty_rows), len(split.long_texts.rows), repeats.agreeing.texts, repeats.conflicting.texts)
        rows.append((name, f"{split.rows:,}", *(f"{count:,}" for count in counts), f"{words.distinct:,}", unseen))
    headings = ("split", "rows", "empty", "long", "repeated", "conflicting", "distinct words", "unseen %")
    return Table("Splits: repeated and conflicting texts", headings, rows)


def _overlaps_table(audit: Audit) -> Table:
    rows = [
        (f"{each.first}, {each.second}", f"{each.repeats.agreeing.texts:,}", f"{each.repeats.conflicting.texts:,}")
        for each in audit.overlaps
    ]
    return Table("Texts in two splits", ("splits", "same label", "another label"), rows)


def _labels_table(audit: Audit) -> Table:
    rows = []
    for label in next(iter(audit.splits.values())).label_counts:
        counts = [(split.label_counts[label], split.rows) for split in audit.splits.values()]
        rows.append((label, *(f"{count:,} ({100 * count / total:.1f} %)" for count, total in counts)))
    return Table("Rows of each label", ("label", *audit.splits), rows)


def _characters_table(audit: Audit) -> Table:
    def found(split: SplitAudit) -> dict[str, int]:
        return {**split.character_kinds, **{f"{name} script": rows for name, rows in split.scripts.items()}}

    kinds = [found(split) for split in audit.splits.values()]
    rows = []
    for kind in dict.fromkeys(kind for each in kinds for kind in each):
        shares = [
            f"{100 * each.get(kind, 0) / split.rows:.2f}"
            for each, split in zip(kinds, audit.splits.values(), strict=True)
        ]
        rows.append((kind, *shares))
    return Table("Rows with such characters, %", ("characters", *audit.splits), rows)


def _pairs_table(suspects: Suspects) -> Table:
    shown = suspects.pairs[:_MOST_PAIRS]
    rows = [(f"{each.label} > {each.suggested}", f"{each.rows:,}") for each in shown]
    more = sum(each.rows for each in suspects.pairs[_MOST_PAIRS:])
    if more:
        rows.append(("others", f"{more:,}"))
    return Table("Suspect labels: given > suggested", ("labels", "rows"), rows)


def _conflicts(audit: Audit) -> Iterator[str]:
    for each in audit.overlaps:
        if texts := each.repeats.conflicting.texts:
            yield f"{_texts(texts)} of {each.first} with another label in {each.second}."
    for name, split in audit.splits.items():
        if texts := split.repeats.conflicting.texts:
            rows = split.repeats.conflicting.row_count(name)
            yield f"{_texts(texts)} of {name} with different labels, in {rows:,} rows."
    if audit.dropped_rows:
        yield f"data.drop_conflicts=true would leave out {_rows(len(audit.dropped_rows))} of training."


def _others(audit: Audit) -> Iterator[str]:
    for each in audit.overlaps:
        if texts := each.repeats.agreeing.texts:
            yield f"{_texts(texts)} of {each.first} with the same label in {each.second}, which a model may remember."
    for name, split in audit.splits.items():
        if rows := len(split.empty_rows):
            yield f"{name}: {_rows(rows)} without text."
        if rows := len(split.long_texts.rows):
            long_texts = split.long_texts
            yield f"{name}: {_rows(rows)} of more than {long_texts.limit} {long_texts.unit}, whose end is not read."
        absent = [label for label, count in split.label_counts.items() if not count]
        if absent:
            yield f"{name}: no row of {', '.join(absent)}."


def _suspects(report: AuditReport) -> str:
    found, rows = report.suspects, report.audit.splits[TRAIN].rows
    judged = f"{found.model} in {found.folds} folds, accuracy {found.accuracy:.3f}, macro F1 {found.macro_f1:.3f}"
    share = f"{len(found.rows):,} of {rows:,} training rows ({100 * len(found.rows) / rows:.1f} %)"
    where = f"; look at {SUSPECTS_NAME} from its top" if found.rows else ""
    return f"Labels that are probably wrong: {share}, as judged by {judged}{where}."


def _texts(count: int) -> str:
    return f"{count:,} text{'s' if count > 1 else ''}"


def _rows(count: int) -> str:
    return f"{count:,} row{'s' if count > 1 else ''}"
