"""Measure compressed models and the original in one run, from the very files that are delivered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import numpy as np
import torch
from torch import nn

from emotion.checkpoint import load
from emotion.compression.steps.prune import linear_layers, sparsity
from emotion.data import LabelledTexts
from emotion.evaluation import mcnemar_p, paired_bootstrap
from emotion.files import sha256
from emotion.models import BATCH_SIZE, Predictions, Predictor
from emotion.prediction import Timing, median_ms, spread_batches, time_batches
from emotion.progress import progress_bar
from emotion.reporting import BASELINE, VALIDATION, EvaluationRecord, Latency, Percentiles, Rows, Variant
from emotion.scoring import score_fields, score_rows, score_set

CALLS = 40
"""Predictions of each batch size that are timed in a round: 200 in the five rounds of the default."""
BATCH_SIZES = (1, 8, BATCH_SIZE)


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
    rows: dict[str, dict[str, Rows]]
    """Row-level predictions of each model, by the name of the CSV: ``validation`` and the evaluation sets."""
    failed: dict[str, Exception]
    """Why the others could not be measured."""


def measure(
    candidates: Mapping[str, Candidate],
    data: LabelledTexts,
    device: torch.device,
    rounds: int,
    fast: bool = True,
    sets: Mapping[str, LabelledTexts] | None = None,
    reads: Mapping[str, int] | None = None,
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
        sets: Evaluation sets by name; None = none.
        reads: How often each set was read for this model, this time included.

    Returns:
        The measurements, and why the others could not be measured.
    """
    sets, reads = sets or {}, reads or {}
    with progress_bar() as progress:
        texts = sum(len(each.texts) for each in (data, *sets.values()))
        task = progress.add_task("measuring quality", total=len(candidates) * texts)
        loaded: dict[str, Predictor] = {}
        rows: dict[str, dict[str, Rows]] = {}
        records: dict[str, dict[str, EvaluationRecord]] = {}
        predictions: dict[str, Predictions] = {}
        failed: dict[str, Exception] = {}
        for name, candidate in candidates.items():
            progress.update(task, description=f"measuring quality: {name}")
            try:
                model = load(candidate.path, device, fast)
                found = model.predict_texts(data.texts, advance=lambda done: progress.advance(task, done))
                scored = {
                    each: score_set(model, texts, reads[each], lambda done: progress.advance(task, done))
                    for each, texts in sets.items()
                }
                validated = Rows(np.array(data.labels), found.probabilities.numpy(), data.label_set.names)
                predictions[name] = found
                rows[name] = {VALIDATION: validated, **{each: one.rows for each, one in scored.items()}}
                records[name] = {each: one.record for each, one in scored.items()}
                loaded[name] = model
            except Exception as error:  # one failure must not cost the other variants
                if name == BASELINE:
                    raise
                failed[name] = error
        task = progress.add_task("measuring speed", total=len(BATCH_SIZES) * rounds * len(loaded))
        timings = {
            size: time_batches(loaded, _calls(data.texts, size), rounds, lambda: progress.advance(task))
            for size in BATCH_SIZES
        }
    measured = datetime.now(UTC).isoformat(timespec="seconds")
    variants = {}
    for name, model in loaded.items():
        candidate, own = candidates[name], {size: each[name] for size, each in timings.items()}
        size_mb, original_mb = (path.stat().st_size / 1e6 for path in (candidate.path, candidates[BASELINE].path))
        variants[name] = Variant(
            file=candidate.path.name,
            sha256=sha256(candidate.path),
            steps=list(candidate.settings),
            settings=candidate.settings,
            device=str(model.model.device),
            size_mb=size_mb,
            size_ratio=size_mb / original_mb,
            memory_mb=memory_mb(model),
            latency_ms_per_sample=median_ms(own[BATCH_SIZE]) / min(BATCH_SIZE, len(data.texts)),
            speedup=median_ms(timings[BATCH_SIZE][BASELINE]) / median_ms(own[BATCH_SIZE]),
            speedup_batch_1=median_ms(timings[1][BASELINE]) / median_ms(own[1]),
            latency=Latency(**{f"batch_{size}": _percentiles(samples) for size, samples in own.items()}),
            **_quality(model, data, predictions[name], predictions[BASELINE]),
            **_sparsity(model, bool(candidate.settings.get("prune", {}).get("include_head"))),
            evaluations=records[name],
            measured=measured,
        )
    return Measured(variants, rows, failed)


def _calls(texts: list[str], batch_size: int) -> list[list[str]]:
    """Return a round's batches; those of a small CSV are repeated."""
    batches = spread_batches(texts, batch_size, CALLS)
    return (batches * CALLS)[:CALLS]


def _quality(model: Predictor, data: LabelledTexts, found: Predictions, original: Predictions) -> dict[str, Any]:
    """Return the fields of the scores on ``data``, by themselves and against those of the original."""
    scores = score_fields(score_rows(model, data, found))
    labels, before = (each.probabilities.numpy().argmax(axis=1) for each in (found, original))
    return {
        **{name: score for name, score in scores.items() if name in Variant.model_fields},
        "agreement_with_original": float((labels == before).mean()),
        "mcnemar_p": mcnemar_p(data.labels, labels.tolist(), before.tolist()),
        "difference": paired_bootstrap(data.labels, labels, before, len(data.label_set)),
    }


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


def _percentiles(timings: Sequence[Timing]) -> Percentiles:
    samples = [timing.total_ms for timing in timings]
    hundredths = quantiles(samples * 2 if len(samples) < 2 else samples, n=100, method="inclusive")
    return Percentiles(
        p50_ms=hundredths[49],
        p90_ms=hundredths[89],
        p99_ms=hundredths[98],
        tokenise_p50_ms=median(timing.tokenise_ms for timing in timings),
        forward_p50_ms=median(timing.forward_ms for timing in timings),
        calls=len(timings),
    )
