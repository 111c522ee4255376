"""Measure compressed models and the original in one run, from the very files that are delivered."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from emotion.checkpoint import load
from emotion.compression.steps.prune import linear_layers, sparsity
from emotion.data import LabelledTexts
from emotion.evaluation import Evaluation, evaluate, mcnemar_p
from emotion.files import sha256
from emotion.models import BATCH_SIZE, Predictor
from emotion.prediction import latencies_ms, spread_batches
from emotion.progress import progress_bar
from emotion.reporting import BASELINE, Latency, Percentiles, Variant

SINGLE_TEXTS, BATCHES = 64, 8
"""Texts to time alone, and batches of 32 to time, in each round."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model file to measure."""

    path: Path
    settings: dict[str, Any]
    """Settings of each step that made it, in order."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Quality, size and speed of the models that could be measured, by name."""

    variants: dict[str, Variant]
    probabilities: dict[str, np.ndarray]
    """(rows, classes), float32, of each variant."""
    failed: dict[str, Exception]
    """Why the others could not be measured."""


def measure(
    candidates: Mapping[str, Candidate], data: LabelledTexts, device: torch.device, rounds: int, fast: bool = True
) -> Measured:
    """Measure quality, size and speed of each candidate; ratios are relative to the one named ``original``.

    Quality comes from :meth:`Predictor.predict` on the loaded file, in the order and the batch size that
    ``run_inference`` uses: INT8 models scale their inputs by batch, so other batches would give other labels.

    Args:
        candidates: Candidates by name, ``original`` among them.
        data: Labelled texts.
        device: Where the models run; ONNX models run on the CPU.
        rounds: Turns in which latency is measured.
        fast: Whether :mod:`emotion.models.fast` speeds models up.

    Returns:
        The measurements, and why the others could not be measured.
    """
    with progress_bar() as progress:
        task = progress.add_task("measuring quality", total=len(candidates) * len(data.texts))
        loaded: dict[str, Predictor] = {}
        labels: dict[str, list[int]] = {}
        probabilities: dict[str, Tensor] = {}
        failed: dict[str, Exception] = {}
        for name, candidate in candidates.items():
            progress.update(task, description=f"measuring quality: {name}")
            try:
                model = load(candidate.path, device, fast)
                probabilities[name] = model.predict_proba(data.texts, advance=lambda rows: progress.advance(task, rows))
                labels[name] = probabilities[name].argmax(dim=-1).tolist()
                loaded[name] = model
            except Exception as error:  # one failure must not cost the other variants
                if name == BASELINE:
                    raise
                failed[name] = error
        task = progress.add_task("measuring speed", total=2 * rounds * len(loaded))
        singles, batches = (spread_batches(data.texts, *size) for size in ((1, SINGLE_TEXTS), (BATCH_SIZE, BATCHES)))
        alone = latencies_ms(loaded, singles, rounds, lambda: progress.advance(task))
        together = latencies_ms(loaded, batches, rounds, lambda: progress.advance(task))
    median_alone = {name: median(samples) for name, samples in alone.items()}
    median_together = {name: median(samples) for name, samples in together.items()}
    original_mb = candidates[BASELINE].path.stat().st_size / 1e6
    measured = datetime.now(UTC).isoformat(timespec="seconds")
    variants = {}
    for name in loaded:
        candidate = candidates[name]
        size_mb = candidate.path.stat().st_size / 1e6
        include_head = bool(candidate.settings.get("prune", {}).get("include_head"))
        variants[name] = Variant(
            file=candidate.path.name,
            sha256=sha256(candidate.path),
            steps=list(candidate.settings),
            settings=candidate.settings,
            device=str(loaded[name].model.device),
            size_mb=size_mb,
            memory_mb=memory_mb(loaded[name]),
            size_ratio=size_mb / original_mb,
            latency_ms_per_sample=median_together[name] / len(batches[0]),
            speedup=median_together[BASELINE] / median_together[name],
            speedup_batch_1=median_alone[BASELINE] / median_alone[name],
            latency=Latency(batch_1=_percentiles(alone[name]), batch_32=_percentiles(together[name])),
            **_quality(evaluate(data.labels, labels[name], data.label_set.names)),
            **_sparsity(loaded[name], include_head),
            agreement_with_original=_agreement(labels[name], labels[BASELINE]),
            mcnemar_p=mcnemar_p(data.labels, labels[name], labels[BASELINE]),
            measured=measured,
        )
    return Measured(variants, {name: probabilities[name].numpy() for name in loaded}, failed)


def _quality(evaluation: Evaluation) -> dict[str, Any]:
    return {name: score for name, score in asdict(evaluation).items() if name in Variant.model_fields}


def _agreement(labels: list[int], original: list[int]) -> float:
    return sum(a == b for a, b in zip(labels, original, strict=True)) / len(labels)


def memory_mb(loaded: Predictor) -> float:
    """Return the size of parameters and buffers, 1e6 bytes; for an ONNX model, of the graph, which is little else."""
    if not isinstance(loaded.model, nn.Module):
        return len(loaded.model.serialized) / 1e6
    return sum(tensor.nbytes for tensor in (*loaded.model.parameters(), *loaded.model.buffers())) / 1e6


def _sparsity(loaded: Predictor, include_head: bool) -> dict[str, Any]:
    if not isinstance(loaded.model, nn.Module):
        return {"sparsity": None, "sparsity_total": None}
    weights = [layer.weight for layer in linear_layers(loaded.model, include_head)]
    return {"sparsity": sparsity(weights), "sparsity_total": sparsity(list(loaded.model.parameters()))}


def _percentiles(samples: list[float]) -> Percentiles:
    if len(samples) < 2:
        samples = samples * 2
    hundredths = quantiles(samples, n=100, method="inclusive")
    return Percentiles(p50_ms=hundredths[49], p90_ms=hundredths[89], p99_ms=hundredths[98])
