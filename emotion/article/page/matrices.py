"""Lay out confusion matrices whose cells lead to their texts."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from emotion.article.material import Material, ModelMaterial, ScoredRows
from emotion.article.page.examples import MOST, Evidence, Example, within
from emotion.reporting import ScoresRecord

_MOST_CELLS = 6_000
"""Of all matrices; more would make the page too large to be read, let alone loaded."""
_BUDGET = 600_000
"""Bytes of HTML of all examples, about."""


@dataclass(frozen=True, slots=True)
class MatrixCell:
    """Rows of one class that were predicted as one class."""

    rows: int
    shade: int
    """Share of the rows with that label, in percent."""
    anchor: str = ""
    """Where its examples are; "" if there are none."""


@dataclass(frozen=True, slots=True)
class CellExamples:
    """The texts of a cell."""

    anchor: str
    label: str
    predicted: str
    rows: int
    examples: list[Example]


@dataclass(frozen=True, slots=True)
class Matrix:
    """A confusion matrix, (label, predicted class)."""

    model: str
    data: str
    names: list[str]
    cells: list[list[MatrixCell]]
    examples: list[CellExamples] = field(default_factory=list)


def evidence_of(model: ModelMaterial, data: str) -> Evidence | None:
    """Return the rows and texts of a model on one CSV, if they are there and of its classes."""
    scored = model.scored.get(data)
    return None if scored is None or not _fits(scored, model.records[data]) else Evidence(scored)


def _fits(scored: ScoredRows, record: ScoresRecord) -> bool:
    return scored.texts is not None and list(scored.rows.names) == list(record.per_class)


def matrices(material: Material, left_out: list[str]) -> list[Matrix]:
    """Lay out the matrix of each model and CSV, the best model's first, as far as they fit the page.

    Args:
        material: What the matrices show.
        left_out: Sentences on what does not fit are added here.
    """
    wanted = list(_wanted(material))
    fitting, cells = [], 0
    for model, data in wanted:
        cells += len(model.records[data].per_class) ** 2
        if cells <= _MOST_CELLS:
            fitting.append((model, data))
    found, budget = [], _BUDGET
    for place, (model, data) in enumerate(fitting):
        share = budget // (len(fitting) - place)
        matrix, unused = _matrix(f"m{place}", model, data, share)
        budget -= share - unused
        found.append(matrix)
    omitted = len(wanted) - len(fitting)
    if omitted:
        left_out.append(f"{omitted} of {len(wanted)} confusion matrices are left out, to keep the page small.")
    with_texts = [matrix for matrix in found if matrix.examples]
    cut = sum(_is_cut(matrix) for matrix in with_texts)
    if cut:
        left_out.append(f"In {cut} confusion matrices, some cells show fewer examples or none, to keep the page small.")
    return found


def _wanted(material: Material) -> Iterator[tuple[ModelMaterial, str]]:
    best = material.best
    for model in [best, *(each for each in material.models.values() if each is not best)]:
        for data in model.records:
            yield model, data


def _is_cut(matrix: Matrix) -> bool:
    """Return whether a cell shows fewer texts than it would without a limit of the page's size."""
    shown = {(each.label, each.predicted): len(each.examples) for each in matrix.examples}
    return any(
        shown.get((label, predicted), 0) < min(cell.rows, MOST)
        for label, row in zip(matrix.names, matrix.cells, strict=True)
        for predicted, cell in zip(matrix.names, row, strict=True)
    )


def _matrix(prefix: str, model: ModelMaterial, data: str, budget: int) -> tuple[Matrix, int]:
    record, evidence = model.records[data], evidence_of(model, data)
    names, counts = list(record.per_class), record.confusion_matrix
    taken, unused = ({}, budget) if evidence is None else within(evidence, budget)
    cells = [
        [
            MatrixCell(
                rows,
                round(100 * rows / max(sum(row), 1)),
                f"{prefix}-{label}-{predicted}" if (label, predicted) in taken else "",
            )
            for predicted, rows in enumerate(row)
        ]
        for label, row in enumerate(counts)
    ]
    examples = [
        CellExamples(cells[label][predicted].anchor, names[label], names[predicted], counts[label][predicted], texts)
        for (label, predicted), texts in sorted(taken.items())
    ]
    return Matrix(model.name, data, names, cells, examples), unused
