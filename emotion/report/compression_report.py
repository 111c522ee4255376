"""Reads, merges and writes ``compression_report.json``."""

from collections.abc import Callable
from pathlib import Path

from emotion.artifacts import atomic, link_or_copy
from emotion.report.compression_schema import BASELINE, CompressionReport, Ranking, Variant
from emotion.report.json_file import read_json, write_json

REPORT_NAME = "compression_report.json"


def read_compression_report(folder: Path) -> CompressionReport | None:
    """The report of ``folder``, or None where there is none yet.

    Raises:
        UserError: The file there is no report of this version.
    """
    path = folder / REPORT_NAME
    return read_json(path, CompressionReport) if path.exists() else None


def publish(new: CompressionReport, folder: Path) -> CompressionReport:
    """Merge ``new`` into the report of ``folder`` and write it; the merged report.

    Variants of the same weights and data are replaced by technique. A report of others is kept beside, under the time
    at which it was measured.
    """
    old = read_compression_report(folder)
    if old is not None and (old.weights.sha256, old.data.sha256) == (new.weights.sha256, new.data.sha256):
        failed = {name: reason for name, reason in old.failed.items() if name not in new.variants} | new.failed
        new = new.model_copy(update={"variants": old.variants | new.variants, "failed": failed})
    elif old is not None:
        measured = old.variants[BASELINE].measured.replace(":", "-")
        with atomic(folder / f"compression_report.{old.model_name}.{measured}.json") as kept:
            link_or_copy(folder / REPORT_NAME, kept)
    merged = new.model_copy(update={"ranking": ranked(new.variants)})
    write_json(merged, folder / REPORT_NAME)
    return merged


def ranked(variants: dict[str, Variant]) -> Ranking:
    """The variants by file size, by speed in batches of 32 and by macro F1."""

    def by(key: Callable[[Variant], float]) -> list[str]:
        return sorted(variants, key=lambda name: key(variants[name]))

    return Ranking(
        by_size=by(lambda variant: variant.size_mb),
        by_speed=by(lambda variant: -variant.speedup),
        by_macro_f1=by(lambda variant: -variant.macro_f1),
    )
