"""Compare compressed models with transformers' FP32 by size and speed, for which random weights suffice."""

import logging
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import mean

import torch
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from emotion.benchmark import corpora
from emotion.benchmark.config import BenchmarkConfig
from emotion.benchmark.material import Material
from emotion.benchmark.model_files import HUGGING_FACE, model_files
from emotion.benchmark.sides import OURS
from emotion.benchmark.turns import in_turns
from emotion.checkpoint import load, save
from emotion.compression import Chains, CompressConfig
from emotion.config import compose_config, resolve
from emotion.data import LabelledTexts, TextEncoder
from emotion.errors import UserError
from emotion.models import Predictor, quiet_transformers
from emotion.prediction import median_ms, spread_batches, time_batches
from emotion.reporting import CompressedSide, CompressionSpeed, Spread

log = logging.getLogger(__name__)

TECHNIQUES = ("quantize", "small", "tiny", "micro", "static")
"""Techniques to measure in addition to ONNX Runtime's FP32 and INT8, which the comparison of predictions makes too."""
_LABELS = {HUGGING_FACE: "transformers, FP32", OURS: "this project, FP32"}
WORDS, SINGLE_TEXTS, BATCHES = 29, 32, 4
"""Words per text, which make some 32 tokens; texts to time alone, and batches to time, in each round."""


def compression(config: BenchmarkConfig, data: LabelledTexts, folder: Path) -> CompressionSpeed:
    """Measure size and speed of the compressed models that can be made here; log why others cannot.

    Args:
        config: The model, the batch size and the rounds.
        data: Texts for which the vocabulary is trimmed, and whose words make the texts that are timed.
        folder: Folder for the models.
    """
    material = Material(config)
    original = material.predictor()
    paths = model_files(original, folder)
    for technique in TECHNIQUES:
        try:
            paths[technique] = _make(technique, paths[OURS], data, config, folder)
        except UserError as error:
            log.warning("%s is left out: %s", technique, error)
    models = {name: load(path, material.device) for name, path in paths.items() if name != HUGGING_FACE}
    models[HUGGING_FACE] = replace(original, model=_plain(paths[HUGGING_FACE], material.device))

    batch_size = config.data.batch_size
    rows = corpora.made_up(data, max(config.rows, batch_size), config.seed, WORDS)
    texts = [text for text, _ in rows]
    singles, batches = spread_batches(texts, 1, SINGLE_TEXTS), spread_batches(texts, batch_size, BATCHES)
    for model in models.values():
        time_batches({"": model}, [*singles, *batches])  # kernels are made for each length when it is first met
    alone, together = (
        in_turns(title, {name: partial(_median_ms, model, work) for name, model in models.items()}, config.rounds)
        for title, work in (("compress, one text", singles), (f"compress, {batch_size} texts", batches))
    )
    sizes_mb = {name: _megabytes(path) for name, path in paths.items()}
    sides = {
        name: CompressedSide(
            label=_LABELS.get(name, f"this project, {name}"),
            device=str(models[name].model.device),
            size_mb=sizes_mb[name],
            size_ratio=sizes_mb[name] / sizes_mb[OURS],
            single_ms=Spread.of(alone[name]),
            speedup_batch_1=_ratio(alone[HUGGING_FACE], alone[name]),
            speedup=_ratio(together[HUGGING_FACE], together[name]),
        )
        for name in (HUGGING_FACE, *models)
    }
    encoder = TextEncoder(original.tokenizer, original.normalization, original.max_length)
    return CompressionSpeed(tokens=mean(map(len, encoder.encode(texts))), sides=sides)


def _make(technique: str, weights: Path, data: LabelledTexts, config: BenchmarkConfig, folder: Path) -> Path:
    """Do the technique's steps, except distillation, which changes neither size nor speed.

    Raises:
        UserError: A step cannot be done with this model or on this machine.
    """
    composed = compose_config("compress", [f"technique={technique}"])
    composed.data.train = data.path
    composed.data.text_column, composed.data.label_column = config.data.text_column, config.data.label_column
    chain = resolve(composed, CompressConfig)
    original = load(weights)
    chains = Chains(original, data, chain, folder)
    chains.check(chain)
    path = folder / f"{technique}{chain.steps[-1].suffix}"
    save(chains.apply(chain, load(weights), leave_out="distill"), path)
    return path


def _plain(folder: Path, device: torch.device) -> PreTrainedModel:
    with quiet_transformers():
        model: PreTrainedModel = AutoModelForSequenceClassification.from_pretrained(folder, trust_remote_code=False)
    return model.to(device).eval()  # type: ignore[arg-type, no-any-return, no-untyped-call]


def _median_ms(model: Predictor, batches: list[list[str]]) -> float:
    return median_ms(time_batches({"": model}, batches)[""])


def _megabytes(path: Path) -> float:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files) / 1e6


def _ratio(slower: list[float], faster: list[float]) -> Spread:
    return Spread.of([ms / other for ms, other in zip(slower, faster, strict=True)])
