"""Measure the prediction of many files: processes of one thread each, this program's workers, and Ray's actors.

python scripts/measure_partitions.py weights.onnx texts.csv [--rows 200000] [--files 20] [--workers 2] [--rounds 3]
                                     [--ray] [--json FILE]

The rows are the texts of the CSV, repeated with changed words. The sides take turns. Speed counts from the first batch
on: rows by the seconds that the manifests' files took, times the processes; the whole command's time stands beside it.
"""

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np

from emotion.config import PROJECT
from emotion.data import open_csv
from emotion.errors import UserError
from emotion.reporting import hardware

PREDICT = [sys.executable, str(PROJECT / "scripts" / "predict.py")]


def write_rows(source: Path, folder: Path, rows: int, files: int) -> None:
    """Write ``files`` CSVs of together ``rows`` texts, each a text of ``source`` of which a word is another's."""
    texts = [text.split() for text in open_csv(source, ["text"], "texts").texts("text")]
    words = np.array([word for text in texts for word in text], dtype=object)
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for number, part in enumerate(np.array_split(np.arange(rows), files)):
        with (folder / f"{number:04}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["text"])
            for row in part:
                changed = list(texts[row % len(texts)])
                changed[rng.integers(len(changed))] = str(rng.choice(words))
                writer.writerow([" ".join(changed)])


def run(commands: list[list[str]], outputs: list[Path], threads: int | None, processes: int) -> dict[str, float]:
    """Run commands at the same time; return rows a second, seconds, and megabytes of the largest process."""
    environment = os.environ | ({} if threads is None else {"OMP_NUM_THREADS": str(threads)})
    started = perf_counter()
    running = [subprocess.Popen(each, env=environment, stdout=subprocess.DEVNULL) for each in commands]
    peak = 0.0
    for process, command in zip(running, commands, strict=True):
        _, status, used = os.wait4(process.pid, 0)
        peak = max(peak, used.ru_maxrss / 1024)
        if status:
            sys.exit(f"{' '.join(command)}: must succeed, found exit status {os.waitstatus_to_exitcode(status)}")
    seconds = perf_counter() - started
    entries = [json.loads(line) for folder in outputs for line in (folder / "_manifest.jsonl").read_text().splitlines()]
    rows, busy = sum(entry["rows"] for entry in entries), sum(entry["seconds"] for entry in entries)
    return {"rows/s": rows / (busy / processes), "seconds": seconds, "MB": peak}


def measure(options: argparse.Namespace, folder: Path) -> dict[str, list[dict[str, float]]]:
    """Let the sides take turns; return what each round of each found."""
    source, workers = folder / "in", options.workers
    write_rows(options.texts, source, options.rows, options.files)
    for number, path in enumerate(sorted(source.iterdir())):
        share = folder / f"share_{number % workers}"
        share.mkdir(exist_ok=True)
        (share / path.name).symlink_to(path)
    sides = {"processes of one thread": None, "workers": [], **({"Ray": ["engine=ray"]} if options.ray else {})}
    found: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
    expected: dict[str, bytes] | None = None
    for _ in range(options.rounds):
        for side, settings in sides.items():
            out = folder / "out"
            shutil.rmtree(out, ignore_errors=True)
            common = [*PREDICT, f"weights={options.weights.resolve()}"]
            if settings is None:
                outputs = [out / str(number) for number in range(workers)]
                commands = [
                    [*common, f"csv={folder / f'share_{number}'}", f"output={each}"]
                    for number, each in enumerate(outputs)
                ]
            else:
                outputs = [out]
                commands = [[*common, f"csv={source}", f"output={out}", f"workers={workers}", *settings]]
            found[side].append(run(commands, outputs, 1 if settings is None else None, workers))
            written = {path.name: path.read_bytes() for each in outputs for path in each.glob("*.csv")}
            expected = expected or written
            if written != expected:
                sys.exit(f"{side}: must write the same bytes as the side before, found others")
    return found


def main() -> None:
    """Parse the command line, measure, and print medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("texts", type=Path, help="a CSV with the column text")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--files", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ray", action="store_true")
    parser.add_argument("--json", type=Path, help="where to write what was found, too")
    options = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory() as folder:
            found = measure(options, Path(folder))
    except UserError as error:
        sys.exit(str(error))
    medians = {
        side: {name: median(each[name] for each in rounds) for name in rounds[0]} for side, rounds in found.items()
    }
    first = medians["processes of one thread"]["rows/s"]
    for side, each in medians.items():
        ratio = f"{each['rows/s']:,.0f} rows/s ({each['rows/s'] / first:.2f}x)"
        print(f"{side}: {ratio}, whole command {each['seconds']:.1f} s, {each['MB']:.0f} MB")
    print(f"{options.rows:,} rows in {options.files} files, {options.workers} at a time, medians of {options.rounds}")
    if options.json is not None:
        settings = {name: getattr(options, name) for name in ("rows", "files", "workers", "rounds")}
        record = {"model": options.weights.name, **settings, "hardware": hardware(), "sides": medians}
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
