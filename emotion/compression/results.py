"""Write the files under ``compression_results``, and publish a compressed model in the original's folder."""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from itertools import product
from pathlib import Path

from emotion.checkpoint import is_checkpoint
from emotion.compression.config import CompressConfig
from emotion.files import atomic, link_or_copy, marked, require_ours, require_unchanged, require_writable, sha256
from emotion.reporting import (
    BASELINE,
    VALIDATION,
    Choice,
    CompressionReport,
    Rows,
    RowsFile,
    Variant,
    comparison_figure,
    frontier_figure,
    is_our_figure,
    locked,
    merge_compression,
    read_compression_report,
    save_figure,
    write_compression_report,
    write_rows,
)

log = logging.getLogger(__name__)


class CompressionResults:
    """The paths that belong to one model's compression.

    Args:
        output_dir: Folder of the original's deliverables, or another folder for the results.
        model_name: The original's name.
    """

    def __init__(self, output_dir: Path, model_name: str) -> None:
        self.output_dir, self.model_name = output_dir, model_name
        self.folder = output_dir / "compression_results"
        pictures = self.folder / "visualizations"
        self.comparison = pictures / "compression_comparison.png"
        self.frontier = [pictures / f"pareto_frontier.{suffix}" for suffix in ("png", "pdf")]

    def model(self, chain: CompressConfig) -> Path:
        """Return the file of a technique's model."""
        return self.folder / f"{self.model_name}_{chain.technique.name}{chain.steps[-1].suffix}"

    def chosen(self, suffix: str) -> Path:
        """Return the file of the best compressed model."""
        return self.output_dir / f"best_{self.model_name}_compressed{suffix}"

    def require_free(self, chains: Sequence[CompressConfig], may_choose: bool, sets: Iterable[str] = ()) -> None:
        """Make the folders, and refuse to replace a file that is not ours. Raises :class:`UserError`.

        Args:
            chains: The techniques whose files will be written.
            may_choose: Whether one of them may be published next to the original.
            sets: Names of the evaluation sets whose predictions will be written.
        """
        require_writable(self.folder, "output_dir")
        require_writable(self.comparison.parent, "output_dir")
        require_writable(self._rows(BASELINE).parent, "output_dir")
        chosen = (self.chosen(".pt"), self.chosen(".onnx")) if may_choose else ()
        names = [chain.technique.name for chain in chains]
        for path in (*map(self.model, chains), *chosen):
            require_ours(path, is_checkpoint, "output_dir")
        for path in (self.comparison, *self.frontier):
            require_ours(path, is_our_figure, "output_dir")
        for name, data in product((BASELINE, *names), (VALIDATION, *sets)):
            require_unchanged(self._rows(name, data), "output_dir")
        with locked(self.folder):
            read_compression_report(self.folder)

    def publish(
        self,
        measured: CompressionReport,
        max_drop: float | None,
        prefer: str,
        rows: Mapping[str, Mapping[str, Rows]] | None = None,
    ) -> CompressionReport:
        """Merge what was measured into the report, draw it, and publish the best model next to the original's.

        Args:
            measured: The variants of this run; the files of their predictions are filled in.
            max_drop: Macro F1 that the best may lose; None = none is published.
            prefer: ``size`` or ``speed``.
            rows: Row-level predictions of the variants of this run, by the variant's and the CSV's name.

        Returns:
            The merged report.
        """
        with locked(self.folder):
            report = merge_compression(measured, self.folder)
            if max_drop is not None:
                report.chosen = self._choose(report, max_drop, prefer)
            if report.chosen is None:
                for earlier in filter(Path.exists, (self.chosen(".pt"), self.chosen(".onnx"))):
                    log.warning("%s is an earlier run's choice, none of this report's models", earlier)
            with ExitStack() as pending:  # moves the files written in it into place at its end
                save_figure(comparison_figure(report), pending.enter_context(atomic(self.comparison)))
                for path in self.frontier:
                    save_figure(frontier_figure(report), pending.enter_context(atomic(path)))
                for name, by_data in (rows or {}).items():
                    variant = report.variants[name]
                    for data, each in by_data.items():
                        path = self._rows(name, data)
                        temporary = pending.enter_context(marked(path, "output_dir"))
                        write_rows(each, temporary)
                        file = RowsFile(file=path.relative_to(self.folder).as_posix(), sha256=sha256(temporary))
                        (variant if data == VALIDATION else variant.evaluations[data]).predictions = file
            write_compression_report(report, self.folder)
        return report

    def _rows(self, variant: str, data: str = VALIDATION) -> Path:
        suffix = "" if data == VALIDATION else f"_{data}"
        return self.folder / "predictions" / f"{self.model_name}_{variant}{suffix}.csv"

    def _is_there(self, variant: Variant) -> bool:
        """Return whether its file is the one that was measured: an interrupted run may have left another."""
        path = self.folder / variant.file
        return path.is_file() and sha256(path) == variant.sha256

    def _choose(self, report: CompressionReport, max_drop: float, prefer: str) -> Choice | None:
        there = [name for name, variant in report.variants.items() if self._is_there(variant)]
        name = best_variant(report, there, max_drop, prefer)
        if name is None:
            log.warning("no variant is within max_drop=%g of the original's macro F1; none is published", max_drop)
            return None
        source = self.folder / report.variants[name].file
        target = self.chosen(source.suffix)
        with atomic(target) as temporary:
            link_or_copy(source, temporary)
        for other in {self.chosen(".pt"), self.chosen(".onnx")} - {target}:
            if is_checkpoint(other):
                other.unlink()  # an earlier choice in the other format
        return Choice(variant=name, file=target.name, max_drop=max_drop, prefer=prefer)


def best_variant(report: CompressionReport, available: Collection[str], max_drop: float, prefer: str) -> str | None:
    """Find the smallest or fastest (``prefer``) variant ``available`` that loses at most ``max_drop`` of macro F1.

    Speed is the geometric mean of that of one text at a time and of batches of 32. Return None if no variant qualifies.
    """
    lowest = report.variants[BASELINE].macro_f1 - max_drop
    compressed = {name: report.variants[name] for name in available if name != BASELINE}
    within = {name: variant for name, variant in compressed.items() if variant.macro_f1 >= lowest}
    if prefer == "size":
        return min(within, key=lambda name: within[name].size_mb, default=None)
    return max(within, key=lambda name: within[name].speedup * within[name].speedup_batch_1, default=None)
