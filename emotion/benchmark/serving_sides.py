"""The servers that are compared, each in a process of its own.

python -m emotion.benchmark.serving_sides SIDE FILE PORT

The side ``predictor`` is no server: it times the same model without HTTP and prints the result; in place of the port it
takes how many clients' texts come at a time.
"""

import json
import sys
from collections.abc import Sequence
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


def predictor(weights: str, texts: Sequence[str], at_a_time: int) -> dict[str, float]:
    """Time single texts, all texts at once, and ``at_a_time`` of them at a time, as a server would, without one."""
    from emotion.checkpoint import load
    from emotion.serving.service import CPU_FORWARD_TEXTS

    model = load(weights)
    seconds = []
    model.predict_texts(texts[:64])
    for text in texts[:500]:
        started = perf_counter()
        model.predict_texts([text])
        seconds.append(perf_counter() - started)
    started = perf_counter()
    model.predict_texts(texts)
    everything = perf_counter() - started
    started = perf_counter()
    for start in range(0, len(texts), at_a_time):
        model.predict_texts(texts[start : start + at_a_time], CPU_FORWARD_TEXTS)
    batches = perf_counter() - started
    p50, p99 = np.percentile(np.array(seconds) * 1000, [50, 99])
    return {
        "p50_ms": float(p50),
        "p99_ms": float(p99),
        "rows_per_second": len(texts) / everything,
        "batches_per_second": len(texts) / batches,
    }


if __name__ == "__main__":
    _, side, file, argument = sys.argv
    if side == "predictor":
        print(json.dumps(predictor(file, json.load(sys.stdin), int(argument))))
    else:
        {"ours": ours, "litserve": litserve, "pipeline": pipeline}[side](file, int(argument))
