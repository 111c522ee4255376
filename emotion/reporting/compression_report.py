"""Read, merge and write ``compression_report.json``."""

from collections.abc import Callable
from pathlib import Path

from emotion.evaluation import holm
from emotion.files import atomic, link_or_copy, sha256
from emotion.reporting.compression_schema import BASELINE, CompressionReport, Ranking, Variant
from emotion.reporting.schema import EvaluationRecord
from emotion.reporting.store import read_json, write_json

COMPRESSION_REPORT_NAME = "compression_report.json"


def read_compression_report(folder: Path) -> CompressionReport | None:
    """Read the report of ``folder``; return None if there is none yet.

    Raises:
        UserError: The file there is no report of this version or an earlier one.
    """
    path = folder / COMPRESSION_REPORT_NAME
    return read_json(path, CompressionReport) if path.exists() else None


def merge_compression(new: CompressionReport, folder: Path) -> CompressionReport:
    """Merge ``new`` with the other variants of the report in ``folder``, if that is of the same weights and data.

    Leave out variants whose file has been replaced since, as by a run that did not finish.

    A report of other weights or data is kept under another name, with the time at which it was measured, and so are its
    row-level predictions.
    """
    old = read_compression_report(folder)
    if old is None:
        return new
    if (old.weights.sha256, old.data.sha256) == (new.weights.sha256, new.data.sha256):
        kept = {
            name: _with_own_rows(each, folder) for name, each in old.variants.items() if not _is_replaced(each, folder)
        }
        variants = kept | new.variants
        failed = {name: reason for name, reason in old.failed.items() if name not in new.variants} | new.failed
        chosen = old.chosen
        if chosen is not None:
            now, then = variants.get(chosen.variant), old.variants[chosen.variant]
            if now is None or now.sha256 != then.sha256:
                chosen = None  # another model has its name now
        changes = {"variants": variants, "failed": failed, "ranking": ranked(variants), "chosen": chosen}
        return new.model_copy(update=changes)
    _set_aside(old, folder)
    return new


def _set_aside(report: CompressionReport, folder: Path) -> None:
    """Keep the report and its row-level predictions under further names, before others take theirs."""
    measured = report.variants[BASELINE].measured.replace(":", "-")
    variants = {name: _with_own_rows(each, folder) for name, each in report.variants.items()}
    for file in (each.predictions for variant in variants.values() for each in _records(variant)):
        if file is not None:
            rows = Path(file.file)
            file.file = rows.with_name(f"{rows.stem}.{measured}{rows.suffix}").as_posix()
            with atomic(folder / file.file) as kept:
                link_or_copy(folder / rows, kept)
    aside = report.model_copy(update={"variants": variants})
    write_json(aside, folder / f"compression_report.{report.model_name}.{measured}.json")


def _with_own_rows(variant: Variant, folder: Path) -> Variant:
    """Return a copy that names row-level predictions only if the file still holds them."""
    own = variant.model_copy(deep=True)
    for record in _records(own):
        rows = record.predictions
        if rows is not None and not ((folder / rows.file).is_file() and sha256(folder / rows.file) == rows.sha256):
            record.predictions = None
    return own


def _records(variant: Variant) -> list[Variant | EvaluationRecord]:
    """Return the records of a variant that name row-level predictions: its own and those of the evaluation sets."""
    return [variant, *variant.evaluations.values()]


def _is_replaced(variant: Variant, folder: Path) -> bool:
    file = folder / variant.file
    return file.is_file() and sha256(file) != variant.sha256


def write_compression_report(report: CompressionReport, folder: Path) -> None:
    """Correct the tests for the number of variants, and write the report, atomically."""
    compressed = [variant for name, variant in report.variants.items() if name != BASELINE]
    for variant, corrected in zip(compressed, holm([each.mcnemar_p for each in compressed]), strict=True):
        variant.mcnemar_holm_p = corrected
    write_json(report, folder / COMPRESSION_REPORT_NAME)


def ranked(variants: dict[str, Variant]) -> Ranking:
    """Rank the variants by file size, by speed in batches of 32 and by macro F1."""

    def by(key: Callable[[Variant], float]) -> list[str]:
        return sorted(variants, key=lambda name: key(variants[name]))

    return Ranking(
        by_size=by(lambda variant: variant.size_mb),
        by_speed=by(lambda variant: -variant.speedup),
        by_macro_f1=by(lambda variant: -variant.macro_f1),
    )
