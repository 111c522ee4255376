"""Make, style, save and recognise figures: for a screen and for print, without a display.

Widths are those of a column and of a page of a two-column article, so that letters keep their size in print.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, UnidentifiedImageError

from emotion.isolation import log_level
from emotion.reporting.glyphs import families

_SOFTWARE = "emotion-classifier"
DPI = 200
"""Pixels an inch of a saved picture."""
COLUMN, PAGE = 3.4, 6.9
"""Widths of a column and of a page, in inches."""
BLUE, ORANGE, GREY, LIGHT_GREY = "#0072B2", "#D55E00", "#4D4D4D", "#B3B3B3"
SERIES = (BLUE, "#E69F00", "#009E73", "#CC79A7", "#56B4E9", ORANGE, "#000000")
"""Colours of lines of which none is special. With :data:`ORANGE` they are those of Okabe and Ito (2008,
jfly.uni-koeln.de/color), which people with any colour vision tell apart."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
"""Marks of the same lines, for print without colours."""

_STYLE: dict[Any, Any] = {
    "font.family": families(),
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "figure.titlesize": 9,
    "figure.titleweight": "bold",
    "grid.alpha": 0.3,
    "grid.linewidth": 0.5,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "lines.linewidth": 1.3,
    "lines.markersize": 3.5,
    "pdf.fonttype": 42,  # letters stay text; journals refuse matplotlib's default, Type 3
    "text.parse_math": False,  # a dollar sign in a name starts no formula
    "xtick.labelsize": 7.5,
    "xtick.major.width": 0.6,
    "ytick.labelsize": 7.5,
    "ytick.major.width": 0.6,
}


@contextmanager
def in_style() -> Iterator[None]:
    """Give the figures that are drawn meanwhile this project's style; also a decorator of a function that draws."""
    with rc_context(_STYLE):
        yield


def new_figure(width: float, height: float) -> Figure:
    """Make an empty figure, its size in inches, that needs no display."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def without_frame(axes: Axes) -> None:
    """Leave out the frame and the ticks of axes whose values are written next to what they show."""
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a PNG or PDF that :func:`is_our_figure` recognises; the same figure gives the same bytes."""
    metadata = {"Creator": _SOFTWARE, "CreationDate": None} if path.suffix == ".pdf" else {"Software": _SOFTWARE}
    with in_style(), log_level("fontTools", logging.WARNING):  # it lists each letter that it embeds
        figure.savefig(path, dpi=DPI, metadata=metadata)


def is_our_figure(path: Path) -> bool:
    """Return whether :func:`save_figure` wrote the file."""
    if path.suffix == ".pdf":
        content = path.read_bytes()
        return content[:5] == b"%PDF-" and f"/Creator ({_SOFTWARE})".encode() in content
    try:
        with Image.open(path) as image:
            return image.info.get("Software") == _SOFTWARE
    except (UnidentifiedImageError, OSError):
        return False
