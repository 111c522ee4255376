"""Draw charts as SVG: scales, axes and marks, whose colours the page's style sheet chooses."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import ceil, floor, isclose, log10

from markupsafe import Markup

from emotion.reporting.tables import Table

WIDTH = 380
"""Width of every chart, in units that are pixels on a phone: text must be readable there without zooming."""
SERIES = 7
"""Number of series that have a colour and a dash of their own (classes ``s0`` to ``s6`` of the style sheet)."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps values linearly to places; an empty range is widened, so that no place is undefined."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the place of ``value``, rounded to a tenth of a unit."""
        reach = (self.high - self.low) or 1.0
        return round(self.start + (value - self.low) / reach * (self.end - self.start), 1)

    def ticks(self, count: int = 5) -> list[float]:
        """Return round values in the range, about ``count`` of them."""
        reach = (self.high - self.low) or 1.0
        rough = reach / count
        power = 10.0 ** floor(log10(rough))
        step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
        first, last = ceil(self.low / step - 1e-9), floor(self.high / step + 1e-9)
        return [round(place * step, 10) for place in range(first, last + 1)]


def spanning(values: Iterable[float], start: float, end: float, margin: float = 0.06) -> Scale:
    """Make a scale that holds all ``values``, at least one, with a margin on both sides."""
    found = list(values)
    low, high = min(found), max(found)
    room = margin * (high - low) if not isclose(low, high) else max(abs(high), 1.0) * 0.1
    return Scale(low - room, high + room, start, end)


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart, with what replaces it for those who cannot see it."""

    title: str
    description: str
    """One sentence on what it shows."""
    height: float
    body: Markup
    """The content of the ``svg`` element, :data:`WIDTH` units wide."""
    table: Table
    """The figures that it draws."""
    legend: Sequence[tuple[str, str]] = ()
    """A class of the style sheet, and the name of what it marks."""
    note: str = ""


@dataclass(slots=True)
class Drawing:
    """Collects marks; every text that comes from outside is escaped."""

    marks: list[Markup] = field(default_factory=list)

    @property
    def body(self) -> Markup:
        """All marks, in the order in which they were drawn."""
        return Markup("").join(self.marks)

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str) -> None:
        """Draw a straight line."""
        self.marks.append(Markup('<path class="{}" d="M{:g} {:g}L{:g} {:g}"/>').format(kind, x1, y1, x2, y2))

    def path(self, points: Sequence[tuple[float, float]], kind: str) -> None:
        """Draw a line through points."""
        places = "L".join(f"{x:g} {y:g}" for x, y in points)
        self.marks.append(Markup('<path class="{}" d="M{}"/>').format(kind, places))

    def rectangle(self, x: float, y: float, width: float, height: float, kind: str) -> None:
        """Draw a filled rectangle; negative sizes count as 0."""
        mark = Markup('<rect class="{}" x="{:g}" y="{:g}" width="{:g}" height="{:g}"/>')
        self.marks.append(mark.format(kind, x, y, max(0.0, round(width, 1)), max(0.0, round(height, 1))))

    def circle(self, x: float, y: float, radius: float, kind: str) -> None:
        """Draw a dot."""
        self.marks.append(Markup('<circle class="{}" cx="{:g}" cy="{:g}" r="{:g}"/>').format(kind, x, y, radius))

    def text(self, x: float, y: float, text: str, kind: str = "") -> None:
        """Write a text that starts at, is centred on (class ``mid``) or ends at (class ``end``) ``x``."""
        self.marks.append(Markup('<text class="{}" x="{:g}" y="{:g}">{}</text>').format(kind, x, y, text))

    def across(self, scale: Scale, top: float, bottom: float, title: str, form: str = "{:g}") -> None:
        """Draw the horizontal axis with its grid."""
        for tick in scale.ticks():
            self.line(scale(tick), top, scale(tick), bottom, "grid")
            self.text(scale(tick), bottom + 14, form.format(tick), "mid")
        self.text(scale.end, bottom + 29, title, "end axis")

    def up(self, scale: Scale, left: float, right: float, title: str, form: str = "{:g}") -> None:
        """Draw the vertical axis with its grid; its title stands above it."""
        for tick in scale.ticks():
            self.line(left, scale(tick), right, scale(tick), "grid")
            self.text(left - 6, scale(tick) + 4, form.format(tick) if tick else form.format(tick).lstrip("+"), "end")
        self.text(0, 12, title, "axis")
