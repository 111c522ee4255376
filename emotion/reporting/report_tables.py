"""Tabulate the results of a training, a compression and a prediction."""

from collections.abc import Mapping, Sequence

from emotion.evaluation import ClassScores, Interval
from emotion.models import MAJORITY, SVM
from emotion.prediction import Prediction
from emotion.reporting.compression_schema import BASELINE, CompressionReport
from emotion.reporting.evaluation_report import EvaluationReport
from emotion.reporting.rows import VALIDATION
from emotion.reporting.schema import ModelEntry, ScoresRecord, TrainingReport
from emotion.reporting.seeds import SeedSummary
from emotion.reporting.tables import Table

BASELINE_NAMES = {MAJORITY: "majority class", SVM: "TF-IDF + SVM"}
"""Names of the baselines in tables and figures."""


def models_table(report: TrainingReport) -> Table:
    """Tabulate all models of a report by their scores on validation, the best first, and the baselines."""
    target = f">= {report.accuracy_target:.2f}".replace("0.", ".")
    headings = ("model", "accuracy", "macro F1", "95 %", target, "> SVM", "MB", "train s")
    rows = [
        (
            name,
            *_scores(entry),
            _yes(entry.target_met),
            _beats(entry),
            f"{entry.model_size_mb:.1f}",
            f"{entry.train_seconds:.0f}",
        )
        for name, entry in sorted(report.models.items(), key=lambda item: -item[1].selection_f1)
    ]
    baselines = report.models[report.best_model].baselines if report.best_model is not None else {}
    for name, record in sorted(baselines.items(), key=lambda item: -item[1].macro_f1):
        met = _yes(record.accuracy >= report.accuracy_target)
        rows.append((BASELINE_NAMES.get(name, name), *_scores(record), met, "", "", f"{record.train_seconds:.0f}"))
    chosen = (
        "best mean of the CSVs' macro F1" if any(each.corpora for each in report.models.values()) else "best macro F1"
    )
    return Table(f"Validation results (* {chosen})", headings, rows, best=report.best_model)


def corpora_table(report: TrainingReport) -> Table | None:
    """Tabulate macro F1 on each of several validation CSVs, and their mean, which chooses; None if there is one."""
    models = {name: each for name, each in report.models.items() if each.corpora}
    corpora = list(dict.fromkeys(corpus for each in models.values() for corpus in each.corpora))
    if not corpora:
        return None
    rows = []
    for name, entry in sorted(models.items(), key=lambda item: -item[1].selection_f1):
        scores = (f"{entry.corpora[corpus].macro_f1:.4f}" if corpus in entry.corpora else "" for corpus in corpora)
        rows.append((name, f"{entry.selection_f1:.4f}", *scores))
    headings = ("model", "mean", *corpora)
    return Table("Macro F1 on each validation CSV (their mean chooses)", headings, rows, best=report.best_model)


def evaluation_table(report: TrainingReport, data: str) -> Table:
    """Tabulate the models, and the best one's baselines, by their scores on an evaluation set, in the same order."""
    models = sorted(report.models.items(), key=lambda item: -item[1].macro_f1)
    rows = [
        (name, *_scores(record), _calibration(record), f"{record.data.rows:,}", str(record.reads))
        for name, entry in models
        if (record := entry.evaluations.get(data)) is not None
    ]
    baselines = report.models[report.best_model].baselines if report.best_model is not None else {}
    scored = [(name, each.evaluations[data]) for name, each in baselines.items() if data in each.evaluations]
    for name, scores in sorted(scored, key=lambda item: -item[1].macro_f1):
        rows.append((BASELINE_NAMES.get(name, name), *_scores(scores), "", "", ""))
    headings = ("model", "accuracy", "macro F1", "95 %", "ECE", "rows", "read")
    return Table(f"Results on {data}, which chose nothing", headings, rows, best=report.best_model)


def shift_tables(report: TrainingReport) -> list[Table]:
    """Tabulate how unlike each evaluation set is to a model's text, and how well confidence tells its wrong labels."""
    unlike, errors = [], []
    for name, entry in sorted(report.models.items(), key=lambda item: -item[1].selection_f1):
        for data, record in entry.evaluations.items():
            if (shift := record.shift) is None:
                continue
            label = data if len(report.models) == 1 else f"{name} on {data}"
            told_apart = "" if shift.told_apart is None else f"{shift.told_apart:.3f}"
            scores = (f"{record.accuracy:.3f}", f"{shift.mean_confidence:.3f}")
            unlike.append((label, f"{100 * shift.unfamiliar:.1f}", told_apart, *scores))
            if (found := shift.errors) is not None:
                interval = f"{found.difference.low:+.3f} to {found.difference.high:+.3f}"
                errors.append((label, f"{found.by_temperature:.3f}", f"{found.auroc:.3f}", interval))
    tables = [
        Table(
            "Text unlike that of validation (AUROC: of the distance, told from validation)",
            ("set", "unfamiliar %", "AUROC", "accuracy", "confidence"),
            unlike,
        ),
        Table(
            "Wrong labels told by confidence, AUROC (95 %: of the gain)",
            ("set", "without distance", "with it", "95 %"),
            errors,
        ),
    ]
    return [table for table in tables if table.rows]


def calibration_table(report: TrainingReport) -> Table:
    """Tabulate each model's calibration on validation, by cross-fitting, before and after its temperature."""
    rows = []
    for name, entry in sorted(report.models.items(), key=lambda item: -item[1].macro_f1):
        if (found := entry.calibration) is not None:
            interval = f"{found.ece_interval.low:.3f}-{found.ece_interval.high:.3f}"
            perfect = f"{found.ece_perfect.mean:.3f} (to {found.ece_perfect.high:.3f})"
            pairs = ((found.ece_before, found.ece_after), (found.nll_before, found.nll_after))
            change, nll = (f"{before:.3f} > {after:.3f}" for before, after in pairs)
            brier = f"{found.brier_before:.3f} > {found.brier_after:.3f}"
            rows.append((name, f"{found.temperature:.2f}", change, interval, perfect, brier, nll))
    headings = ("model", "temperature", "ECE", "95 %", "perfect", "Brier", "NLL")
    return Table("Calibration before > after (95 %: of the error, corrected for noise)", headings, rows)


def checkpoint_tables(report: EvaluationReport) -> list[Table]:
    """Tabulate the scores of checkpoints on each evaluation set, the best macro F1 first."""
    tables = []
    for data in dict.fromkeys(data for entry in report.checkpoints.values() for data in entry.evaluations):
        scored = [
            (entry.evaluations[data], name) for name, entry in report.checkpoints.items() if data in entry.evaluations
        ]
        scored.sort(key=lambda each: -each[0].macro_f1)
        rows = [
            (name, *_scores(record), _calibration(record), f"{record.data.rows:,}", str(record.reads))
            for record, name in scored
        ]
        headings = ("checkpoint", "accuracy", "macro F1", "95 %", "ECE", "rows", "read")
        tables.append(Table(f"Results on {data}", headings, rows, best=scored[0][1] if len(scored) > 1 else None))
    return tables


def seeds_table(summaries: Sequence[SeedSummary], data: str = VALIDATION) -> Table:
    """Tabulate macro F1 over seeds, with the interval of its mean, and mean accuracy."""
    rows = []
    for summary in summaries:
        if data not in summary.scores:
            continue
        macro_f1, accuracy = summary.scores[data]["macro_f1"], summary.scores[data]["accuracy"]
        figures = (macro_f1.mean, macro_f1.std, macro_f1.low, macro_f1.high)
        interval = "" if macro_f1.interval is None else _range(macro_f1.interval)
        kept = "" if summary.shipped_seed is None else str(summary.shipped_seed)
        seeds = str(len(summary.seeds))
        rows.append((summary.model_name, seeds, *map(_or_none, figures), interval, _or_none(accuracy.mean), kept))
    headings = ("model", "seeds", "macro F1", "std", "min", "max", "95 %", "accuracy", "kept")
    return Table(f"Over seeds, on {data} (kept: the seed of the checkpoint)", headings, rows)


def _scores(record: ScoresRecord) -> tuple[str, str, str]:
    return f"{record.accuracy:.4f}", f"{record.macro_f1:.4f}", _interval(record)


def _interval(record: ScoresRecord) -> str:
    """Write the interval of macro F1; "" for reports of versions without one."""
    if record.intervals is None:
        return ""
    return _range(record.intervals.macro_f1)


def _range(interval: Interval) -> str:
    return f"{interval.low:.3f}-{interval.high:.3f}".replace("0.", ".")


def _calibration(record: ScoresRecord) -> str:
    return "" if record.calibration is None else f"{record.calibration.ece_after:.3f}"


def _beats(entry: ModelEntry) -> str:
    """Say whether a model beats the SVM on the same rows; a difference within chance is marked."""
    svm = entry.baselines.get(SVM)
    if svm is None:
        return ""
    if svm.difference.difference <= 0:
        return "NO"
    return "yes" if svm.difference.interval.low > 0 else "chance?"


def _yes(condition: bool) -> str:
    return "yes" if condition else "no"


def _or_none(number: float | None) -> str:
    return "" if number is None else f"{number:.4f}".replace("0.", ".")


def class_table(title: str, per_class: Mapping[str, ClassScores]) -> Table:
    """Tabulate precision, recall, F1 and support of each class."""
    rows = [
        (name, f"{scores.precision:.3f}", f"{scores.recall:.3f}", f"{scores.f1:.3f}", str(scores.support))
        for name, scores in per_class.items()
    ]
    return Table(title, ("class", "precision", "recall", "F1", "rows"), rows)


def compression_table(report: CompressionReport) -> Table:
    """Tabulate all variants of a report, the smallest file first."""
    original = report.variants[BASELINE]
    rows = []
    for name in report.ranking.by_size:
        variant = report.variants[name]
        row = (
            name,
            f"{variant.size_mb:.1f}",
            f"{variant.size_ratio:.0%}",
            f"{variant.speedup:.2f}",
            f"{variant.speedup_batch_1:.2f}",
            f"{variant.macro_f1:.4f}",
        )
        points = f"{100 * (variant.macro_f1 - original.macro_f1):+.2f}"
        compared = (points, f"{variant.agreement_with_original:.1%}", f"{variant.mcnemar_p:.2f}")
        rows.append((*row, *(compared if name != BASELINE else ("", "", ""))))
    headings = ("variant", "MB", "size", "speed", "alone", "macro F1", "points", "agree", "p")
    return Table(f"{report.model_name} compressed (speed in batches of 32, and alone)", headings, rows)


def prediction_table(prediction: Prediction) -> Table:
    """Tabulate how many rows were predicted as each class."""
    total = len(prediction.labels)
    rows = []
    for index, name in enumerate(prediction.names):
        count = prediction.labels.count(index)
        rows.append((name, str(count), f"{count / total:.1%}"))
    return Table(f"{total} rows predicted", ("class", "rows", "share"), rows)
