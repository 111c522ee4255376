"""Fill the page's template."""

import hashlib
import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from emotion.article.material import Material
from emotion.article.page.charts import f1_curves, loss_curves, reliability_diagram, risk_curves, score_bars
from emotion.article.page.examples import LONGEST_TEXT, Example, Pair
from emotion.article.page.findings import findings
from emotion.article.page.frontier import frontier_charts
from emotion.article.page.matrices import evidence_of, matrices
from emotion.article.page.svg import WIDTH, Chart
from emotion.article.page.tables import (
    classes_table,
    comparisons_table,
    lengths_table,
    variants_on_sets_tables,
    variants_table,
)
from emotion.evaluation import Attribution
from emotion.reporting import VALIDATION, Comparison, CompressionReport, attribution_html
from emotion.reporting.report_tables import (
    calibration_table,
    checkpoint_tables,
    corpora_table,
    evaluation_table,
    models_table,
    seeds_table,
    shift_tables,
)
from emotion.reporting.tables import Table, to_html

_MOST_ATTRIBUTIONS = 300_000
"""Bytes of HTML of all explained texts."""
_MOST_BARS = 12
_MOST_COMPARISONS = 100


@dataclass(frozen=True, slots=True)
class _Mistakes:
    """Where a model errs on one CSV."""

    model: str
    data: str
    worst: list[Example]
    pairs: list[Pair]
    lengths: Table


def render_page(
    material: Material,
    attributions: Mapping[str, Sequence[Attribution]] | None = None,
    audit: Sequence[Table] | None = None,
) -> str:
    """Render everything of an output folder as one HTML page.

    The page asks for no other file and no network, and needs no JavaScript to be complete. Texts and names are shown,
    never run: they are escaped, and the page's policy admits no script but its own. It is kept below 2 MB: examples
    that do not fit are left out, and the page says so.

    Args:
        material: What to show.
        attributions: Explained texts by the name of their model.
        audit: Tables of a data audit.

    Returns:
        The HTML document; the same for the same arguments.
    """
    left_out = list(material.left_out)
    script = _file("page.js")
    digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["table"] = lambda table: Markup(to_html(table))
    environment.filters["share"] = lambda share: f"{share:.1%}"
    environment.filters["json"] = lambda value: json.dumps(value, indent=2, ensure_ascii=False, default=str)
    explained = _explained(material, attributions or {}, left_out)
    shown_matrices = matrices(material, left_out)
    return environment.from_string(_file("report.html.j2")).render(
        material=material,
        best=material.best,
        findings=findings(material),
        sections=_tables(material, left_out),
        charts=_charts(material, left_out),
        matrices=shown_matrices,
        mistakes=_mistakes(material),
        explained=explained,
        audit=list(audit or []),
        left_out=left_out,
        longest_text=LONGEST_TEXT,
        width=WIDTH,
        style=Markup(_file("page.css")),
        script=Markup(script),
        script_digest=digest,
    )


def _file(name: str) -> str:
    return files("emotion.article.page").joinpath(name).read_text(encoding="utf-8")


def _tables(material: Material, left_out: list[str]) -> dict[str, list[Table]]:
    """Make the tables of each section; a section without any is empty."""
    report, best = material.report, material.best
    seed_sets = list(dict.fromkeys(data for each in material.seeds for data in each.scores))
    comparisons = _most(report.comparisons, left_out)
    return {
        "models": [models_table(report)],
        "sets": [
            *([corpora] if (corpora := corpora_table(report)) is not None else []),
            *(evaluation_table(report, data) for data in material.evaluation_sets),
            *shift_tables(report),
        ],
        "comparisons": [comparisons_table(comparisons)] if comparisons else [],
        "checkpoints": [] if material.evaluation is None else checkpoint_tables(material.evaluation),
        "seeds": [seeds_table(material.seeds, data) for data in seed_sets],
        "calibration": [table for table in [calibration_table(report)] if table.rows],
        "classes": [classes_table(best.name, data, record) for data, record in best.records.items()],
        "compression": [] if material.compression is None else _compression_tables(material.compression),
    }


def _compression_tables(report: CompressionReport) -> list[Table]:
    return [variants_table(report), *variants_on_sets_tables(report)]


def _most(comparisons: Sequence[Comparison], left_out: list[str]) -> Sequence[Comparison]:
    if len(comparisons) > _MOST_COMPARISONS:
        left_out.append(f"Of {len(comparisons):,} paired comparisons, the first {_MOST_COMPARISONS} are shown.")
    return comparisons[:_MOST_COMPARISONS]


def _charts(material: Material, left_out: list[str]) -> dict[str, list[Chart]]:
    """Draw the charts of each section."""
    best, models = material.best, material.models
    calibrations = {name: each.entry.calibration for name, each in models.items() if each.entry.calibration is not None}
    histories = {name: each.entry.history for name, each in models.items() if each.entry.history}
    calibrated = [(data, record.calibration) for data, record in best.records.items()]
    reliability = [reliability_diagram(best.name, data, found) for data, found in calibrated if found is not None]
    if len(models) > _MOST_BARS:
        left_out.append(f"The charts of macro F1 show the first {_MOST_BARS} of {len(models)} models.")
    return {
        "scores": [_bars(material, data) for data in best.records],
        "training": [
            *([f1_curves(histories)] if histories else []),
            *([loss_curves(best.name, best.entry.history)] if best.entry.history else []),
        ],
        "calibration": [*reliability, *([risk_curves(VALIDATION, calibrations)] if calibrations else [])],
        "compression": [] if material.compression is None else frontier_charts(material.compression),
    }


def _bars(material: Material, data: str) -> Chart:
    """Draw the models and the best one's baselines on one CSV."""
    found = material.scores_on(data)
    shown = dict(list(found.items())[:_MOST_BARS])
    return score_bars(data, {**shown, **material.baselines_on(data)}, len(shown), material.best.name)


def _mistakes(material: Material) -> list[_Mistakes]:
    """Collect where the best model errs, on each CSV whose texts are there."""
    best = material.best
    found = [(data, evidence_of(best, data)) for data in best.records]
    return [
        _Mistakes(best.name, data, each.worst(), each.pairs(), lengths_table(best.name, data, each.lengths()))
        for data, each in found
        if each is not None
    ]


def _explained(
    material: Material, attributions: Mapping[str, Sequence[Attribution]], left_out: list[str]
) -> dict[str, list[tuple[str, Markup]]]:
    """Render explained texts, with a heading for each, for as long as they fit the page."""
    found: dict[str, list[tuple[str, Markup]]] = {}
    budget, total = _MOST_ATTRIBUTIONS, sum(map(len, attributions.values()))
    for name, each in ((name, each) for name, group in attributions.items() for each in group):
        names = material.models[name].labels.names
        html = attribution_html(each, names)
        budget -= len(html.encode())
        if budget < 0:
            break
        heading = f"{names[each.label]}, {each.probability:.0%} ({each.method.replace('_', ' ')})"
        found.setdefault(name, []).append((heading, Markup(html)))
    shown = sum(map(len, found.values()))
    if shown < total:
        left_out.append(f"Of {total} explained texts, {shown} are shown, to keep the page small.")
    return found
