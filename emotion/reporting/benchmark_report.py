"""Write ``benchmark_report.json``, its tables in Markdown, and its picture."""

from contextlib import ExitStack
from pathlib import Path

from emotion.errors import UserError
from emotion.files import atomic, require_ours, require_writable
from emotion.reporting.benchmark_plots import benchmark_figure
from emotion.reporting.benchmark_schema import PARTS, BenchmarkReport
from emotion.reporting.benchmark_tables import benchmark_tables, utilisation_note
from emotion.reporting.figures import is_our_figure, save_figure
from emotion.reporting.store import keep_aside, locked, read_json, write_json
from emotion.reporting.tables import to_markdown

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

        Parts that ``report`` lacks are taken from the folder's report if that is of the same work, program and
        machine. A report of other conditions is kept under another name, with the time at which it was measured.

        Returns:
            The merged report.
        """
        with locked(self.report.parent):
            self.require_ours()
            merged = self._merged(report)
            with ExitStack() as pending:  # moves the files written in it into place at its end
                if _has_figures(merged):
                    save_figure(benchmark_figure(merged), pending.enter_context(atomic(self.picture)))
                else:
                    self.picture.unlink(missing_ok=True)  # it shows other figures
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
    """Return whether a part was measured that the picture shows."""
    return bool(report.training or report.prediction or report.scaling)


def _conditions(report: BenchmarkReport) -> BenchmarkReport:
    """Return the conditions of the measurement: the report without what was measured."""
    return report.model_copy(update={**dict.fromkeys(PARTS), "measured": ""})


def tables(report: BenchmarkReport) -> str:
    """Render what was measured in Markdown."""
    blocks = []
    for part, table in benchmark_tables(report).items():
        blocks.append(to_markdown(table))
        if part == "training":
            blocks.append(utilisation_note(report))
    return "\n\n".join(blocks)


def _is_report(path: Path) -> bool:
    try:
        read_json(path, BenchmarkReport)
    except UserError:
        return False
    return True


def _is_tables(path: Path) -> bool:
    return path.read_bytes().startswith(_MADE_BY.encode())
