"""The servers that are compared, each in a process of its own.

python -m emotion.benchmark.serving_sides SIDE FILE PORT

The side ``predictor`` is no server: it times the same model without HTTP and prints the result; in place of the port it
takes how many clients' texts come at a time, and for how many seconds to measure each figure.
"""

import json
import sys
from collections.abc import Callable, Sequence
from itertools import cycle
from time import perf_counter
from typing import Any

import numpy as np

from emotion.benchmark.http_load import HOST


def ours(weights: str, port: int) -> None:
    """This project's server."""
    from emotion.config import compose_config, resolve
    from emotion.serving import ServeConfig, serve

    serve(resolve(compose_config("serve", [f"weights='{weights}'", f"port={port}"]), ServeConfig))


def litserve(weights: str, port: int) -> None:
    """LitServe, which an installation may lack."""
    from emotion.benchmark import lit_server

    lit_server.run(weights, port)


def pipeline(folder: str, port: int) -> None:
    """What most people write: transformers' pipeline in FP32 behind an endpoint of FastAPI."""
    import uvicorn
    from fastapi import FastAPI
    from transformers import pipeline as build

    classify: Any = build("text-classification", model=folder, top_k=None)  # type: ignore[call-overload]
    app = FastAPI()

    @app.post("/predict")
    def predict(request: dict[str, Any]) -> list[dict[str, Any]]:
        found: list[list[dict[str, Any]]] = classify(request["inputs"])
        return found[0]

    uvicorn.run(app, host=HOST, port=port, log_level="warning")


def predictor(weights: str, texts: Sequence[str], at_a_time: int, seconds: float) -> dict[str, float]:
    """Time single texts, ``at_a_time`` of them at a time, as a server would, and all at once, without one.

    Each takes ``seconds``, or longer if that is not enough for all texts.
    """
    from emotion.checkpoint import load
    from emotion.serving.service import CPU_FORWARD_TEXTS

    model = load(weights)
    model.predict_texts(texts[:64])
    alone, _ = _timed(model.predict_texts, [[text] for text in texts], seconds)
    batches = [texts[start : start + at_a_time] for start in range(0, len(texts), at_a_time)]
    _, of_batches = _timed(lambda batch: model.predict_texts(batch, CPU_FORWARD_TEXTS), batches, seconds)
    _, of_all = _timed(model.predict_texts, [texts], seconds)
    p50, p99 = np.percentile(np.array(alone) * 1000, [50, 99])
    return {
        "p50_ms": float(p50),
        "p99_ms": float(p99),
        "rows_per_second": of_all,
        "batches_per_second": of_batches,
    }


def _timed(
    predict: Callable[[Sequence[str]], object], batches: Sequence[Sequence[str]], seconds: float
) -> tuple[list[float], float]:
    """Predict all batches, anew until ``seconds`` have gone; return the seconds of each, and texts a second."""
    started = before = perf_counter()
    found: list[float] = []
    count = 0
    for batch in cycle(batches):
        if len(found) >= len(batches) and before - started >= seconds:
            break
        predict(batch)
        now = perf_counter()
        found.append(now - before)
        count += len(batch)
        before = now
    return found, count / (before - started)


if __name__ == "__main__":
    _, side, file, *arguments = sys.argv
    if side == "predictor":
        at_a_time, seconds = arguments
        print(json.dumps(predictor(file, json.load(sys.stdin), int(at_a_time), float(seconds))))
    else:
        {"ours": ours, "litserve": litserve, "pipeline": pipeline}[side](file, int(arguments[0]))
