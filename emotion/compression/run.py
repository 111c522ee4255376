"""Compress a fine-tuned model by each requested technique, and report what that cost and brought."""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from emotion.compression.chain import Chains
from emotion.compression.config import CompressConfig
from emotion.compression.measure import Candidate, measure
from emotion.compression.results import CompressionResults
from emotion.compression.sources import find_weights, load_original, read_data
from emotion.compression.techniques import chains, known_techniques
from emotion.config import compose_config, resolve
from emotion.errors import UserError, first_line
from emotion.files import sha256
from emotion.isolation import isolated
from emotion.models import pick_device
from emotion.reporting import (
    BASELINE,
    CompressionReport,
    Environment,
    EvaluationData,
    FileRecord,
    Rows,
    git_commit,
    hardware,
    ranked,
    versions,
)

log = logging.getLogger(__name__)


def compress_and_evaluate(
    weights: str,
    csv: str,
    output_dir: str | None = None,
    technique: str = "all",
    *,
    show: Callable[[CompressionReport, Path], None] | None = None,
) -> dict[str, Any]:
    """Compress a fine-tuned model and measure its quality, size and speed against the original's.

    Args:
        weights: A fine-tuned ``.pt`` checkpoint.
        csv: CSV with ``text`` and ``label`` that quality is measured on.
        output_dir: Where ``compression_results/`` goes; None = the folder of ``weights``.
        technique: ``"prune"``, ``"quantize"``, ``"combined"``, ``"all"`` or another of ``conf/technique``.
        show: Called with the report and its folder, even if a technique failed.

    Returns:
        The content of ``compression_report.json``.

    Raises:
        UserError: An input cannot be used, or a technique failed; the others are finished first.
    """
    if technique not in (known := known_techniques()):
        raise UserError(f"technique: must be one of {', '.join(known)}, found {technique!r}")
    config = compose_config("compress", [f"technique={technique}"])
    config.weights, config.data.validation, config.output_dir = weights, csv, output_dir
    return compress(resolve(config, CompressConfig), show=show).model_dump()


@isolated()
def compress(
    config: CompressConfig,
    overrides: Sequence[str] = (),
    run_dir: Path | None = None,
    show: Callable[[CompressionReport, Path], None] | None = None,
) -> CompressionReport:
    """Run the technique of ``config``; write models, report and picture into ``compression_results``.

    Args:
        config: The resolved config.
        overrides: The overrides that it was composed with, for the techniques of a set.
        run_dir: Folder for the curves of a distillation; None = ``DATE/TIME`` in the output folder.
        show: Called with the merged report and its folder, even if a technique failed.

    Returns:
        The merged report.

    Raises:
        UserError: An input cannot be used, and nothing was done; or a technique failed, and the others were finished
            and reported first.
    """
    wanted = chains(config, overrides)
    weights = find_weights(config)
    device = pick_device(config.accelerator)
    original, digest = load_original(weights, device, config.fast), sha256(weights)
    data = read_data(original, "validation", config.data)
    output_dir = Path(config.output_dir or weights.parent)
    results = CompressionResults(output_dir, original.model_name)
    results.require_free(wanted, may_choose=config.max_drop is not None)
    run_dir = run_dir or output_dir / datetime.now().strftime("%Y-%m-%d/%H-%M-%S-%f")
    makers = Chains(original, data, config, run_dir)

    candidates = {BASELINE: Candidate(weights, {})}
    failed: dict[str, Exception] = {}
    for number, chain in enumerate(wanted, start=1):
        name = chain.technique.name
        log.info("%s (%d of %d): %s", name, number, len(wanted), ", ".join(chain.technique.steps))
        try:
            path = results.model(chain)
            candidates[name] = Candidate(path, makers.make(chain, load_original(weights, device, config.fast), path))
        except Exception as error:  # one failure must not cost the other variants
            failed[name] = error
            _log_failure(name, error)
    if len(failed) == len(wanted):
        raise _failure(failed, len(wanted))
    found = measure(candidates, data, device, config.rounds, config.fast)
    if sha256(weights) != digest:
        raise UserError(f"weights: must stay as they are while they are compressed, found that {weights} has changed")
    for name, reason in found.failed.items():
        _log_failure(name, reason)
    failed |= found.failed
    measured = CompressionReport(
        model_name=original.model_name,
        weights=FileRecord(path=str(weights.resolve()), sha256=digest),
        data=EvaluationData(path=str(Path(data.path).resolve()), sha256=data.sha256, rows=len(data.texts)),
        environment=Environment(versions=versions(), hardware=hardware(), git_commit=git_commit()),
        variants=found.variants,
        failed={name: first_line(error) for name, error in failed.items()},
        ranking=ranked(found.variants),
    )
    labels, names = np.array(data.labels), data.label_set.names
    rows = {name: Rows(labels, probabilities, names) for name, probabilities in found.probabilities.items()}
    report = results.publish(measured, config.max_drop, config.prefer, rows)
    if show is not None:
        show(report, results.folder)
    if failed:
        raise _failure(failed, len(wanted))
    return report


def _log_failure(name: str, error: Exception) -> None:
    log.error("%s failed: %s", name, error, exc_info=None if isinstance(error, UserError) else error)


def _failure(failed: dict[str, Exception], wanted: int) -> UserError:
    reasons = "; ".join(f"{name} ({first_line(error)})" for name, error in failed.items())
    return UserError(f"technique: {len(failed)} of {wanted} failed: {reasons}")
