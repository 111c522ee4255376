"""Time one epoch of fine-tuning, by us and by others, with the same rows, updates, batch size and precision.

No side's time includes tokenising beforehand, loading or evaluation.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import torch
from lightning import LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import Callback
from torch.utils.data import DataLoader
from transformers import (
    DataCollatorWithPadding,
    TrainerCallback,
    TrainingArguments,
    default_data_collator,
    get_linear_schedule_with_warmup,
)
from transformers import Trainer as HuggingFaceTrainer

from emotion.benchmark.config import BenchmarkConfig
from emotion.benchmark.material import Material
from emotion.benchmark.measurement import Measurement
from emotion.data import EmotionDataModule
from emotion.models.fast import keep_freed_memory, padding_multiple
from emotion.training import EmotionClassifier, fit


def emotion_training(config: BenchmarkConfig) -> Measurement:
    """Time this project's training loop, with the allocator as its scripts set it."""
    keep_freed_memory()

    class Stopwatch(Callback):
        def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
            self.updates, self.rows, self.tokens = -trainer.global_step, 0, torch.tensor(0)
            self.started = perf_counter()

        def on_train_batch_end(
            self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
        ) -> None:
            self.rows += len(batch["labels"])
            self.tokens = self.tokens.to(pl_module.device) + batch["attention_mask"].sum()

        def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
            _synchronise()
            self.seconds = perf_counter() - self.started
            self.updates += trainer.global_step

    config = config.updated(trainer=config.trainer.updated(max_epochs=_epochs(config)))
    material = Material(config)
    train = material.texts
    few = replace(train, texts=train.texts[:32], labels=train.labels[:32])
    data = EmotionDataModule(train, few, config.data.batch_size, config.seed)
    data.tokenise(replace(material.encoder, pad_to_multiple_of=padding_multiple(config.compile, material.device)))
    seed_everything(config.seed, verbose=False)
    counts = train.counts()
    classifier = EmotionClassifier(
        material.model(), config.optimizer, config.model.learning_rate, config.seed, counts, config.compile, config.fast
    )
    stopwatch = Stopwatch()
    with TemporaryDirectory() as folder:
        fit(classifier, data, config, Path(folder), [stopwatch])
    return Measurement(
        seconds=stopwatch.seconds,
        rows=stopwatch.rows,
        tokens=int(stopwatch.tokens),
        updates=stopwatch.updates,
        peak_flops=_peak_flops(material.device, config.trainer.precision),
    )


def hugging_face_trainer(
    config: BenchmarkConfig, *, pad_to_max_length: bool = False, group_by_length: bool = False
) -> Measurement:
    """Time ``transformers.Trainer`` with its defaults, except for what the sides share."""

    class Stopwatch(TrainerCallback):
        seconds = 0.0

        def on_train_begin(self, *arguments: Any, **keywords: Any) -> None:
            self.started = perf_counter()

        def on_train_end(self, *arguments: Any, **keywords: Any) -> None:
            _synchronise()
            self.seconds = perf_counter() - self.started

    material = Material(config)
    tokenizer = material.encoder.tokenizer
    dataset = _tokenised(config, material, pad_to_max_length)
    collator = Counting(default_data_collator if pad_to_max_length else DataCollatorWithPadding(tokenizer))
    stopwatch = Stopwatch()
    with TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=config.data.batch_size,
            num_train_epochs=1,
            learning_rate=config.model.learning_rate,
            weight_decay=config.optimizer.weight_decay,
            warmup_steps=config.optimizer.warmup_fraction,
            max_grad_norm=config.trainer.gradient_clip_val or 0.0,
            train_sampling_strategy="group_by_length" if group_by_length else "random",
            use_cpu=material.device.type == "cpu",
            bf16=config.trainer.precision == "bf16-mixed",
            dataloader_pin_memory=material.device.type == "cuda",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            logging_strategy="no",
            seed=config.seed,
        )
        trainer = HuggingFaceTrainer(
            model=material.plain_model(),
            args=arguments,
            train_dataset=dataset,  # type: ignore[arg-type]
            data_collator=collator,
            processing_class=tokenizer,
            callbacks=[stopwatch],
        )
        for _ in range(_epochs(config)):
            collator.rows = collator.tokens = 0
            trainer.train()
    return Measurement(
        seconds=stopwatch.seconds, rows=collator.rows, tokens=collator.tokens, updates=trainer.state.global_step
    )


def plain_loop(config: BenchmarkConfig) -> Measurement:
    """Time the loop of many tutorials: every row padded to the maximum length."""
    material = Material(config)
    seed_everything(config.seed, verbose=False)
    model = material.plain_model().to(material.device).train()  # type: ignore[arg-type]
    collator = Counting(default_data_collator)
    loader: DataLoader[Any] = DataLoader(
        _tokenised(config, material, pad_to_max_length=True),  # type: ignore[arg-type]
        batch_size=config.data.batch_size,
        shuffle=True,
        collate_fn=collator,
    )
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=config.model.learning_rate, weight_decay=config.optimizer.weight_decay
    )
    warmup = round(len(loader) * config.optimizer.warmup_fraction)
    schedule = get_linear_schedule_with_warmup(optimizer, warmup, len(loader))  # type: ignore[no-untyped-call]
    enabled = config.trainer.precision == "bf16-mixed"
    for _ in range(_epochs(config)):
        collator.rows = collator.tokens = 0
        started = perf_counter()
        for batch in loader:
            inputs = {name: values.to(material.device) for name, values in batch.items()}
            with torch.autocast(material.device.type, torch.bfloat16, enabled=enabled):
                loss = model(**inputs).loss
            loss.backward()
            if config.trainer.gradient_clip_val is not None:
                torch.nn.utils.clip_grad_norm_(model.parameters(), config.trainer.gradient_clip_val)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        _synchronise()
        seconds = perf_counter() - started
    return Measurement(seconds=seconds, rows=collator.rows, tokens=collator.tokens, updates=len(loader))


class Counting:
    """A collator that counts the rows and tokens that pass through it."""

    def __init__(self, collate: Callable[[list[Any]], Any]) -> None:
        self.collate = collate
        self.rows = self.tokens = 0

    def __call__(self, samples: list[Any]) -> Any:
        batch = self.collate(samples)
        self.rows += len(batch["labels"])
        self.tokens += int(batch["attention_mask"].sum())
        return batch


def _epochs(config: BenchmarkConfig) -> int:
    """Return the number of epochs, of which every side's last is timed: the first one may compile."""
    return 2 if config.compile else 1


def _tokenised(config: BenchmarkConfig, material: Material, pad_to_max_length: bool) -> list[dict[str, Any]]:
    """Return rows as the Hugging Face examples hold them, with the same tokens as all sides."""
    tokenizer, length = material.encoder.tokenizer, config.data.max_length
    rows = []
    for ids, label in zip(material.encoder.encode(material.texts.texts), material.texts.labels, strict=True):
        missing = length - len(ids) if pad_to_max_length else 0
        rows.append(
            {
                "input_ids": ids.tolist() + [tokenizer.pad_token_id] * missing,
                "attention_mask": [1] * len(ids) + [0] * missing,
                "labels": label,
            }
        )
    return rows


def _peak_flops(device: torch.device, precision: str) -> float:
    """Measure the floating-point operations per second of a large matrix product, the best of ten."""
    size = 8192 if device.type == "cuda" else 2048
    dtype = torch.bfloat16 if precision == "bf16-mixed" else torch.float32
    matrix = torch.randn(size, size, device=device, dtype=dtype)
    seconds = []
    for _ in range(10):
        started = perf_counter()
        matrix @ matrix
        _synchronise()
        seconds.append(perf_counter() - started)
    return 2 * size**3 / min(seconds)


def _synchronise() -> None:
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()
