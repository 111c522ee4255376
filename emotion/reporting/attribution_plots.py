"""Draw texts with a shade behind each word."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from emotion.prediction import ExplainedText, Explanation
from emotion.reporting.attribution_text import INK, Piece, heading, pieces, shade
from emotion.reporting.figures import DPI, GREY, new_figure
from emotion.reporting.glyphs import MISSING, drawable, families, ruler

MOST_TEXTS = 20
"""Texts of a picture; ``attributions.json`` has all."""
MOST_LINES = 12
"""Lines of a text in the picture."""
_WIDTH, _MARGIN = 9.6, 0.4
_LINE, _HEADING, _GAP, _TOP, _NOTE = 0.27, 0.32, 0.26, 0.95, 0.22
"""Heights, like all lengths here, in inches."""
_SIZE = 11.5
"""Of the texts' font, in points."""


@dataclass(frozen=True, slots=True)
class _Run:
    """Letters on one line with one background."""

    left: float
    width: float
    text: str
    piece: Piece


def attribution_figure(explanation: Explanation) -> Figure:
    """Draw the first :data:`MOST_TEXTS` texts below each other, blue behind words for the class, orange against it.

    Long texts are wrapped, and cut after :data:`MOST_LINES` lines. Characters that no font has are drawn as boxes. A
    line at the bottom says so, where it is the case.
    """
    figure = new_figure(_WIDTH, 1.0)
    figure.set_layout_engine("none")
    figure.set_dpi(DPI)  # as it will be saved, because the widths of letters are rounded to pixels
    shown = explanation.texts[:MOST_TEXTS]
    blocks = [_lines(each, ruler(figure, _SIZE)) for each in shown]
    notes = _notes(explanation, blocks)
    height = _TOP + sum(_HEADING + _LINE * len(lines) + _GAP for lines in blocks) + _NOTE * len(notes)
    figure.set_size_inches(_WIDTH, height)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, _WIDTH), ylim=(height, 0))
    axes.set_axis_off()
    _draw_top(axes, explanation)
    top = _TOP
    for explained, lines in zip(shown, blocks, strict=True):
        _draw_heading(figure, axes, top, explained, explanation.names)
        for number, line in enumerate(lines):
            _draw_line(axes, top + _HEADING + _LINE * (number + 1) - 0.1, line)
        top += _HEADING + _LINE * len(lines) + _GAP
    for number, note in enumerate(notes):
        _write(axes, _MARGIN, top + _NOTE * number, note, GREY, size=9)
    return figure


def _lines(explained: ExplainedText, width: Callable[[str], float]) -> list[list[_Run]]:
    """Lay a text out; one line more than :data:`MOST_LINES`, a mark, says that there are more."""
    room = _WIDTH - 2 * _MARGIN
    lines: list[list[_Run]] = [[]]
    right = 0.0
    for text, piece in _parts(explained, width, room):
        if text == " ":
            right += width("n n") - width("nn")
            continue
        if lines[-1] and right + width(text) > room:
            if len(lines) == MOST_LINES:
                return [*lines, [_Run(0.0, width("…"), "…", Piece("…"))]]
            lines.append([])
            right = 0.0
        right = right if lines[-1] else 0.0
        lines[-1].append(_Run(right, width(text), text, piece))
        right += width(text)
    return lines if lines[0] else [[_Run(0.0, width("(no text)"), "(no text)", Piece(""))]]


def _parts(explained: ExplainedText, width: Callable[[str], float], room: float) -> Iterator[tuple[str, Piece]]:
    """Yield what cannot be broken over lines, and a space between words."""
    for piece in pieces(explained.attribution):
        for place, word in enumerate(piece.text.replace("\n", " ").split(" ")):
            if place:
                yield " ", piece
            word = drawable(word)
            while width(word) > room:
                fits = max(int(len(word) * room / width(word)) - 1, 1)
                yield word[:fits], piece
                word = word[fits:]
            if word:
                yield word, piece


def _notes(explanation: Explanation, blocks: Sequence[Sequence[Sequence[_Run]]]) -> list[str]:
    notes = []
    if len(explanation.texts) > MOST_TEXTS:
        notes.append(f"The first {MOST_TEXTS} of {len(explanation.texts):,} texts.")
    runs = [run for lines in blocks for line in lines for run in line]
    if any(MISSING in run.text and MISSING not in run.piece.text for run in runs):
        notes.append(f"{MISSING} is a character that no installed font has.")
    return notes


def _draw_top(axes: Axes, explanation: Explanation) -> None:
    """Draw the title, and the scale of colours."""
    _write(axes, _MARGIN, 0.5, "Which words speak for the label?", INK, size=14, weight="bold")
    method = explanation.method.replace("_", " ")
    _write(axes, _MARGIN, 0.74, f"{explanation.model_name}, {method}; each text has a scale of its own", GREY, size=10)
    steps, step, top = 11, 0.16, 0.36
    left = _WIDTH - _MARGIN - 0.3 - steps * step
    for number in range(steps):
        colour = shade(number - steps // 2, steps // 2) or "#ffffff"
        box = FancyBboxPatch((left + number * step, top), step, 0.15, boxstyle="square,pad=0", fc=colour, ec="none")
        axes.add_patch(box)
    outline = FancyBboxPatch((left, top), steps * step, 0.15, boxstyle="square,pad=0", fc="none", ec="#cbd5e0", lw=0.6)
    axes.add_patch(outline)
    _write(axes, left - 0.08, top + 0.125, "against", GREY, size=9.5, align="right")
    _write(axes, left + steps * step + 0.08, top + 0.125, "for", GREY, size=9.5)


def _draw_heading(figure: Figure, axes: Axes, top: float, explained: ExplainedText, names: Sequence[str]) -> None:
    """Draw the class in bold, what it is worth in grey, and the row at the right; a thin line above."""
    axes.plot([_MARGIN, _WIDTH - _MARGIN], [top - 0.06] * 2, color="#e2e8f0", linewidth=0.8)
    name = drawable(names[explained.attribution.label])
    rest = drawable(heading(explained, names)).removeprefix(name)
    _write(axes, _MARGIN, top + 0.22, name, INK, size=_SIZE, weight="bold")
    left = _MARGIN + ruler(figure, _SIZE, "bold")(name)
    _write(axes, left, top + 0.22, rest, GREY, size=_SIZE)
    _write(axes, _WIDTH - _MARGIN, top + 0.22, f"row {explained.row}", GREY, size=9.5, align="right")


def _draw_line(axes: Axes, baseline: float, line: Sequence[_Run]) -> None:
    for run in line:
        if run.piece.shade is not None:
            style = "round,pad=0.02,rounding_size=0.035"
            place = (_MARGIN + run.left, baseline - 0.145)
            axes.add_patch(FancyBboxPatch(place, run.width, 0.19, boxstyle=style, fc=run.piece.shade, ec="none"))
    for run in line:
        _write(axes, _MARGIN + run.left, baseline, run.text, GREY if run.piece.score is None else INK, size=_SIZE)


def _write(
    axes: Axes, left: float, baseline: float, text: str, colour: str, size: float, weight: str = "normal",
    align: str = "left",
) -> None:  # fmt: skip
    """Write a text as it is: a dollar sign starts no formula."""
    axes.text(
        left, baseline, text, color=colour, fontsize=size, fontweight=weight, family=families(), ha=align,
        va="baseline", parse_math=False,
    )  # fmt: skip
