"""Measure every requested part, and write the report."""

from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from emotion.benchmark import parts
from emotion.benchmark.config import BenchmarkConfig
from emotion.benchmark.material import Material
from emotion.errors import UserError
from emotion.files import sha256
from emotion.isolation import isolated
from emotion.models import pick_device
from emotion.reporting import BenchmarkReport, BenchmarkResults, Environment, git_commit, hardware, versions
from emotion.training import check_devices, check_max_length


@isolated()
def benchmark(config: BenchmarkConfig) -> BenchmarkReport:
    """Measure ``config.benchmark.parts``; write ``benchmark_report.json``, its tables and its picture.

    Raises:
        UserError: An input cannot be used, or a side failed or did other work than the rest.
    """
    config = _shared_by_all(config.quickened())
    results = BenchmarkResults(Path(config.output_dir))
    results.require_free()
    data = Material(config).texts
    check_max_length(config, Material(config).backbone)
    if config.weights is not None:
        Material(config).predictor()  # refuses what cannot be used
    report = BenchmarkReport(
        model_name=config.model.name,
        data_sha256=data.sha256,
        batch_size=config.data.batch_size,
        max_length=config.data.max_length,
        precision=config.trainer.precision,
        compiled=config.compile,
        weights_sha256=sha256(Path(config.weights)) if config.weights else None,
        random_weights=config.random_weights,
        device=pick_device(config.trainer.accelerator, "trainer.accelerator").type,
        rounds=config.rounds,
        quick=config.quick,
        environment=Environment(versions=versions(), hardware=hardware(), git_commit=git_commit()),
        measured=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    with TemporaryDirectory() as folder:
        for part in config.benchmark.parts:
            report = report.model_copy(update=parts.measure(part, config, data, Path(folder)))
            merged = results.publish(report)  # after each part, so that an interrupted benchmark keeps what it has
    return merged


def _shared_by_all(config: BenchmarkConfig) -> BenchmarkConfig:
    """Limit ``config`` to what all sides can do: one device, whole epochs."""
    if config.trainer.precision == "16-mixed":
        raise UserError("trainer.precision: must be 32-true or bf16-mixed, which all sides know, found 16-mixed")
    if config.trainer.devices not in (1, "auto"):
        raise UserError(
            f"trainer.devices: must be 1 in a benchmark, found {config.trainer.devices};"
            " CUDA_VISIBLE_DEVICES chooses a GPU"
        )
    trainer = config.trainer.updated(
        devices=1,
        strategy="auto",
        limit_train_batches=None,
        limit_val_batches=None,
        val_check_interval=1.0,
        patience=None,
        ckpt_path=None,
        enable_progress_bar=False,
    )
    check_devices(trainer)
    return config.updated(trainer=trainer)
