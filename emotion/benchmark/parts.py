"""Measure the parts of the benchmark, each a figure or a table of the report."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from emotion.benchmark import corpora
from emotion.benchmark.compressed import compression
from emotion.benchmark.config import BenchmarkConfig
from emotion.benchmark.material import Material
from emotion.benchmark.measurement import Measurement
from emotion.benchmark.model_files import HUGGING_FACE, model_files
from emotion.benchmark.serving import serving
from emotion.benchmark.sides import FILE, OURS, PREDICTION, TRAINING, run_side
from emotion.benchmark.startup import startup_seconds
from emotion.benchmark.turns import in_turns
from emotion.checkpoint import save
from emotion.data import LabelledTexts
from emotion.errors import UserError
from emotion.reporting import DeviceScaling, PredictionSide, PredictionSpeed, Scaling, Side, Spread, TrainingSpeed

REFERENCE = "loop_padded"
"""The side with whose labels the others' are compared."""
SAME_LABELS = 0.999
"""Least agreement of FP32 predictions, as sums in another order may tip a tie."""
SCALED_ROWS, SCALED_WORDS = [1_000, 4_000, 16_000], [6, 24, 54, 110]
"""Sizes at which cost is measured: rows, and words per row."""


def measure(part: str, config: BenchmarkConfig, data: LabelledTexts, folder: Path) -> dict[str, Any]:
    """Measure one part.

    Args:
        part: One of :data:`emotion.benchmark.config.PARTS`.
        config: Settings of the work.
        data: Texts to draw from.
        folder: Folder for CSVs and models, which the caller removes.

    Returns:
        The fields of :class:`BenchmarkReport` that the part fills.

    Raises:
        UserError: A side failed or did other work than the rest.
    """
    if part == "startup":
        rounds = in_turns(part, {"all": startup_seconds}, config.rounds)["all"]
        return {"startup_seconds": {name: Spread.of([each[name] for each in rounds]) for name in rounds[0]}}
    if part == "scaling":
        return {"scaling": scaling(config, data, folder)}
    if part == "compress":
        return {"compression": compression(config, data, folder)}
    config = _with_rows(config, corpora.draw(data, config.rows, config.seed), folder / "rows.csv")
    match part:
        case "train":
            return {"training": training(config)}
        case "predict":
            return {"prediction": prediction(config, folder)}
        case "serve":
            return {"serving": serving(config, Material(config).texts.texts, folder)}
        case _:
            return {"devices": devices(config)}


def training(config: BenchmarkConfig) -> TrainingSpeed:
    """Time one epoch of each training side."""
    tasks = {side: partial(run_side, f"train/{side}", config) for side in TRAINING}
    measured = in_turns("train", tasks, config.rounds, _check_same_work)
    ours = measured[OURS]
    flops = 6 * sum(p.numel() for name, p in Material(config).model().named_parameters() if "embeddings" not in name)
    peak = median(each.peak_flops for each in ours)
    return TrainingSpeed(
        rows=ours[0].rows,
        tokens=ours[0].tokens,
        updates=ours[0].updates,
        sides={side: Side(**_speed(TRAINING[side], rounds, ours)) for side, rounds in measured.items()},
        flops_per_token=flops,
        peak_flops_per_second=peak,
        utilisation=flops * ours[0].tokens / median(each.seconds for each in ours) / peak,
    )


def prediction(config: BenchmarkConfig, folder: Path) -> PredictionSpeed:
    """Time predictions of each side that can run here, and from file to file."""
    original = Material(config).predictor()
    config = config.updated(data=config.data.updated(max_length=original.max_length))
    models = model_files(original, folder)
    tasks = {}
    for side in PREDICTION:
        if weights := models.get(side, None if side.startswith("onnx") else models[HUGGING_FACE]):
            tasks[side] = partial(run_side, f"predict/{side}", config.updated(weights=str(weights)))
    tasks[FILE] = partial(run_side, f"predict/{FILE}", config.updated(weights=str(models[OURS])))
    measured = in_turns("predict", tasks, config.rounds, _check_same_labels)
    from_file = measured.pop(FILE)
    reference = measured[REFERENCE][0]
    sides = {}
    for side, rounds in measured.items():
        sides[side] = PredictionSide(
            **_speed(PREDICTION[side], rounds, measured[OURS]),
            single_ms=Spread.of([median(each.single_ms) for each in rounds]),
            agreement=_agreement(rounds[0], reference),
        )
    return PredictionSpeed(
        rows=len(reference.labels),
        sides=sides,
        file_rows_per_second=Spread.of([each.rows / each.seconds for each in from_file]),
    )


def scaling(config: BenchmarkConfig, data: LabelledTexts, folder: Path) -> dict[str, Scaling]:
    """Measure how our training and prediction scale with the number of rows and with their length."""
    weights = folder / "scaling.pt"
    save(Material(config).predictor(), weights)
    config = config.updated(weights=str(weights))
    by_rows, by_length = {}, {}
    sizes, lengths, rows_of_a_length = SCALED_ROWS, SCALED_WORDS, 512
    if config.quick:  # only the ends
        sizes, lengths, rows_of_a_length = [20, 320], SCALED_WORDS[::3], 32
    for size in sizes:
        rows = corpora.made_up(data, size, config.seed)
        by_rows[size] = _with_rows(config, rows, folder / f"{size}_rows.csv")
    for words in lengths:
        rows = corpora.made_up(data, rows_of_a_length, config.seed, words)
        by_length[words] = _with_rows(config, rows, folder / f"{words}_words.csv")
    result = {}
    for unit, configs in (("rows", by_rows), ("words", by_length)):
        for part in ("train", "predict"):
            tasks = {size: partial(run_side, f"{part}/{OURS}", each) for size, each in configs.items()}
            seconds = [each.seconds for (each,) in in_turns(f"{part} by {unit}", tasks, 1).values()]
            slope = np.polyfit(np.log(list(configs)), np.log(seconds), 1)[0]
            result[f"{part}_{unit}"] = Scaling(sizes=list(configs), seconds=seconds, slope=float(slope))
    return result


def devices(config: BenchmarkConfig) -> DeviceScaling:
    """Time training in one process and in two, one thread each, with equally many rows per update."""
    each = max(config.data.batch_size // 2, 1)
    cpu = config.trainer.updated(accelerator="cpu", precision="32-true")
    one = config.updated(data=config.data.updated(batch_size=2 * each), trainer=cpu)
    processes = cpu.updated(devices=2, strategy="ddp")
    two = config.updated(data=config.data.updated(batch_size=each), trainer=processes)
    threads = {"OMP_NUM_THREADS": "1"}
    tasks = {
        "one": partial(run_side, f"train/{OURS}", one, threads),
        "two": partial(run_side, f"train/{OURS}", two, threads),
    }
    measured = in_turns("devices", tasks, config.rounds, _check_same_work)
    seconds = {name: [each.seconds for each in rounds] for name, rounds in measured.items()}
    return DeviceScaling(
        rows=measured["one"][0].rows,
        one_process_seconds=Spread.of(seconds["one"]),
        two_processes_seconds=Spread.of(seconds["two"]),
        speedup=Spread.of([one / two for one, two in zip(seconds["one"], seconds["two"], strict=True)]),
    )


def _agreement(measurement: Measurement, reference: Measurement) -> float:
    return float(np.mean(np.array(measurement.labels) == np.array(reference.labels)))


def _check_same_labels(part: str, measured: Mapping[str, list[Measurement]]) -> None:
    for side, rounds in measured.items():
        agreement = min(_agreement(each, measured[REFERENCE][0]) for each in rounds)
        if side != "onnx_int8" and agreement < SAME_LABELS:
            raise UserError(
                f"{part}/{side}: must give at least {SAME_LABELS:.1%} of the labels of {REFERENCE},"
                f" found {agreement:.1%}"
            )


def _check_same_work(part: str, measured: Mapping[str, list[Measurement]]) -> None:
    work = {(each.rows, each.tokens, each.updates) for rounds in measured.values() for each in rounds}
    if len(work) > 1:
        raise UserError(f"{part}: all sides must do the same work, found (rows, tokens, updates) {sorted(work)}")


def _speed(label: str, rounds: list[Measurement], ours: list[Measurement]) -> dict[str, Any]:
    return {
        "label": label,
        "rows_per_second": Spread.of([each.rows / each.seconds for each in rounds]),
        "speedup_of_ours": Spread.of([his.seconds / our.seconds for his, our in zip(rounds, ours, strict=True)]),
    }


def _with_rows(config: BenchmarkConfig, rows: Any, path: Path) -> BenchmarkConfig:
    """Write these rows to a CSV, and return ``config`` with it as training and validation data."""
    corpora.write(rows, path, (config.data.text_column, config.data.label_column))
    return config.updated(data=config.data.updated(train=str(path), validation=str(path)))
