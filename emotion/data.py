"""The labelled CSVs as batches for training and validation."""

import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from emotion.artifacts import sha256
from emotion.batching import LengthBucketBatchSampler
from emotion.csv_files import read_labelled
from emotion.errors import UserError
from emotion.labels import EMOTIONS
from emotion.schemas.train import DataConfig
from emotion.text import TextEncoder, TokenIds

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LabelledTexts:
    """A labelled CSV in memory."""

    path: str
    sha256: str
    texts: list[str]
    labels: list[int]

    @classmethod
    def read(cls, path: str, text_column: str, label_column: str, key: str) -> "LabelledTexts":
        """Read and check a CSV; ``key`` names the config key in errors. Raises :class:`UserError`."""
        texts, labels = read_labelled(path, text_column, label_column, key)
        empty = [row for row, text in enumerate(texts, start=2) if not text.strip()]
        if empty:
            log.warning(
                "%s: %d rows have no text, the first is row %d (the header is row 1)", path, len(empty), empty[0]
            )
        return cls(path, sha256(Path(path)), texts, labels)

    def label_counts(self) -> dict[str, int]:
        """Rows of each emotion."""
        counts = np.bincount(self.labels, minlength=len(EMOTIONS))
        return {emotion: int(count) for emotion, count in zip(EMOTIONS, counts, strict=True)}


class _TokenisedRows(Dataset[tuple[TokenIds, int]]):
    def __init__(self, rows: list[TokenIds], labels: list[int]) -> None:
        self.rows, self.labels = rows, labels
        self.lengths = np.array([len(row) for row in rows])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[TokenIds, int]:
        return self.rows[index], self.labels[index]


def _collate(samples: list[tuple[TokenIds, int]], encoder: TextEncoder) -> dict[str, Tensor]:
    rows, labels = zip(*samples, strict=True)
    return {**encoder.pad(rows), "labels": torch.tensor(labels)}


class EmotionDataModule(LightningDataModule):
    """Reads and checks both CSVs when made, tokenises each text once, and serves length-bucketed batches.

    Call :meth:`tokenise` before fitting; the CSVs are checked before a backbone is fetched that knows how.
    A batch holds ``input_ids`` and ``attention_mask``, each (rows, tokens), and ``labels`` (rows,), all int64.

    Raises:
        UserError: A CSV cannot be used (see :func:`emotion.csv_files.read_labelled`).
    """

    def __init__(self, config: DataConfig, seed: int) -> None:
        super().__init__()
        self.config, self.seed = config, seed
        columns = config.text_column, config.label_column
        self.train = LabelledTexts.read(config.train, *columns, "data.train")
        self.validation = LabelledTexts.read(config.validation, *columns, "data.validation")

    def tokenise(self, encoder: TextEncoder) -> None:
        """Turn all texts into token ids, once for all epochs."""
        self.encoder = encoder
        self.train_rows = _TokenisedRows(encoder.encode(self.train.texts), self.train.labels)
        self.validation_rows = _TokenisedRows(encoder.encode(self.validation.texts), self.validation.labels)

    def train_dataloader(self) -> DataLoader[Any]:
        return self._loader(self.train_rows, shuffle=True)

    def val_dataloader(self) -> DataLoader[Any]:
        return self._loader(self.validation_rows, shuffle=False)

    def _loader(self, rows: _TokenisedRows, shuffle: bool) -> DataLoader[Any]:
        assert self.trainer is not None
        trainer = self.trainer
        if len(rows) < trainer.world_size:
            raise UserError(f"data: must have at least a row a device ({trainer.world_size}), found {len(rows)}")
        sampler = LengthBucketBatchSampler(
            rows.lengths,
            self.config.batch_size,
            shuffle=shuffle,
            seed=self.seed,
            epoch=lambda: trainer.current_epoch,
            replica=trainer.global_rank,
            replicas=trainer.world_size,
        )
        return DataLoader(
            rows,
            batch_sampler=sampler,
            collate_fn=partial(_collate, encoder=self.encoder),
            num_workers=self.config.num_workers,
            persistent_workers=self.config.num_workers > 0,
            pin_memory=trainer.strategy.root_device.type == "cuda",
        )
