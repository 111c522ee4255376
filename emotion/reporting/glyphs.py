"""Draw any text with the fonts of this machine: choose fonts, replace what none of them has, and measure."""

import unicodedata
from collections.abc import Callable
from functools import cache

from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, fontManager, get_font

MISSING = "□"
"""Replaces a character that no font has."""
_FURTHER = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Source Han Sans SC",
    "Microsoft YaHei",
    "PingFang SC",
    "Hiragino Sans GB",
    "WenQuanYi Zen Hei",
    "WenQuanYi Micro Hei",
    "SimHei",
    "Arial Unicode MS",
    "Noto Sans Thai",
    "Noto Emoji",
    "Segoe UI Symbol",
    "Symbola",
)
"""Fonts for what DejaVu Sans lacks, which comes with matplotlib: the first that are installed are used."""


@cache
def families() -> list[str]:
    """Return DejaVu Sans and the further fonts that are installed."""
    installed = {font.name for font in fontManager.ttflist}
    return ["DejaVu Sans", *(name for name in _FURTHER if name in installed)]


def drawable(text: str) -> str:
    """Replace characters that no font has by :data:`MISSING`; invisible ones, such as joiners in emoji, vanish."""
    covered = _covered()
    kept = [letter if ord(letter) in covered else _replacement(letter) for letter in text]
    return "".join(kept)


def _replacement(letter: str) -> str:
    category = unicodedata.category(letter)
    return "" if category in ("Mn", "Cf", "Cc") else MISSING


@cache
def _covered() -> frozenset[int]:
    paths = [fontManager.findfont(FontProperties(family=[name])) for name in families()]
    return frozenset(code for path in paths for code in get_font(path).get_charmap() if chr(code).isprintable())


def ruler(figure: Figure, size: float, weight: str = "normal") -> Callable[[str], float]:
    """Return a function that measures a text's width in inches.

    Args:
        figure: Figure with a canvas.
        size: Of the font, in points.
        weight: Of the font.
    """
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    properties = FontProperties(family=families(), size=size, weight=weight)

    @cache
    def width(text: str) -> float:
        pixels, _, _ = renderer.get_text_width_height_descent(text, properties, False)
        return float(pixels) / figure.dpi

    return width
