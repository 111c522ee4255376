"""Work that a process repeats for long, each in a process of its own: ``python -m support.long_runs NAME ARGUMENTS``.

Each prints one line of JSON at the end.
"""

import gc
import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import emotion
from emotion import checkpoint
from emotion.config import PROJECT

TEXTS = ["so happy", "", "i feel sad and a bit lost today", "why " * 200, "@you http://x.y 🙂", "don\u2019t"]


def start(name: str, *arguments: object, threads: int = 1) -> subprocess.Popen[str]:
    """Start a work of this module."""
    command = [sys.executable, "-W", "ignore", "-m", "support.long_runs", name, *map(str, arguments)]
    paths = os.pathsep.join([str(PROJECT), str(PROJECT / "tests")])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": str(threads)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def result(process: subprocess.Popen[str], seconds: float) -> Any:
    """Wait for a work and return what it printed."""
    try:
        output, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert process.returncode == 0, errors[-2000:]
    return json.loads(output.splitlines()[-1])


def predict_file(weights: str, csv: str) -> Any:
    """Predict a CSV once; count the labels."""
    labels = emotion.run_inference(weights, csv)
    return [labels.count(label) for label in range(6)]


def call_predictor(weights: str, calls: str) -> Any:
    """Let a loaded predictor predict again and again, one text and several."""
    predictor = checkpoint.load(weights)
    return _growth(lambda turn: predictor.predict(TEXTS[: 1 + turn % len(TEXTS)]), int(calls))


def call_run_inference(weights: str, calls: str, folder: str) -> Any:
    """Predict CSVs again and again."""
    paths = [Path(folder, f"{place}.csv") for place in range(3)]
    for rows, path in enumerate(paths, start=1):
        path.write_text("text\n" + "so happy\n" * rows * 50, encoding="utf-8")
    return _growth(lambda turn: emotion.run_inference(weights, str(paths[turn % 3])), int(calls))


def _growth(call: Callable[[int], object], calls: int) -> dict[str, float]:
    """Count what the process holds more after ``calls`` calls than after a tenth as many before them."""
    for turn in range(calls // 10):
        call(turn)
    before = _held()
    for turn in range(calls):
        call(turn)
    after = _held()
    return {name: after[name] - before[name] for name in before}


def _held() -> dict[str, float]:
    gc.collect()
    return {
        "megabytes": megabytes("self"),
        "files": len(os.listdir("/proc/self/fd")),
        "threads": len(os.listdir("/proc/self/task")),
    }


def megabytes(process: int | str) -> float:
    """Return the memory that a process has, in 10^6 bytes."""
    pages = int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def predict_in_child(weights: str, method: str) -> Any:
    """Compare the labels of this process with those of a child process, forked after loading or started afresh."""
    context: Any = multiprocessing.get_context(method)
    predictor = checkpoint.load(weights)
    texts = [f"{text} {number}" for number in range(200) for text in TEXTS]
    labels = predictor.predict(texts)
    answers = context.SimpleQueue()
    argument = predictor if method == "fork" else weights
    child = context.Process(target=_answer, args=(argument, texts, answers), daemon=True)
    child.start()
    received = answers.get()
    child.join(60)
    return {"same": received == labels, "exitcode": child.exitcode, "classes": len(set(labels))}


def _answer(predictor: Any, texts: list[str], answers: Any) -> None:
    loaded = checkpoint.load(predictor) if isinstance(predictor, str) else predictor
    answers.put(loaded.predict(texts))


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](*sys.argv[2:])))
