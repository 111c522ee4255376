"""Measure pages that classify in the browser: their size, their speed in Chromium, and whose labels are not Python's.

python scripts/measure_page.py texts.csv MODEL.onnx [MODEL.onnx ...] [--rounds 3] [--json FILE]

It needs playwright and chromium, as the tests do. In each round a browser opens the page of each model and asks for a
text at once; then it asks for texts one after the other, and at last for all texts of the CSV.
"""

import argparse
import json
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np

from emotion.checkpoint import load
from emotion.data import open_csv
from emotion.errors import UserError
from emotion.reporting import hardware
from emotion.web import ExportPageConfig, export_page

ALONE, BATCH = 300, 32
ASK = "texts => backend.answer(texts)"
TIME_EACH = """async texts => {
    const times = [];
    for (const text of texts) {
        const start = performance.now();
        await backend.answer([text]);
        times.push(performance.now() - start);
    }
    return times;
}"""


def visit(address: str, texts: list[str]) -> dict[str, Any]:
    """Open a page in a browser of its own; return seconds to the first answer, milliseconds of texts, and labels."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # A container has no user namespaces for the browser's sandbox; the page is our own.
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        started = perf_counter()
        page.goto(address)
        page.wait_for_selector("[data-ready]")
        page.evaluate(ASK, texts[:1])
        first = perf_counter() - started
        times = page.evaluate(TIME_EACH, texts[:ALONE])
        labels = [
            int(np.argmax(answer["probabilities"]))
            for start in range(0, len(texts), BATCH)
            for answer in page.evaluate(ASK, texts[start : start + BATCH])
        ]
        browser.close()
    p50, p99 = np.percentile(times, [50, 99])
    return {"first_seconds": first, "p50_ms": float(p50), "p99_ms": float(p99), "labels": labels}


def measure(models: list[Path], texts: list[str], rounds: int, folder: Path) -> dict[str, dict[str, float]]:
    """Let the models' pages take turns; return medians, and how many labels are not Python's."""
    pages = {path: folder / f"{number}.html" for number, path in enumerate(models)}
    for path, page in pages.items():
        export_page(ExportPageConfig(weights=str(path), output=str(page), runtime=None))
    expected = {path: load(path).predict(texts) for path in models}
    visits: dict[Path, list[dict[str, Any]]] = {path: [] for path in models}
    for _ in range(rounds):
        for path, page in pages.items():
            visits[path].append(visit(page.as_uri(), texts))
    return {
        path.stem: {
            "size_mb": pages[path].stat().st_size / 1e6,
            **{key: median(each[key] for each in found) for key in ("first_seconds", "p50_ms", "p99_ms")},
            "other_labels": sum(a != b for a, b in zip(found[0]["labels"], expected[path], strict=True)),
        }
        for path, found in visits.items()
    }


def main() -> None:
    """Parse the command line, measure, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", type=Path, help="a CSV with the column text")
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL.onnx")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="where to write what was found, too")
    options = parser.parse_args()
    if options.json is not None and not options.json.resolve().parent.is_dir():
        sys.exit(f"--json: must be in a folder that is there, found {options.json}")
    try:
        texts = open_csv(options.texts, ["text"], "texts").texts("text")
        if not texts:
            sys.exit(f"{options.texts}: must have texts in its column text, found none")
        if len({path.stem for path in options.models}) < len(options.models):
            sys.exit("models: must have names of their own, found two alike")
        if options.rounds < 1:
            sys.exit(f"--rounds: must be >= 1, found {options.rounds}")
        if shutil.which("chromium") is None or find_spec("playwright") is None:
            sys.exit("measure_page.py needs a browser: apt-get install chromium; pip install playwright")
        with TemporaryDirectory() as folder:
            found = measure(options.models, texts, options.rounds, Path(folder))
    except UserError as error:
        sys.exit(str(error))
    record = {"rows": len(texts), "rounds": options.rounds, "hardware": hardware(), "models": found}
    print(json.dumps(record, indent=1))
    if options.json is not None:
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
