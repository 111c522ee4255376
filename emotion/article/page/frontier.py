"""Draw compressed models by what they cost and what they lose."""

from collections.abc import Callable, Sequence

from emotion.article.page.svg import WIDTH, Chart, Drawing, spanning
from emotion.reporting import BASELINE, CompressionReport, Variant
from emotion.reporting.tables import Table

_LEFT, _RIGHT, _TOP, _BOTTOM = 46, WIDTH - 10, 24, 250
_TITLE = "Macro F1 lost over"
LEGEND = (
    ("told", "can be told from the original"),
    ("same", "cannot be told from it (the 95 % interval of the difference includes 0)"),
    ("untested", "not tested"),
)


def frontier_charts(report: CompressionReport) -> list[Chart]:
    """Draw the difference from the original over size and over speed, if there is any compressed model."""
    if set(report.variants) <= {BASELINE}:
        return []
    return [
        _chart(report, "size of the file, MB", lambda each: each.size_mb, smaller_is_better=True),
        _chart(report, "speed, times the original's", lambda each: each.speedup, smaller_is_better=False),
    ]


def _chart(report: CompressionReport, axis: str, cost: Callable[[Variant], float], smaller_is_better: bool) -> Chart:
    names = report.ranking.by_size
    variants = [report.variants[name] for name in names]
    points = [report.points(name) for name in names]
    ends = [end for each in variants if each.difference for end in _ends(each)]
    across = spanning([cost(each) for each in variants], _LEFT + 6, _RIGHT - 6)
    up = spanning([0.0, *points, *ends], _BOTTOM, _TOP)
    drawing = Drawing()
    drawing.up(up, _LEFT, _RIGHT, "points of macro F1, the original = 0", "{:+g}")
    drawing.across(across, _TOP, _BOTTOM, axis)
    drawing.line(_LEFT, up(0), _RIGHT, up(0), "zero")
    signs = [cost(each) if smaller_is_better else -cost(each) for each in variants]
    best = [place for place in range(len(names)) if not _is_dominated(place, signs, points)]
    best.sort(key=lambda place: signs[place])
    drawing.path([(across(cost(variants[place])), up(points[place])) for place in best], "front")
    for each in variants:
        if each.difference:
            low, high = _ends(each)
            drawing.line(across(cost(each)), up(low), across(cost(each)), up(high), "whisker")
    for place, (name, each) in enumerate(zip(names, variants, strict=True)):
        x, y = across(cost(each)), up(points[place])
        drawing.circle(x, y, 8, f"variant {_kind(name, each)}")
        drawing.text(x, y + 4, str(place + 1), f"mid number {_kind(name, each)}")
    words = dict(LEGEND)
    rows = [
        (f"{place + 1} {name}", f"{cost(each):.2f}", f"{points[place]:+.2f}", _described(name, each, words))
        for place, (name, each) in enumerate(zip(names, variants, strict=True))
    ]
    found = {_kind(name, each) for name, each in zip(names, variants, strict=True)}
    return Chart(
        title=f"{_TITLE} {axis.partition(',')[0]}",
        description=f"{len(names)} models by points of macro F1 gained or lost, over {axis}.",
        height=_BOTTOM + 34,
        body=drawing.body,
        table=Table(f"{_TITLE} {axis}", ("variant", axis, "points", "against the original"), rows),
        legend=[each for each in LEGEND if each[0] in found],
        note=f"{'; '.join(f'{place + 1} {name}' for place, name in enumerate(names))}."
        " Whiskers: 95 % intervals of the paired difference. The line joins models that none is better than in both.",
    )


def _ends(variant: Variant) -> tuple[float, float]:
    assert variant.difference is not None
    return 100 * variant.difference.interval.low, 100 * variant.difference.interval.high


def _kind(name: str, variant: Variant) -> str:
    """Return the class of a point's mark."""
    if name == BASELINE:
        return "original"
    if variant.difference is None:
        return "untested"
    low, high = _ends(variant)
    return "same" if low <= 0 <= high else "told"


def _described(name: str, variant: Variant, words: dict[str, str]) -> str:
    return words.get(_kind(name, variant), "is the original")


def _is_dominated(place: int, costs: Sequence[float], points: Sequence[float]) -> bool:
    """Return whether another model is as good in both and better in one."""
    return any(
        costs[other] <= costs[place]
        and points[other] >= points[place]
        and (costs[other], points[other]) != (costs[place], points[place])
        for other in range(len(costs))
    )
