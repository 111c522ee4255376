"""Library calls leave no trace in the process that calls them."""

import json
import os
import random
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from emotion.isolation import isolated, log_level
from support.predictors import NAMES

PROGRAM = """
import copy, csv, ctypes, faulthandler, json, logging, os, random, signal, sys, threading, warnings
import numpy as np, torch
import emotion
from emotion.config import compose_config, resolve
from emotion.training import TrainConfig
from emotion.training import train

def state():
    loggers = [logging.getLogger(name) for name in (None, "emotion", "lightning", "lightning.pytorch",
        "lightning.fabric", "bitsandbytes", "transformers", "huggingface_hub", "httpx", "py.warnings", "matplotlib")]
    return {
        "environment": dict(os.environ),
        "warnings": repr(warnings.filters),
        "showwarning": repr(warnings.showwarning),
        "csv": csv.field_size_limit(),
        "levels": [each.level for each in loggers],
        "handlers": [list(map(repr, each.handlers)) for each in loggers],
        "propagate": [each.propagate for each in loggers],
        "disabled": logging.root.manager.disable,
        "excepthooks": repr((sys.excepthook, threading.excepthook, sys.unraisablehook)),
        "streams": repr((sys.stdout, sys.stderr)),
        "signals": [repr(signal.getsignal(each)) for each in sorted(signal.valid_signals())],
        "faulthandler": faulthandler.is_enabled(),
        "folder": os.getcwd(),
        "path": list(sys.path),
        "threads": torch.get_num_threads(),
        "dtype": str(torch.get_default_dtype()),
        "matmul": torch.get_float32_matmul_precision(),
        "deterministic": [torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(), torch.utils.deterministic.fill_uninitialized_memory],
        "cudnn": [torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark, torch.backends.cudnn.enabled],
        "tf32": [torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32],
        "gradients": [torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_anomaly_enabled()],
        "python random": repr(random.getstate()),
        "numpy random": repr([part if isinstance(part, str) else np.asarray(part).tolist()
            for part in np.random.get_state()]),
        "torch random": torch.get_rng_state().tolist(),
    }

call, weights, train_csv, validation_csv, folder, backbone = sys.argv[1:]
if call == "run_inference":
    work = lambda: emotion.run_inference(weights, validation_csv)
elif call == "compress_and_evaluate":
    work = lambda: emotion.compress_and_evaluate(weights, validation_csv, folder, "quantize")
elif call == "distill":
    from emotion.compression import compress
    from emotion.compression import CompressConfig
    config = compose_config("compress", ["technique=distill", "distill.max_epochs=1", "rounds=1"])
    config.weights, config.data.train, config.data.validation = weights, train_csv, validation_csv
    config.output_dir = folder
    config = resolve(config, CompressConfig)
    work = lambda: compress(config)
elif call == "train":
    config = compose_config("train", ["model=minilm", "data=csv", "trainer.max_epochs=1"])
    config.model.backbone, config.data.train, config.data.validation = backbone, train_csv, validation_csv
    config.output_dir = folder
    config = resolve(config, TrainConfig)
    from pathlib import Path
    work = lambda: train(config, Path(folder) / "run")
else:
    work = lambda: emotion.main(train_csv, validation_csv, folder, "MiniLM")
random.seed(5), np.random.seed(6), torch.manual_seed(7)
random.random(), np.random.rand(), torch.rand(1)
emotion.main, emotion.run_inference, emotion.compress_and_evaluate  # what imports leave behind is not the call's trace
import bitsandbytes
before = state()
try:
    work()
except emotion.errors.UserError as error:
    print(error, file=sys.stderr)
    assert call == "main", error  # its backbone's weights may be missing on this machine
after = state()
print(json.dumps([[name, str(before[name])[:2000], str(after[name])[:2000]] for name in before
    if before[name] != after[name]]))
"""


@pytest.mark.parametrize("call", ["run_inference", "train", "main", "compress_and_evaluate", "distill"])
def test_a_call_leaves_no_trace(
    call: str, originals: dict[str, Path], backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    paths = (originals["minilm"], corpus["train"], corpus["validation"], folder, backbones["minilm"])
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CUBLAS", "PL_"))}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, call, *map(str, paths)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []
    made = {
        "run_inference": corpus["validation"].with_name("validation_predictions.csv"),
        "train": folder / f"best_{NAMES['minilm']}.pt",
    }
    assert call not in made or made[call].is_file()


def test_changes_within_the_block_are_undone_even_after_an_error() -> None:
    os.environ["EMOTION_TEST"] = "before"
    filters = list(warnings.filters)
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    before = torch.are_deterministic_algorithms_enabled(), torch.get_default_dtype(), torch.get_num_threads()

    @isolated()
    def work() -> None:
        os.environ["EMOTION_TEST"] = "within"
        os.environ["EMOTION_OTHER"] = "new"
        random.seed(1), np.random.seed(1), torch.manual_seed(1)
        torch.use_deterministic_algorithms(True)
        torch.set_default_dtype(torch.float64)
        torch.set_num_threads(before[2] + 1)
        with isolated():
            warnings.simplefilter("always")
        raise KeyError("work")

    try:
        with pytest.raises(KeyError, match="work"):
            work()
        assert os.environ["EMOTION_TEST"] == "before"
    finally:
        del os.environ["EMOTION_TEST"]
    assert "EMOTION_OTHER" not in os.environ
    assert list(warnings.filters) == filters
    assert random.getstate() == states[0]
    assert np.random.get_state()[1].tolist() == states[1]
    assert torch.equal(torch.get_rng_state(), states[2])
    assert (torch.are_deterministic_algorithms_enabled(), torch.get_default_dtype(), torch.get_num_threads()) == before


def test_a_log_level_holds_only_within_the_block() -> None:
    import logging

    logger = logging.getLogger("emotion.test_isolation")
    with log_level(logger.name, logging.ERROR):
        assert logger.level == logging.ERROR
    assert logger.level == logging.NOTSET
