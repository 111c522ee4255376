"""Say in sentences what a report's figures allow to conclude."""

from emotion.article.material import Material
from emotion.evaluation import Calibration
from emotion.models import SVM
from emotion.reporting import BASELINE, EvaluationRecord, ModelEntry, leading_comparisons, verdict

_PERCENT = "95 % interval"


def findings(material: Material) -> list[str]:
    """Return the results in plain text, the most important first.

    Each is a claim, and after the first colon what it rests on.
    """
    name, entry = material.best.name, material.best.entry
    return [
        _headline(name, entry),
        *_against_the_second(material),
        _against_the_baseline(name, entry),
        *_on_evaluation_sets(name, entry),
        _calibration(name, entry.calibration),
        _seeds(material),
        *_compressed(material),
    ]


def _headline(name: str, entry: ModelEntry) -> str:
    rows = entry.data.validation.rows
    where = f"{rows:,} validation row{'s' if rows > 1 else ''}"
    chosen = f"; its mean over the {len(entry.corpora)} CSVs, {entry.selection_f1:.4f}, chose" if entry.corpora else ""
    return f"{name} reaches a macro F1 of {entry.macro_f1:.4f} on {where}: {_details(entry)}{chosen}."


def _details(record: ModelEntry | EvaluationRecord) -> str:
    accuracy = f"accuracy {record.accuracy:.4f}"
    if record.intervals is None:
        return f"{accuracy}; this report has no interval"
    found = record.intervals.macro_f1
    return f"{_PERCENT} {found.low:.4f} to {found.high:.4f}; {accuracy}"


def _against_the_second(material: Material) -> list[str]:
    if len(material.models) == 1:
        return ["It is the only model: there is no second to compare it with."]
    if not material.report.comparisons:
        return ["No two models can be compared: there are no predictions of both on the same rows."]
    found = []
    for comparison in leading_comparisons(material.report.comparisons):
        claim, _, evidence = verdict(comparison).partition(": ")
        found.append(f"{claim} on {comparison.data}: {evidence}")
    return found


def _against_the_baseline(name: str, entry: ModelEntry) -> str:
    svm = entry.baselines.get(SVM)
    if svm is None:
        return f"No baseline was trained: nothing shows that {name} is better than TF-IDF with a linear SVM."
    found = svm.difference
    pair = f"macro F1 {entry.macro_f1:.4f} against {svm.macro_f1:.4f}"
    interval = f"{_PERCENT} {100 * found.interval.low:+.2f} to {100 * found.interval.high:+.2f}"
    measured = f"{pair}, {100 * found.difference:+.2f} points ({interval}; McNemar's p = {svm.mcnemar_p:.2g})."
    if found.difference <= 0:
        return f"{name} does not beat TF-IDF with a linear SVM on the same rows: {measured}"
    if found.interval.low <= 0:
        return f"{name} cannot be told from TF-IDF with a linear SVM on the same rows: {measured}"
    return f"{name} beats TF-IDF with a linear SVM on the same rows: {measured}"


def _on_evaluation_sets(name: str, entry: ModelEntry) -> list[str]:
    if not entry.evaluations:
        return [
            "There is no evaluation set: the validation rows also chose the epoch and the model,"
            " so new texts would give lower figures."
        ]
    return [
        f"On {data}, which chose nothing, {name} reaches a macro F1 of {record.macro_f1:.4f}:"
        f" {_details(record)}; {record.data.rows:,} rows, {_reads(record.reads)}."
        for data, record in entry.evaluations.items()
    ]


def _reads(reads: int) -> str:
    if reads == 1:
        return "read once"
    return f"read {reads} times (whoever chooses by it makes it a second validation set)"


def _calibration(name: str, found: Calibration | None) -> str:
    if found is None:
        return "Calibration is unknown: this report says nothing about it."
    interval = f"{_PERCENT}, corrected for noise, {found.ece_interval.low:.3f} to {found.ece_interval.high:.3f}"
    errors = (
        f"expected calibration error {found.ece_after:.3f} ({interval}; {found.ece_before:.3f} before its temperature"
        f" of {found.temperature:.2f}), where noise alone gives up to {found.ece_perfect.high:.3f}"
    )
    if found.ece_after <= found.ece_perfect.high:
        return f"The confidences of {name} agree with how often it is right: {errors}."
    return f"The confidences of {name} are off by more than noise: {errors}."


def _seeds(material: Material) -> str:
    of_model = [each for each in material.seeds if each.model_name == material.best.name]
    mine = next((each for each in of_model if each.shipped_seed is not None), None)
    if mine is None:
        return "Seeds are unknown: this report does not say which runs differ by their seed alone."
    if len(mine.seeds) == 1:
        return f"{material.best.name} was trained with one seed: how much it owes to chance is unknown."
    spread = mine.scores["validation"]["macro_f1"]
    found = f"{spread.mean:.4f} on average, {spread.low:.4f} to {spread.high:.4f}"
    return f"{material.best.name} was trained with {len(mine.seeds)} seeds: macro F1 on validation is {found}."


def _compressed(material: Material) -> list[str]:
    report = material.compression
    if report is None:
        return []
    others = [name for name in report.ranking.by_size if name != BASELINE]
    if not others:
        return ["No compressed model was measured."]
    smallest = report.variants[others[0]]
    size = f"{smallest.size_mb:.1f} MB ({smallest.size_ratio:.0%} of the original)"
    speed = f"{smallest.speedup:.1f} times as fast in batches of 32"
    scores = f"macro F1 {smallest.macro_f1:.4f} instead of {report.variants[BASELINE].macro_f1:.4f}"
    return [f"The smallest compressed {report.model_name} is {others[0]}: {size}, {speed}, {scores}."]
