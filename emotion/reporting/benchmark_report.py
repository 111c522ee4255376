"""``benchmark_report.json``, its tables in Markdown, and its picture."""

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from emotion.errors import UserError
from emotion.files import atomic, require_ours, require_writable
from emotion.reporting.benchmark_plots import benchmark_figure
from emotion.reporting.benchmark_schema import PARTS, BenchmarkReport, Scaling, Spread
from emotion.reporting.plots import is_our_figure, save_figure
from emotion.reporting.store import keep_aside, locked, read_json, write_json
from emotion.reporting.tables import Table, to_markdown

_MADE_BY = "<!-- made by scripts/benchmark.py -->"


class BenchmarkResults:
    """The benchmark's files in an output folder."""

    def __init__(self, output_dir: Path) -> None:
        self.report = output_dir / "benchmark_report.json"
        self.tables = output_dir / "benchmark_tables.md"
        self.picture = output_dir / "visualizations" / "benchmark.png"

    def require_free(self) -> None:
        """Make the folders, and refuse to replace a file that is not ours. Raises :class:`UserError`."""
        require_writable(self.picture.parent, "output_dir")
        self.require_ours()

    def require_ours(self) -> None:
        """Refuse to replace a file that is not ours. Raises :class:`UserError`."""
        require_ours(self.report, _is_report, "output_dir")
        require_ours(self.tables, _is_tables, "output_dir")
        require_ours(self.picture, is_our_figure, "output_dir")

    def publish(self, report: BenchmarkReport) -> BenchmarkReport:
        """Merge ``report`` with the folder's and replace the files, while no other process does.

        Parts that ``report`` lacks are taken over from the folder's where that is of the same work, program and
        machine. A report of other conditions is kept under another name, with the time at which it was measured.

        Returns:
            The merged report.
        """
        with locked(self.report.parent):
            self.require_ours()
            merged = self._merged(report)
            with ExitStack() as pending:  # what is written in it comes into place at its end
                if _has_figures(merged):
                    save_figure(benchmark_figure(merged), pending.enter_context(atomic(self.picture)))
                else:
                    self.picture.unlink(missing_ok=True)  # of other figures
                text = f"{_MADE_BY}\n\n{tables(merged)}\n"
                pending.enter_context(atomic(self.tables)).write_text(text, encoding="utf-8")
            write_json(merged, self.report)
        return merged

    def _merged(self, report: BenchmarkReport) -> BenchmarkReport:
        if not self.report.exists():
            return report
        earlier = read_json(self.report, BenchmarkReport)
        if _conditions(earlier) == _conditions(report):
            return report.model_copy(update={name: getattr(report, name) or getattr(earlier, name) for name in PARTS})
        keep_aside(self.report, f"benchmark_report.{earlier.measured.replace(':', '-')}.json")
        return report


def _has_figures(report: BenchmarkReport) -> bool:
    """Whether a part was measured that the picture shows."""
    return bool(report.training or report.prediction or report.scaling)


def _conditions(report: BenchmarkReport) -> BenchmarkReport:
    """What was measured with, without what was measured."""
    return report.model_copy(update={**dict.fromkeys(PARTS), "measured": ""})


def tables(report: BenchmarkReport) -> str:
    """What was measured, as tables in Markdown; medians, with the least and the most of the rounds."""
    blocks = []
    if speed := report.training:
        title = f"fine-tuning {report.model_name}, {speed.rows:,} rows, {speed.updates} updates"
        rows = [
            (side.label, _range(side.rows_per_second, ".1f"), f"{_range(side.speedup_of_ours, '.2f')}")
            for side in speed.sides.values()
        ]
        blocks.append(_table((title, "rows/s", "this project is faster by"), rows))
        blocks.append(
            f"This project's model FLOP utilisation is {speed.utilisation:.0%} of the"
            f" {speed.peak_flops_per_second / 1e9:,.0f} GFLOP/s of a large matrix product,"
            f" counting 6 operations a token and parameter outside the embeddings."
        )
    if predicting := report.prediction:
        title = f"predicting with {report.model_name}, {predicting.rows:,} rows"
        predictions = [
            (
                side.label,
                _range(side.rows_per_second, ".0f"),
                _range(side.speedup_of_ours, ".2f"),
                _range(side.single_ms, ".2f"),
                f"{side.agreement:.1%}",
            )
            for side in predicting.sides.values()
        ]
        from_file = _range(predicting.file_rows_per_second, ".0f")
        predictions.append(("this project, from file to file", from_file, "", "", ""))
        headings = (title, "rows/s", "this project's .pt is faster by", "one text, ms", "same labels")
        blocks.append(_table(headings, predictions))
    if report.startup_seconds:
        times = [(name, _range(spread, ".2f")) for name, spread in report.startup_seconds.items()]
        blocks.append(_table(("from the command to", "seconds"), times))
    if report.scaling:
        rows = [
            (name.replace("_", ", more "), ", ".join(_points(each)), f"{each.slope:.2f}")
            for name, each in report.scaling.items()
        ]
        blocks.append(_table(("cost", "seconds", "slope of the logarithms"), rows))
    if scaling := report.devices:
        rows = [
            ("one process", _range(scaling.one_process_seconds, ".1f"), ""),
            ("two processes", _range(scaling.two_processes_seconds, ".1f"), _range(scaling.speedup, ".2f")),
        ]
        blocks.append(_table((f"{scaling.rows:,} rows, one thread each", "seconds", "faster by"), rows))
    if compressing := report.compression:
        title = f"{report.model_name}, texts of {compressing.tokens:.0f} tokens"
        compressed = [
            (
                side.label if side.device.startswith(report.device) else f"{side.label} ({side.device})",
                f"{side.size_mb:.1f}",
                f"{side.size_ratio:.1%}",
                _range(side.single_ms, ".1f"),
                _range(side.speedup_batch_1, ".2f"),
                _range(side.speedup, ".2f"),
            )
            for side in compressing.sides.values()
        ]
        speed_headings = ("one text, ms", "faster than transformers by", f"in batches of {report.batch_size} by")
        blocks.append(_table((title, "MB", "size", *speed_headings), compressed))
    return "\n\n".join(blocks)


def _table(headings: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    title, *others = headings
    return to_markdown(Table(title, ("", *others), list(rows)))


def _points(scaling: Scaling) -> list[str]:
    return [f"{seconds:.1f} at {size:,g}" for size, seconds in zip(scaling.sizes, scaling.seconds, strict=True)]


def _range(spread: Spread, form: str) -> str:
    if spread.minimum == spread.maximum:
        return format(spread.median, form)
    return f"{spread.median:{form}} ({spread.minimum:{form}}-{spread.maximum:{form}})"


def _is_report(path: Path) -> bool:
    try:
        read_json(path, BenchmarkReport)
    except UserError:
        return False
    return True


def _is_tables(path: Path) -> bool:
    return path.read_bytes().startswith(_MADE_BY.encode())
