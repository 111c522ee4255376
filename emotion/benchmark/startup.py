"""Time commands until they deliver what their user waits for."""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, time

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]

from emotion.errors import UserError

TRAIN = ("-c", "from emotion.cli import train; train()")
"""What ``scripts/train.py`` and ``emotion-train`` run."""
COMMANDS = {
    "train.py --help": ([*TRAIN, "--help"], 0),
    "train.py --cfg job": ([*TRAIN, "--cfg", "job"], 0),
    "a config error": ([*TRAIN, "trainer.max_epochs=ten"], 1),
    "import emotion": (["-c", "import emotion"], 0),
}
FIRST_STEP = "the first training step on the sample"


def startup_seconds() -> dict[str, float]:
    """Time each command, the interpreter's start included, and the way to the end of the first training step."""
    seconds = {name: _seconds(*command) for name, command in COMMANDS.items()}
    return {**seconds, FIRST_STEP: _first_step_seconds()}


def _seconds(arguments: list[str], exit_code: int) -> float:
    started = perf_counter()
    _run(arguments, exit_code)
    return perf_counter() - started


def _first_step_seconds() -> float:
    with TemporaryDirectory() as folder:
        short = ["trainer=debug", "trainer.limit_train_batches=1", "trainer.limit_val_batches=1"]
        started = time()
        _run([*TRAIN, *short, f"output_dir={folder}", f"hydra.run.dir={folder}/run"], 0)
        events = EventAccumulator(str(Path(folder) / "run" / "tensorboard")).Reload()
        first: float = events.Scalars("train/loss_step")[0].wall_time
        return first - started


def _run(arguments: list[str], exit_code: int) -> None:
    with TemporaryDirectory() as elsewhere:
        done = subprocess.run([sys.executable, *arguments], cwd=elsewhere, capture_output=True, text=True, check=False)
    if done.returncode != exit_code:
        last_line = (done.stderr.strip().splitlines() or [""])[-1]
        raise UserError(
            f"startup: {' '.join(arguments)} must exit with {exit_code}, found {done.returncode} ({last_line})"
        )
