"""Compress a fine-tuned model by each technique that was asked for, and report what that cost and brought."""

import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from emotion.artifacts import atomic, require_ours, require_writable, sha256
from emotion.checkpoint import Checkpoint
from emotion.checkpoint_format import is_checkpoint
from emotion.compression.benchmark import Candidate, measure
from emotion.compression.sources import find_weights, load_original, read_data
from emotion.compression.steps import LEARNING_STEPS, apply, step_config
from emotion.compression.techniques import chains
from emotion.config import compose_config, resolve
from emotion.data import LabelledTexts
from emotion.devices import pick_device
from emotion.environment import git_commit, hardware, versions
from emotion.errors import UserError, first_line
from emotion.report.compression_plots import comparison_figure
from emotion.report.compression_report import publish, ranked, read_compression_report
from emotion.report.compression_schema import BASELINE, CompressionReport, DataRecord, FileRecord
from emotion.report.console import print_compression
from emotion.report.plots import is_our_figure, save_figure
from emotion.report.schema import Environment
from emotion.report.training_report import locked
from emotion.schemas.compress import CompressConfig

log = logging.getLogger(__name__)

RESULTS = "compression_results"


def compress_and_evaluate(
    weights: str, csv: str, output_dir: str | None = None, technique: str = "all"
) -> dict[str, Any]:
    """Compress a fine-tuned model and measure quality, size and speed beside the original's.

    Args:
        weights: A fine-tuned ``.pt`` checkpoint.
        csv: CSV with ``text`` and ``label`` that quality is measured on.
        output_dir: Where ``compression_results/`` goes; None = the folder of ``weights``.
        technique: ``"prune"``, ``"quantize"``, ``"combined"``, ``"all"`` or another of ``conf/technique``.

    Returns:
        The content of ``compression_report.json``.

    Raises:
        UserError: Something that was given cannot be used, or a technique failed; the others are finished first.
    """
    config = compose_config("compress", [f"technique={technique}"])
    config.weights, config.data.validation, config.output_dir = weights, csv, output_dir
    return compress(resolve(config, CompressConfig)).model_dump()


def compress(config: CompressConfig, overrides: Sequence[str] = ()) -> CompressionReport:
    """Run the technique of ``config``; write models, report and picture into ``compression_results``.

    Args:
        config: The resolved config.
        overrides: Those that it was composed with, for the techniques of a set.

    Returns:
        The merged report.

    Raises:
        UserError: Something that was given cannot be used, and nothing was done; or a technique failed, and the others
            were finished and reported first.
    """
    wanted = chains(config, overrides)
    weights = find_weights(config)
    device = pick_device(config.accelerator)
    original = load_original(weights, device)
    data = read_data(original, "validation", config.data)
    learns = any(step in LEARNING_STEPS for chain in wanted for step in chain.technique.steps)
    train = read_data(original, "train", config.data) if learns else None
    results = Path(config.output_dir or weights.parent) / RESULTS
    picture = results / "visualizations" / "compression_comparison.png"
    paths = {chain.technique.name: _path(results, original.model_name, chain) for chain in wanted}
    _require_free(results, picture, list(paths.values()))

    candidates = {BASELINE: Candidate(weights, {})}
    failed: dict[str, str] = {}
    for number, chain in enumerate(wanted, start=1):
        name = chain.technique.name
        log.info("%s (%d of %d): %s", name, number, len(wanted), ", ".join(chain.technique.steps))
        try:
            candidates[name] = _make(chain, load_original(weights, device), train, paths[name])
        except Exception as error:  # whatever it is, it must not cost the other variants
            log.error("%s failed: %s", name, error, exc_info=not isinstance(error, UserError))
            failed[name] = first_line(error)
    variants = measure(candidates, data, device, config.rounds)
    measured = CompressionReport(
        model_name=original.model_name,
        weights=FileRecord(path=str(weights.resolve()), sha256=sha256(weights)),
        data=DataRecord(path=str(Path(data.path).resolve()), sha256=data.sha256, rows=len(data.texts)),
        environment=Environment(versions=versions(), hardware=hardware(), git_commit=git_commit()),
        variants=variants,
        failed=failed,
        ranking=ranked(variants),
    )
    with locked(results):
        report = publish(measured, results)
        with atomic(picture) as temporary:
            save_figure(comparison_figure(report), temporary)
    print_compression(report, results)
    if failed:
        raise UserError(f"technique: {len(failed)} of {len(wanted)} failed: {_reasons(failed)}")
    return report


def _make(chain: CompressConfig, model: Checkpoint, train: LabelledTexts | None, path: Path) -> Candidate:
    """Apply the chain's steps to ``model``, in order, and save the result."""
    settings = {step: asdict(step_config(step, chain)) for step in chain.technique.steps}
    model.metadata = {**model.metadata, "compression": {"technique": chain.technique.name, "settings": settings}}
    for step in chain.technique.steps:
        model = apply(step, model, chain, train)
    model.save(path)
    return Candidate(path, settings)


def _path(results: Path, model_name: str, chain: CompressConfig) -> Path:
    suffix = ".onnx" if chain.technique.steps[-1].startswith("onnx") else ".pt"
    return results / f"{model_name}_{chain.technique.name}{suffix}"


def _require_free(results: Path, picture: Path, paths: list[Path]) -> None:
    require_writable(results, "output_dir")
    require_writable(picture.parent, "output_dir")
    for path in paths:
        require_ours(path, is_checkpoint, "output_dir")
    require_ours(picture, is_our_figure, "output_dir")
    with locked(results):
        read_compression_report(results)


def _reasons(failed: dict[str, str]) -> str:
    return "; ".join(f"{name} ({reason})" for name, reason in failed.items())
