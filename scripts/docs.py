"""Write the figures of README and docs from the reports in docs/reports, never by hand.

python scripts/docs.py collect outputs docs/reports/NAME   keep the aggregates of an output folder's reports
python scripts/docs.py render [--check]                    fill the blocks of README.md and docs/*.md, or compare them

A block stands between ``<!-- from reports: NAME -->`` and ``<!-- end -->``, and is filled by the function of that
name in docs_blocks.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from docs_blocks import BLOCKS, REPORTS
from docs_blocks.compression import compression
from docs_blocks.results import ablation
from matplotlib.figure import Figure
from PIL import Image

from emotion.config import PROJECT
from emotion.files import sha256
from emotion.reporting import (
    ABLATION_REPORT_NAME,
    AblationReport,
    BenchmarkReport,
    CompressionReport,
    EvaluationReport,
    TrainingReport,
    ablation_figure,
    ablation_panels,
    frontier_figure,
    in_style,
    read_audit_report,
    read_json,
)
from emotion.reporting.audit_tables import audit_in_words

IMAGES = PROJECT / "docs" / "images"
COMPRESSION = "compression_results/compression_report.json"
PICTURES: dict[str, tuple[Path, Callable[[], Figure]]] = {
    "pareto_frontier.png": (REPORTS / "tuned" / COMPRESSION, lambda: frontier_figure(compression())),
    "ablation_screen.png": (
        REPORTS / "ablation_screen" / ABLATION_REPORT_NAME,
        lambda: ablation_figure(ablation_panels(ablation("ablation_screen")), "MiniLM: what each change adds"),
    ),
}
"""By name: the report that a picture shows, and what draws it."""
COLLECTED: dict[str, type[Any]] = {
    "emotion_classification_report.json": TrainingReport,
    COMPRESSION: CompressionReport,
    "evaluation_report.json": EvaluationReport,
    "benchmark_report.json": BenchmarkReport,
    ABLATION_REPORT_NAME: AblationReport,
}
BLOCK = re.compile(r"(<!-- from reports: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def collect(source: Path, target: Path) -> None:
    """Keep the reports of an output folder, without paths and rows."""
    found = [name for name in COLLECTED if (source / name).is_file()]
    audit = read_audit_report(source)
    if not found and audit is None:
        sys.exit(f"{source}: must hold a report, found none of {', '.join(COLLECTED)}, audit_report.json")
    for name in found:
        report = read_json(source / name, COLLECTED[name])
        _write(target / name, _without_paths(report.model_dump(mode="json")))
    if audit is not None:
        _write(target / "audit_findings.json", audit_in_words(audit))


def _without_paths(value: Any) -> Any:
    """Reduce absolute paths to their last part, and leave out which files hold row-level predictions."""
    if isinstance(value, dict):
        return {key: None if key == "predictions" else _without_paths(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_without_paths(each) for each in value]
    return Path(value).name if isinstance(value, str) and value.startswith("/") else value


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def filled(text: str) -> str:
    """Return the text of a page with its blocks filled."""
    return BLOCK.sub(lambda found: f"{found[1]}{BLOCKS[found[2]]()}\n{found[3]}", text)


def render(check: bool) -> Iterator[Path]:
    """Fill the blocks of all pages and draw the pictures; yield what was out of date."""
    for page in (PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))):
        text = page.read_text(encoding="utf-8")
        new = filled(text)
        if new != text:
            if not check:
                page.write_text(new, encoding="utf-8")
            yield page
    # Versions of matplotlib draw other pixels, so a picture names its report.
    for name, (report, draw) in PICTURES.items():
        picture, source = IMAGES / name, sha256(report)
        if picture.is_file() and Image.open(picture).info.get("Source") == source:
            continue
        if not check:
            with in_style():
                draw().savefig(picture, dpi=150, metadata={"Source": source})
        yield picture


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    collecting = commands.add_parser("collect")
    collecting.add_argument("source", type=Path)
    collecting.add_argument("target", type=Path)
    commands.add_parser("render").add_argument(
        "--check", action="store_true", help="write nothing; fail if one differs"
    )
    arguments = parser.parse_args()
    if arguments.command == "collect":
        collect(arguments.source, arguments.target)
        return
    outdated = list(render(arguments.check))
    for path in outdated:
        print(f"{path.relative_to(PROJECT)}: {'differs from the reports' if arguments.check else 'written'}")
    sys.exit(1 if arguments.check and outdated else 0)


if __name__ == "__main__":
    main()
