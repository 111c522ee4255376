"""Blocks of docs/results.md and docs/audit.md."""

import json
from statistics import fmean

from docs_blocks.registry import REPORTS, block, bullets, read_material
from emotion.article.page import classes_table, comparisons_table, findings
from emotion.reporting import (
    ABLATION_REPORT_NAME,
    AblationReport,
    EvaluationReport,
    ablation_tables,
    read_json,
)
from emotion.reporting.report_tables import (
    calibration_table,
    evaluation_table,
    models_table,
    seeds_table,
    shift_tables,
)
from emotion.reporting.tables import Table, to_markdown


@block
def emotion_findings() -> str:
    """What the report of the real data allows to conclude."""
    return bullets(findings(read_material("emotion")))


@block
def sample_findings() -> str:
    """What the report of the sample corpus allows to conclude."""
    return bullets(findings(read_material("sample")))


@block
def emotion_training() -> str:
    """All tables of a training on the real data."""
    material = read_material("emotion")
    report, best = material.report, material.best
    tables = [
        models_table(report),
        *(evaluation_table(report, data) for data in material.evaluation_sets),
        *shift_tables(report),
        *(seeds_table(material.seeds, data) for data in best.records),
        calibration_table(report),
        *(classes_table(best.name, data, record) for data, record in best.records.items()),
        *([comparisons_table(report.comparisons)] if report.comparisons else []),
    ]
    return "\n\n".join(map(to_markdown, tables))


@block
def emotion_audit() -> str:
    """What the audit of the real data found."""
    return bullets(json.loads((REPORTS / "emotion" / "audit_findings.json").read_text(encoding="utf-8")))


@block
def drop_conflicts() -> str:
    """The same training with and without contradictory rows."""
    rows = []
    for setting, folder in (("`false`", "emotion"), ("`true`", "emotion_drop_conflicts")):
        material = read_material(folder)
        entry = material.best.entry
        run = next(run for run in material.report.runs if run.seed == 1)
        svm = entry.baselines["tfidf_svm"]
        scores = (f"{run.accuracy:.4f}", f"{run.macro_f1:.4f}", f"{svm.accuracy:.4f}", f"{svm.macro_f1:.4f}")
        rows.append((setting, f"{entry.data.train.rows:,}", *scores))
    models = ("MiniLM, seed 1: accuracy", "macro F1", "TF-IDF + SVM: accuracy", "macro F1")
    headings = ("`data.drop_conflicts`", "training rows", *models)
    return to_markdown(Table(headings[0], headings, rows))


@block
def ablation_screen() -> str:
    """What each change of the recipe adds, on a quarter of the training rows."""
    return _ablation("ablation_screen")


@block
def ablation_finalists() -> str:
    """What the best changes add, on all training rows."""
    return _ablation("ablation_finalists")


def _ablation(folder: str) -> str:
    return "\n\n".join(map(to_markdown, ablation_tables(ablation(folder))))


def ablation(folder: str) -> AblationReport:
    """Read the report of a comparison of recipes."""
    return read_json(REPORTS / folder / ABLATION_REPORT_NAME, AblationReport)


@block
def tuned_seeds() -> str:
    """The recipe that is offered, over seeds, beside the default."""
    rows = []
    for name, folder in (("default", "emotion"), ("tuned", "tuned")):
        material = read_material(folder)
        for data in material.best.records:
            (found,) = (each for each in material.seeds if data in each.scores)
            rows.append((f"`recipe={name}` on {data}", *seeds_table([found], data).rows[0][1:]))
    first = seeds_table(read_material("tuned").seeds).headings
    return to_markdown(Table("recipe", ("recipe", *first[1:]), rows))


TEXTS = {"validation": "f1", "goemotions_train": "ece", "reddit_b": "ece"}
"""Sets of both kinds of text, and what is shown of each beside accuracy."""


@block
def other_text() -> str:
    """Models of one corpus, of both and of averaged weights, on text of both."""
    groups = {
        "dair-ai/emotion, 16,000 rows": "seed_",
        "4,000 of them, `logit_adjustment=1`": "few_",
        "the mean of one of all and one of few rows": "soup_1_full_1_few_",
        "the mean of two and one": "soup_2_full_1_few_",
        "the mean of three of all rows": "soup_3_full",
    }
    tuned = {
        "16,000 rows, `recipe=tuned`": "tuned_",
        "the mean of two of these and one of few rows": "soup_2_tuned_1_few_",
    }
    rows = [*_means("other_text", groups, TEXTS), *_means("other_text_tuned", tuned, TEXTS)]
    runs = read_material("two_corpora").report.runs
    home, reddit = [run.corpora["home"] for run in runs], [run.evaluations["reddit_b"] for run in runs]
    accuracy, macro_f1 = fmean(each.accuracy for each in home), fmean(each.macro_f1 for each in home)
    scores = (f"{accuracy:.3f}", f"{macro_f1:.4f}", "", "", f"{fmean(each.accuracy for each in reddit):.3f}", "")
    rows.append(("dair-ai/emotion and GoEmotions", str(len(runs)), *scores))
    headings = ("dair-ai: accuracy", "macro F1", "GoEmotions: accuracy", "ECE", "reddit_b: accuracy", "ECE")
    return to_markdown(Table("trained on", ("trained on", "models", *headings), rows))


@block
def other_way_round() -> str:
    """Models of GoEmotions alone on dair-ai/emotion."""
    groups = {
        "GoEmotions, 5,272 rows": "seed_",
        "the mean of two of them": "soup",
        "with `augmentation` crop, mask and case": "augmented",
    }
    rows = _means("reverse", groups, {"home": "f1", "reddit_b": "f1"})
    headings = ("dair-ai: accuracy", "macro F1", "reddit_b: accuracy", "macro F1")
    return to_markdown(Table("trained on", ("trained on", "models", *headings), rows))


def _means(folder: str, groups: dict[str, str], figures: dict[str, str]) -> list[tuple[str, ...]]:
    """Return mean scores of checkpoints in a row for each group of them, told by the beginning of their names.

    Args:
        folder: Of the report.
        groups: The beginning of the names by the label of the row.
        figures: By evaluation set: what is shown beside accuracy, ``f1`` or ``ece``.
    """
    report = read_json(REPORTS / folder / "evaluation_report.json", EvaluationReport)
    rows = []
    for label, beginning in groups.items():
        members = [each.evaluations for name, each in report.checkpoints.items() if name.startswith(beginning)]
        if not members:
            continue
        cells = []
        for data, figure in figures.items():
            found = [each[data] for each in members]
            cells.append(f"{fmean(each.accuracy for each in found):.3f}")
            if figure == "f1":
                cells.append(f"{fmean(each.macro_f1 for each in found):.4f}")
            else:
                cells.append(f"{fmean(each.calibration.ece_after for each in found if each.calibration):.3f}")
        rows.append((label, str(len(members)), *cells))
    return rows


@block
def quality_goals() -> str:
    """What was aimed at, and what was reached."""
    default, tuned, both = (read_material(folder).report.runs for folder in ("emotion", "tuned", "two_corpora"))
    f1 = {name: fmean(run.macro_f1 for run in runs) for name, runs in (("default", default), ("tuned", tuned))}
    accuracy = fmean(run.accuracy for run in tuned)
    alone, soup = _means("other_text", {"": "seed_"}, TEXTS)[0], _means("other_text_tuned", {"": "soup_2"}, TEXTS)[0]
    lost = 100 * (f1["default"] - fmean(run.corpora["home"].macro_f1 for run in both))
    reddit = fmean(run.evaluations["reddit_b"].accuracy for run in both)
    scores = json.loads((REPORTS / "other_text" / "shift_scores.json").read_text(encoding="utf-8"))
    distance = [next(each for each in scores[way] if each["score"] == "distance") for way in ("home", "reverse")]
    shift = read_material("emotion").best.entry.evaluations["reddit"].shift
    assert shift is not None
    assert shift.errors is not None
    gain = shift.errors.difference
    rows = [
        (
            f"`recipe=tuned` on dair-ai/emotion, {len(tuned)} seeds",
            "macro F1 >= .916, accuracy >= .935",
            f"{f1['tuned']:.4f}, {accuracy:.4f} (`default`, three seeds: {f1['default']:.4f})",
        ),
        (
            "trained on dair-ai/emotion alone, accuracy and ECE on GoEmotions",
            ">= .53, <= .15, with <= 0.5 points of macro F1 lost at home",
            f"{alone[4]}, {alone[5]}; the mean of two of `tuned` and one of few rows {soup[4]}, {soup[5]}, with"
            f" {100 * (float(alone[3]) - float(soup[3])):+.1f} points lost",
        ),
        (
            "trained on both, accuracy on reddit_b",
            ">= .89, with <= 0.3 points lost at home",
            f"{reddit:.3f}, with {lost:.1f} points",
        ),
        (
            "other text recognised, AUROC, normalised, both ways",
            ">= .90",
            ", ".join(f"{each['normalised']:.3f}" for each in distance),
        ),
        (
            "wrong labels on reddit told by confidence, AUROC",
            "more than without the distance",
            f"{shift.errors.auroc:.3f} against {shift.errors.by_temperature:.3f}, {gain.low:+.3f} to {gain.high:+.3f}",
        ),
    ]
    return to_markdown(Table("what", ("what", "aim", "reached"), rows))


@block
def shift_scores() -> str:
    """How well each score tells text that is unlike the training text."""
    found = json.loads((REPORTS / "other_text" / "shift_scores.json").read_text(encoding="utf-8"))
    tables = []
    for model, scores in found.items():
        figures = ("as_written", "normalised", "wrong")
        rows = [(each["score"], *(f"{each[figure]:.3f}" for figure in figures)) for each in scores]
        headings = ("score", "other text, as written", "normalised", "wrong labels in it")
        tables.append(to_markdown(Table(f"AUROC of {model}", headings, rows)))
    return "\n\n".join(tables)
