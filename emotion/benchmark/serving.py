"""Compare servers: latency for one client, and texts a second for 32."""

import json
import logging
import math
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from emotion.benchmark.config import BenchmarkConfig
from emotion.benchmark.http_load import ask
from emotion.benchmark.material import Material
from emotion.benchmark.model_files import HUGGING_FACE, model_files
from emotion.benchmark.server_process import last_line, running_server
from emotion.benchmark.sides import OURS
from emotion.benchmark.turns import in_turns
from emotion.errors import UserError
from emotion.reporting import ServingSide, ServingSpeed, Spread

log = logging.getLogger(__name__)

CLIENTS = 32
SECONDS = 5.0
"""For which a figure is measured at least; with ``quick``, until all texts were predicted."""
_COMMAND = [sys.executable, "-W", "ignore", "-m", "emotion.benchmark.serving_sides"]


@dataclass(frozen=True, slots=True)
class _Server:
    """A server, and the model that it serves."""

    label: str
    side: str
    file: Path
    model: str
    """Which model's own time it is compared with; "" = none."""


@dataclass(frozen=True, slots=True)
class _Figures:
    p50_ms: float
    p99_ms: float
    rows_per_second: float
    batches_per_second: float = math.nan
    """Of the model alone: texts a second, given :data:`CLIENTS` texts at a time."""


def serving(config: BenchmarkConfig, texts: Sequence[str], folder: Path) -> ServingSpeed:
    """Time this project's server, LitServe and a plain server, with the same models and texts.

    Raises:
        UserError: A server does not start, or fails to answer.
    """
    original = Material(config).predictor()
    files = model_files(original, folder)
    models = {"FP32": files[OURS]} | {name: path for name, path in files.items() if name == "onnx_int8"}
    models |= {Path(each).stem: Path(each) for each in config.served}
    servers = [_Server(f"this project, {name}", "ours", path, name) for name, path in models.items()]
    if find_spec("litserve") is None:
        log.warning("serve: LitServe is left out, as it is not installed (pip install litserve)")
    else:
        servers += [_Server(f"LitServe, {name}", "litserve", path, name) for name, path in models.items()]
    servers.append(_Server("FastAPI with transformers' pipeline, FP32", "pipeline", files[HUGGING_FACE], ""))
    seconds = 0 if config.quick else SECONDS
    tasks: dict[str, Callable[[], _Figures]] = {}
    for name, path in models.items():  # a model next to its servers, so that a slow moment of the machine hits all
        tasks[f"model {name}"] = partial(_model_alone, path, texts, seconds)
        tasks |= {each.label: partial(_served, each, texts, seconds) for each in servers if each.model == name}
    tasks |= {each.label: partial(_served, each, texts, seconds) for each in servers if not each.model}
    measured = in_turns("serve", tasks, config.rounds)
    sides = {}
    for each in servers:
        rounds, alone = measured[each.label], measured.get(f"model {each.model}")
        pairs = None if alone is None else list(zip(rounds, alone, strict=True))
        sides[each.label] = ServingSide(
            label=each.label,
            p50_ms=Spread.of([one.p50_ms for one in rounds]),
            p99_ms=Spread.of([one.p99_ms for one in rounds]),
            rows_per_second=Spread.of([one.rows_per_second for one in rounds]),
            added_p50_ms=None if pairs is None else Spread.of([a.p50_ms - b.p50_ms for a, b in pairs]),
            added_p99_ms=None if pairs is None else Spread.of([a.p99_ms - b.p99_ms for a, b in pairs]),
            share_of_model=None
            if pairs is None
            else Spread.of([a.rows_per_second / b.rows_per_second for a, b in pairs]),
            share_of_batches=None
            if pairs is None
            else Spread.of([a.rows_per_second / b.batches_per_second for a, b in pairs]),
        )
    return ServingSpeed(rows=len(texts), clients=CLIENTS, sides=sides)


def _model_alone(weights: Path, texts: Sequence[str], seconds: float) -> _Figures:
    command = [*_COMMAND, "predictor", str(weights), str(CLIENTS), str(seconds)]
    done = subprocess.run(command, input=json.dumps(texts), capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"serve: {weights} must predict, found {last_line(done.stderr)}")
    return _Figures(**json.loads(done.stdout.splitlines()[-1]))


def _served(server: _Server, texts: Sequence[str], seconds: float) -> _Figures:
    with running_server([*_COMMAND, server.side, str(server.file)], server.label) as port:
        ask(port, texts[:64], 8)
        alone, _ = ask(port, texts, 1, at_least=seconds)
        of_all, together = ask(port, texts, CLIENTS, at_least=seconds)
    p50, p99 = np.percentile(np.array(alone) * 1000, [50, 99])
    return _Figures(float(p50), float(p99), len(of_all) / together)
