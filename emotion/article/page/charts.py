"""Choose what the page's charts show, from the parts of a report."""

from collections.abc import Mapping, Sequence
from math import ceil, floor

from emotion.article.page.svg import SERIES, WIDTH, Chart, Drawing, Scale, spanning
from emotion.article.page.tables import interval_of
from emotion.evaluation import Calibration
from emotion.reporting import EpochRecord, ScoresRecord
from emotion.reporting.tables import Table

_LEFT, _RIGHT, _TOP, _BOTTOM = 40, WIDTH - 10, 24, 220
_HEIGHT = _BOTTOM + 34
_LONGEST_NAME = 19
"""Letters that fit left of the bars."""


def score_bars(data: str, records: Mapping[str, ScoresRecord], models: int, best: str) -> Chart:
    """Draw macro F1 with its interval as bars.

    Args:
        data: Name of the CSV.
        records: Scores by name, in the order from top to bottom; the first ``models`` are models, the others baselines.
        models: Number of models.
        best: Name of the model that validation chose.
    """
    left, step = 128, 26
    scale, drawing = Scale(0, 1, left, WIDTH - 52), Drawing()
    bottom = 10 + step * len(records)
    drawing.across(scale, 4, bottom, "macro F1")
    for place, (name, record) in enumerate(records.items()):
        y = 10 + step * place
        kind = "bar simple" if place >= models else "bar best" if name == best else "bar"
        drawing.text(left - 8, y + 14, shortened(name, _LONGEST_NAME), "end")
        drawing.rectangle(left, y + 3, scale(record.macro_f1) - left, step - 10, kind)
        if record.intervals is not None:
            found = record.intervals.macro_f1
            low, high, middle = scale(found.low), scale(found.high), y + step / 2 - 2
            drawing.line(low, middle, high, middle, "whisker")
            drawing.line(low, middle - 4, low, middle + 4, "whisker")
            drawing.line(high, middle - 4, high, middle + 4, "whisker")
        drawing.text(WIDTH, y + 14, f"{record.macro_f1:.3f}", "end")
    rows = [(name, f"{each.macro_f1:.4f}", interval_of(each)) for name, each in records.items()]
    has_intervals = any(each.intervals is not None for each in records.values())
    return Chart(
        title=f"Macro F1 on {data}",
        description=f"Bars of macro F1 of {len(records)} classifiers on {data}, the highest model's first.",
        height=bottom + 34,
        body=drawing.body,
        table=Table(f"Macro F1 on {data}", ("classifier", "macro F1", "95 %"), rows),
        note="Whiskers: 95 % bootstrap intervals." if has_intervals else "This report has no intervals.",
    )


def f1_curves(histories: Mapping[str, Sequence[EpochRecord]]) -> Chart:
    """Draw macro F1 on validation by epoch, one line for each of the first :data:`SERIES` models."""
    lines = {name: [(each.epoch, each.val_macro_f1) for each in history] for name, history in histories.items()}
    return _curves("Macro F1 on validation by epoch", lines, "macro F1")


def loss_curves(name: str, history: Sequence[EpochRecord]) -> Chart:
    """Draw the losses of one model by epoch."""
    lines = {
        "training": [(each.epoch, each.train_loss) for each in history],
        "validation": [(each.epoch, each.val_loss) for each in history],
    }
    return _curves(f"Loss of {name} by epoch", lines, "loss")


def _curves(title: str, lines: Mapping[str, Sequence[tuple[float, float]]], axis: str) -> Chart:
    shown = dict(list(lines.items())[:SERIES])
    points = [point for line in shown.values() for point in line]
    first, last = min(epoch for epoch, _ in points), ceil(max(epoch for epoch, _ in points))
    across = Scale(min(first, 1), max(last, 2), _LEFT + 6, _RIGHT - 6)
    up = spanning([value for _, value in points], _BOTTOM, _TOP)
    drawing = Drawing()
    drawing.up(up, _LEFT, _RIGHT, axis)
    step = ceil(last / 10)
    for epoch in range(1, last + 1, step):
        drawing.text(across(epoch), _BOTTOM + 14, str(epoch), "mid")
    drawing.text(_RIGHT, _BOTTOM + 29, "epoch", "end axis")
    for place, line in enumerate(shown.values()):
        places = [(across(epoch), up(value)) for epoch, value in line]
        drawing.path(places, f"line s{place}")
        for x, y in places if len(places) <= 30 else []:
            drawing.circle(x, y, 3, f"dot s{place}")
    epochs = sorted({epoch for line in lines.values() for epoch, _ in line})
    by_epoch = [dict(line) for line in lines.values()]
    rows = [(str(epoch), *(f"{line[epoch]:.4f}" if epoch in line else "" for line in by_epoch)) for epoch in epochs]
    omitted = len(lines) - len(shown)
    return Chart(
        title=title,
        description=f"Lines of {axis} over {last} epochs: {', '.join(shown)}.",
        height=_HEIGHT,
        body=drawing.body,
        table=Table(title, ("epoch", *lines), rows),
        legend=[(f"s{place}", name) for place, name in enumerate(shown)],
        note=f"{omitted} more models are only in the table." if omitted else "",
    )


def reliability_diagram(name: str, data: str, calibration: Calibration) -> Chart:
    """Draw accuracy over confidence in bins, with the diagonal; a dot's area is its bin's number of rows."""
    bins = calibration.reliability
    lowest = min(min(each.confidence, each.accuracy) for each in bins)
    start = floor_tenth(lowest)
    across, up = Scale(start, 1, _LEFT + 8, _RIGHT - 8), Scale(start, 1, _BOTTOM - 8, _TOP + 4)
    drawing = Drawing()
    drawing.up(up, _LEFT, _RIGHT, "accuracy")
    drawing.across(across, _TOP, _BOTTOM, "confidence")
    drawing.line(across(start), up(start), across(1), up(1), "diagonal")
    most = max(each.rows for each in bins)
    for each in bins:
        x, y = across(each.confidence), up(each.accuracy)
        drawing.line(x, up(each.confidence), x, y, "gap")
        drawing.circle(x, y, round(1.5 + 3 * (each.rows / most) ** 0.5, 1), "dot s0")
    rows = [(f"{each.confidence:.3f}", f"{each.accuracy:.3f}", f"{each.rows:,}") for each in bins]
    sizes = sorted({each.rows for each in bins})
    span = f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}"
    few = f"{len(bins)} bins of {span} rows"
    return Chart(
        title=f"Reliability of {name} on {data}",
        description=f"Accuracy over mean confidence in {few}; on the diagonal, confidences are probabilities.",
        height=_HEIGHT,
        body=drawing.body,
        table=Table(f"Reliability of {name} on {data}", ("confidence", "accuracy", "rows"), rows),
        note=f"{few}. On the diagonal, a confidence is the probability of being right.",
    )


def risk_curves(data: str, calibrations: Mapping[str, Calibration]) -> Chart:
    """Draw the error rate over the share of rows that are answered, for each of the first :data:`SERIES` models."""
    shown = dict(list(calibrations.items())[:SERIES])
    across = Scale(0, 1, _LEFT + 6, _RIGHT - 8)
    highest = max(max(each.risk_coverage.risk) for each in shown.values())
    up, drawing = Scale(0, max(highest * 1.08, 0.01), _BOTTOM, _TOP), Drawing()
    drawing.up(up, _LEFT, _RIGHT, "error rate", "{:.0%}" if highest > 0.05 else "{:.1%}")
    drawing.across(across, _TOP, _BOTTOM, "share of rows answered", "{:.0%}")
    for place, each in enumerate(shown.values()):
        found = each.risk_coverage
        points = [(across(x), up(y)) for x, y in zip(found.coverage, found.risk, strict=True)]
        drawing.path(points, f"line s{place}")
        if len(points) == 1:  # all confidences are equal: a line would not be seen
            drawing.circle(*points[0], 3, f"dot s{place}")
    rows = [
        (name, *(_risk(each, share) for share in (0.5, 0.8, 0.9, 1.0)), f"{each.risk_coverage.area:.4f}")
        for name, each in calibrations.items()
    ]
    headings = ("model", "50 %", "80 %", "90 %", "100 %", "area")
    return Chart(
        title=f"Errors on {data} if the least confident rows are not answered",
        description=f"Lines of the error rate over the share of rows of {data} that are answered: {', '.join(shown)}.",
        height=_HEIGHT,
        body=drawing.body,
        table=Table("Error rate at a share of rows answered, and mean over all shares", headings, rows),
        legend=[(f"s{place}", name) for place, name in enumerate(shown)],
    )


def _risk(calibration: Calibration, share: float) -> str:
    """Return the error rate at the smallest coverage that reaches ``share``."""
    found = calibration.risk_coverage
    place = next(i for i, coverage in enumerate(found.coverage) if coverage >= share - 1e-9)
    return f"{found.risk[place]:.4f}"


def floor_tenth(value: float) -> float:
    """Return the tenth at or below ``value``, which is in [0, 1]."""
    return floor(value * 10) / 10


def shortened(text: str, longest: int) -> str:
    """Cut a text at ``longest`` letters, and mark the cut."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
