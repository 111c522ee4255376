"""Time warm predictions of the same rows, by us and by others, and from file to file."""

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerBase, pipeline

from emotion.benchmark.config import BenchmarkConfig
from emotion.benchmark.measurement import Measurement
from emotion.checkpoint import load
from emotion.config import compose_config, resolve
from emotion.data import normalize_cardiff, only_csv, open_csv
from emotion.models import load_tokenizer, pick_device
from emotion.prediction import PredictConfig, predict_csv

WARM_UP_TEXTS, SINGLE_TEXTS, QUICK_SINGLE_TEXTS = 64, 100, 10

Predict = Callable[[Sequence[str]], list[int]]


def emotion_prediction(config: BenchmarkConfig) -> Measurement:
    """Time this project's predictions with a checkpoint, ``.pt`` or ``.onnx``."""
    assert config.weights is not None
    predictor = load(config.weights, _device(config), config.fast)
    return _timed(config, lambda texts: predictor.predict(texts, config.data.batch_size))


def emotion_file(config: BenchmarkConfig) -> Measurement:
    """Time ``predict.py`` from a CSV to a CSV, loading included."""
    assert config.weights is not None
    with TemporaryDirectory() as folder:
        composed = compose_config("predict", [])
        composed.weights, composed.csv = config.weights, only_csv(config.data.train, "data.train")
        composed.output = f"{folder}/predictions.csv"
        composed.text_column, composed.label_column = config.data.text_column, config.data.label_column
        composed.batch_size, composed.accelerator = config.data.batch_size, config.trainer.accelerator
        composed.fast = config.fast
        settings = resolve(composed, PredictConfig)
        started = perf_counter()
        labels = predict_csv(settings).labels
        return Measurement(seconds=perf_counter() - started, rows=len(labels), labels=labels)


def hugging_face_pipeline(config: BenchmarkConfig, batch_size: int | None = None) -> Measurement:
    """Time ``transformers.pipeline`` in batches of ``batch_size``, or ours; ``weights`` is a Hugging Face folder."""
    assert config.weights is not None
    tokenizer: Any = _tokenizer(config)
    classify: Any = pipeline(
        "text-classification", config.weights, tokenizer=tokenizer, device=_device(config), trust_remote_code=False
    )
    label_of: dict[str, int] = classify.model.config.label2id
    batch_size = batch_size or config.data.batch_size
    options = {"batch_size": batch_size, "truncation": True, "max_length": config.data.max_length}
    return _timed(
        config, lambda texts: [label_of[answer["label"]] for answer in classify(_normalised(config, texts), **options)]
    )


def padded_loop(config: BenchmarkConfig) -> Measurement:
    """Time the loop of many tutorials: batches in file order, every row padded to the maximum length.

    ``weights`` is a Hugging Face folder.
    """
    assert config.weights is not None
    tokenizer = _tokenizer(config)
    model = (
        AutoModelForSequenceClassification.from_pretrained(config.weights, trust_remote_code=False)
        .to(_device(config))
        .eval()
    )

    @torch.no_grad()
    def predict(texts: Sequence[str]) -> list[int]:
        labels: list[int] = []
        texts = _normalised(config, texts)
        for start in range(0, len(texts), config.data.batch_size):
            batch = tokenizer(
                texts[start : start + config.data.batch_size],
                padding="max_length",
                truncation=True,
                max_length=config.data.max_length,
                return_tensors="pt",
            ).to(model.device)
            labels += model(**batch).logits.argmax(dim=-1).tolist()
        return labels

    return _timed(config, predict)


def _tokenizer(config: BenchmarkConfig) -> PreTrainedTokenizerBase:
    """Load the tokenizer with the normalisation that the model's authors pre-trained with."""
    return load_tokenizer(Path(str(config.weights)), config.model.normalization)


def _normalised(config: BenchmarkConfig, texts: Sequence[str]) -> list[str]:
    """Normalise texts as the authors' example does before the tokenizer."""
    return [normalize_cardiff(text) for text in texts] if config.model.normalization == "cardiff" else list(texts)


def _timed(config: BenchmarkConfig, predict: Predict) -> Measurement:
    texts = _texts(config)
    predict(texts[:WARM_UP_TEXTS])
    started = perf_counter()
    labels = predict(texts)
    seconds = perf_counter() - started
    singles = texts[: QUICK_SINGLE_TEXTS if config.quick else SINGLE_TEXTS]
    for text in singles:
        predict([text])  # kernels are made for each length when it is first met
    single_ms = [_milliseconds(predict, text) for text in singles]
    return Measurement(seconds=seconds, rows=len(labels), labels=labels, single_ms=single_ms)


def _milliseconds(predict: Predict, text: str) -> float:
    started = perf_counter()
    predict([text])
    return (perf_counter() - started) * 1000


def _texts(config: BenchmarkConfig) -> list[str]:
    file = open_csv(only_csv(config.data.train, "data.train"), (config.data.text_column,), "data.train")
    return [text for frame in file.chunks() for text in file.column(frame, config.data.text_column)]


def _device(config: BenchmarkConfig) -> torch.device:
    return pick_device(config.trainer.accelerator, "trainer.accelerator")
