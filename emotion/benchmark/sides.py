"""Name the sides of each comparison, and run one of them in a process of its own.

python -m emotion.benchmark.sides CONFIG.yaml SIDE RESULT.json
"""

import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from omegaconf import DictConfig, OmegaConf

from emotion.benchmark.config import BenchmarkConfig
from emotion.benchmark.measurement import Measurement
from emotion.config import resolve
from emotion.errors import UserError

OURS = "emotion"
TRAINING = {
    OURS: "this project",
    "trainer_grouped": "HF Trainer, grouped by length",
    "trainer_dynamic": "HF Trainer, dynamic padding",
    "trainer_padded": "HF Trainer, padded to the maximum",
    "loop_padded": "plain loop, padded to the maximum",
}
PREDICTION = {
    OURS: "this project",
    "onnx": "this project, onnx",
    "onnx_int8": "this project, onnx_int8",
    "pipeline_batched": "pipeline, in batches",
    "pipeline_1": "pipeline, batch size 1",
    "loop_padded": "plain loop, padded to the maximum",
}
FILE = "file"
_ONE_GPU = {"CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0]}
"""The Hugging Face Trainer would use all GPUs and multiply the batch size by their number."""


def run_side(side: str, config: BenchmarkConfig, environment: Mapping[str, str] | None = None) -> Measurement:
    """Run a side in a new process, so that none profits from what another warmed up or changed.

    Args:
        side: ``train/...`` or ``predict/...``.
        config: Settings of the work.
        environment: Variables for a new interpreter. None = on Linux, where forks are safe, fork a process that has
            only imported torch and transformers, which saves seconds.

    Returns:
        The measurement; with several processes, the work of all together.

    Raises:
        UserError: The process failed; the message quotes its last line.
    """
    with TemporaryDirectory() as folder:
        settings, result, errors = (Path(folder) / name for name in ("config.yaml", "result.json", "errors.txt"))
        OmegaConf.save(OmegaConf.create(config.model_dump()), settings)
        errors.touch()
        arguments = [str(settings), side, str(result)]
        start = _start_interpreter if environment or sys.platform != "linux" else _start_fork
        exit_code = start(arguments, errors, {**os.environ, **_ONE_GPU, **(environment or {})})
        if exit_code or not result.exists():
            lines = errors.read_text(encoding="utf-8", errors="replace").split("\n") if exit_code > 0 else []
            last = next((line for line in reversed(lines) if line.strip()), f"exit code {exit_code}")
            raise UserError(f"{side}: must run, found {last.strip()}")
        measurement = Measurement(**json.loads(result.read_text(encoding="utf-8")))
        for other in Path(folder).glob("result.*.json"):  # of the other processes of a training on several devices
            further = Measurement(**json.loads(other.read_text(encoding="utf-8")))
            measurement.rows += further.rows
            measurement.tokens += further.tokens
        return measurement


def _start_interpreter(arguments: list[str], errors: Path, environment: Mapping[str, str]) -> int:
    command = [sys.executable, "-m", "emotion.benchmark.sides", *arguments]
    # Read a pipe, which ends only with the last of the processes that a training on several devices starts.
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    errors.write_bytes(done.stderr)
    return done.returncode


def _start_fork(arguments: list[str], errors: Path, environment: Mapping[str, str]) -> int:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["emotion.benchmark.prediction_sides", "emotion.benchmark.training_sides"])
    process = context.Process(target=_forked, args=(arguments, errors, environment))
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def _forked(arguments: list[str], errors: Path, environment: Mapping[str, str]) -> None:
    os.environ.update(environment)
    with errors.open("w", encoding="utf-8") as file:
        for stream in (1, 2):  # also catch what libraries write below Python
            os.dup2(file.fileno(), stream)
    _main(*arguments)


def _functions() -> dict[str, Callable[[BenchmarkConfig], Measurement]]:
    from emotion.benchmark import prediction_sides, training_sides

    trainer, pipe = training_sides.hugging_face_trainer, prediction_sides.hugging_face_pipeline
    ours = prediction_sides.emotion_prediction
    return {
        f"train/{OURS}": training_sides.emotion_training,
        "train/trainer_grouped": partial(trainer, group_by_length=True),
        "train/trainer_dynamic": trainer,
        "train/trainer_padded": partial(trainer, pad_to_max_length=True),
        "train/loop_padded": training_sides.plain_loop,
        f"predict/{OURS}": ours,
        "predict/onnx": ours,
        "predict/onnx_int8": ours,
        "predict/pipeline_batched": pipe,
        "predict/pipeline_1": partial(pipe, batch_size=1),
        "predict/loop_padded": prediction_sides.padded_loop,
        f"predict/{FILE}": prediction_sides.emotion_file,
    }


def _main(settings: str, side: str, result: str) -> None:
    content = OmegaConf.load(settings)
    assert isinstance(content, DictConfig)
    measurement = _functions()[side](resolve(content, BenchmarkConfig))
    rank = int(os.environ.get("LOCAL_RANK", "0"))
    path = Path(result) if rank == 0 else Path(result).with_suffix(f".{rank}.json")
    path.write_text(json.dumps(asdict(measurement)), encoding="utf-8")


if __name__ == "__main__":
    _main(*sys.argv[1:])
