"""Compare the speed of predictors, of this version and of an earlier one, in processes that take turns.

python scripts/compare_versions.py texts.csv NAME=CHECKOUT:WEIGHTS NAME=CHECKOUT:WEIGHTS ... [--rows 20000]
                                   [--rounds 3] [--json FILE]

A checkout is a folder with a version of this program. ``Predictor.predict`` is timed once it is warm: texts alone and
in batches of 32 as they are, and rows of at most 12 words all at once. The first name is what the others are
compared with.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

ALONE, BATCHES, BATCH = 300, 40, 32
WORDS = 12
"""Most words of a row."""


def measure(checkout: str, weights: str, material: dict[str, list[str]]) -> dict[str, Any]:
    """Time the predictor of the version in ``checkout``, which this process imports."""
    import resource
    from hashlib import sha256
    from time import perf_counter

    import emotion
    from emotion.checkpoint import load

    if not Path(emotion.__file__).is_relative_to(checkout):  # an installed version stands in for a missing one
        sys.exit(f"{checkout}: must hold a version of this program, found none")
    model = load(weights)

    def timed(texts: list[str]) -> float:
        started = perf_counter()
        model.predict(texts)
        return perf_counter() - started

    texts, rows = material["texts"], material["rows"]
    timed(texts[:BATCH])
    alone = [timed([text]) for text in texts[:ALONE]]
    batches = [timed(texts[start : start + BATCH]) for start in range(0, BATCHES * BATCH, BATCH)]
    timed(rows[:2000])
    started = perf_counter()
    labels = model.predict(rows)
    seconds = perf_counter() - started
    return {
        "alone_ms": 1000 * median(alone),
        "batch_ms": 1000 * median(batches),
        "rows_per_second": len(rows) / seconds,
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
        "labels": sha256(bytes(labels)).hexdigest(),
    }


def material_of(path: Path, count: int) -> dict[str, list[str]]:
    """Return the texts of a CSV, and ``count`` rows of their first words, of which one is another's."""
    from emotion.data import open_csv
    from emotion.errors import UserError

    try:
        texts = open_csv(path, ["text"], "texts").texts("text")
    except UserError as error:
        sys.exit(str(error))
    if len(texts) < BATCHES * BATCH:
        sys.exit(f"{path}: must have at least {BATCHES * BATCH} texts, found {len(texts)}")
    words = np.array(" ".join(texts).split())
    rng = np.random.default_rng(0)
    rows = []
    for number in range(count):
        row = texts[number % len(texts)].split()[:WORDS]
        row[rng.integers(len(row))] = str(rng.choice(words))
        rows.append(" ".join(row))
    return {"texts": texts, "rows": rows}


def side(text: str) -> tuple[str, list[str]]:
    """Parse ``NAME=CHECKOUT:WEIGHTS``."""
    name, _, place = text.partition("=")
    parts = place.split(":", 1)
    if not name or len(parts) < 2 or not Path(parts[1]).is_file():
        raise argparse.ArgumentTypeError(f"must be NAME=CHECKOUT:WEIGHTS with a file of weights, found {text}")
    return name, parts


def count(text: str) -> int:
    """Parse a number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a number of at least 1, found {text}")
    return int(text)


def commit(checkout: str) -> str | None:
    """Return the commit of a checkout, ``-dirty`` where files differ from it.

    None where there is no git, or the folder is only a part of a repository.
    """
    git, options = ["git", "-C", checkout], {"capture_output": True, "text": True, "check": True}
    try:
        folder, name = (
            subprocess.run([*git, *command], **options).stdout.strip()  # type: ignore[call-overload]
            for command in (
                ["rev-parse", "--show-toplevel"],
                ["describe", "--always", "--exclude=*", "--abbrev=40", "--dirty"],
            )
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return name if Path(folder) == Path(checkout).resolve() else None


def measured(checkout: str, weights: str, material: dict[str, list[str]]) -> dict[str, Any]:
    """Measure in a process of its own, which imports the version in ``checkout``."""
    folder = str(Path(checkout).resolve())
    command = [sys.executable, "-W", "ignore", __file__, "--measure", folder, str(Path(weights).resolve())]
    done = subprocess.run(
        command,
        input=json.dumps(material),
        env=os.environ | {"PYTHONPATH": folder},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{checkout} must predict with {weights}, found exit status {done.returncode}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Parse the command line, let the predictors take turns, and print medians and ratios."""
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(sys.argv[2], sys.argv[3], json.load(sys.stdin))))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", type=Path, help="a CSV with the column text")
    parser.add_argument("sides", nargs="+", type=side, metavar="NAME=CHECKOUT:WEIGHTS")
    parser.add_argument("--rows", type=count, default=20_000)
    parser.add_argument("--rounds", type=count, default=3)
    parser.add_argument("--json", type=Path, help="where to write what was found, too")
    options = parser.parse_args()
    sides = dict(options.sides)
    if len(sides) < len(options.sides):
        sys.exit("sides: must have names of their own, found two alike")
    if options.json is not None and not options.json.resolve().parent.is_dir():
        sys.exit(f"--json: must be in a folder that is there, found {options.json}")
    material = material_of(options.texts, options.rows)
    commits = {name: commit(checkout) for name, (checkout, _) in sides.items()}
    rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in sides}
    for _ in range(options.rounds):
        for name, (checkout, weights) in sides.items():
            rounds[name].append(measured(checkout, weights, material))
    for name, turns in rounds.items():
        if len({each["labels"] for each in turns}) > 1:
            sys.exit(f"{name}: must give the same labels in each round, found others")
    figures = ("alone_ms", "batch_ms", "rows_per_second", "memory_mb")
    found: dict[str, dict[str, Any]] = {
        name: {figure: median(each[figure] for each in turns) for figure in figures}
        | {
            "labels": turns[0]["labels"],
            "size_mb": Path(sides[name][1]).stat().st_size / 1e6,
            "commit": commits[name],
        }
        for name, turns in rounds.items()
    }
    first = found[next(iter(sides))]
    for name, each in found.items():
        print(
            f"{name}: alone {each['alone_ms']:.3f} ms ({first['alone_ms'] / each['alone_ms']:.1f}x), in batches"
            f" {each['batch_ms']:.2f} ms ({first['batch_ms'] / each['batch_ms']:.1f}x), {each['rows_per_second']:,.0f}"
            f" rows/s ({each['rows_per_second'] / first['rows_per_second']:.2f}x), {each['memory_mb']:.0f} MB"
        )
    if options.json is not None:
        from emotion.reporting import hardware

        record = {"rows": options.rows, "rounds": options.rounds, "hardware": hardware(), "sides": found}
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
