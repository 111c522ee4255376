"""Serve the labelled CSVs as batches for training and validation."""

import logging
from collections.abc import Callable
from copy import copy
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader

from emotion.data.batching import LengthBucketBatchSampler
from emotion.data.config import DataConfig, named_csvs
from emotion.data.corpora import Mixing, corpus_weights, read_corpora
from emotion.data.labelled import LabelledTexts
from emotion.data.same_texts import without_conflicts
from emotion.data.text import TextEncoder, TokenIds
from emotion.errors import UserError
from emotion.labels import LabelSet

log = logging.getLogger(__name__)


class TokenisedRows:
    """Token ids, on the device that trains and makes batches of them, and the targets of each row.

    Args:
        rows: Token ids of each row.
        targets: Tensors by name, (rows, ...), with ``labels``, (rows,) int64. They may be large, so Lightning moves
            them batch by batch.
    """

    def __init__(self, rows: list[TokenIds], targets: dict[str, Tensor]) -> None:
        self.lengths = np.array([len(row) for row in rows])
        ends = np.cumsum(self.lengths)
        self._tokens = torch.from_numpy(np.concatenate(rows))
        self._starts, self._ends = torch.from_numpy(ends - self.lengths), torch.from_numpy(ends)
        self._targets = targets

    def __len__(self) -> int:
        return len(self.lengths)

    def to(self, device: torch.device) -> "TokenisedRows":
        """Return the same rows with their tokens on ``device``."""
        moved = copy(self)
        moved._tokens, moved._starts, moved._ends = (
            each.to(device) for each in (self._tokens, self._starts, self._ends)
        )
        return moved

    def batch(self, indices: list[int], encoder: TextEncoder) -> dict[str, Tensor]:
        """Return the rows ``indices``, padded as by :meth:`TextEncoder.pad`, and targets; do not wait for a GPU."""
        tokens = self._tokens
        # On other devices, a copy that is not waited for may read memory that is already freed.
        chosen = torch.tensor(indices).to(tokens.device, non_blocking=tokens.is_cuda)
        columns = torch.arange(encoder.padded_length(self.lengths[indices].max()), device=tokens.device)
        places = self._starts[chosen, None] + columns
        inside = places < self._ends[chosen, None]
        input_ids = tokens[places.clamp(max=len(tokens) - 1)].where(inside, encoder.tokenizer.pad_token_id)
        targets = {name: values[indices] for name, values in self._targets.items()}
        return {"input_ids": input_ids.long(), "attention_mask": inside.long(), **targets}


class EmotionDataModule(LightningDataModule):
    """Tokenises each text once, and serves length-bucketed batches.

    Call :meth:`tokenise` before fitting. It is a separate step, so that the CSVs are checked before a backbone is
    fetched. A batch holds ``input_ids`` and ``attention_mask``, each (rows, tokens), and ``labels`` (rows,), all int64;
    of several corpora also ``corpus`` (rows,), int64, and, if their rows count differently, ``weights`` (rows,),
    float32.

    Args:
        train: Texts to learn from.
        validation: Texts that choose the best epoch.
        batch_size: Rows a step on each device.
        seed: Seed of the batches' order.
        mixing: How much each of several corpora counts (:func:`emotion.data.corpora.corpus_weights`).
    """

    def __init__(
        self,
        train: LabelledTexts,
        validation: LabelledTexts,
        batch_size: int,
        seed: int,
        mixing: Mixing = "proportional",
    ) -> None:
        super().__init__()
        self.train, self.validation = train, validation
        self.batch_size, self.seed = batch_size, seed
        self.rows_of_epoch: Callable[[int], TokenisedRows] | None = None
        """Returns the rows to learn from in an epoch, if each has its own; all epochs have equally many."""
        self._weights = corpus_weights(train, mixing)
        self._train_sampler: LengthBucketBatchSampler | None = None
        self._resumed: dict[str, Any] = {}

    @classmethod
    def read(cls, config: DataConfig, label_set: LabelSet | None, seed: int) -> Self:
        """Read and check the CSVs; with ``config.drop_conflicts``, leave out training rows that contradict others.

        Args:
            config: Their paths and columns.
            label_set: The classes; None = those of the training CSV.
            seed: Seed of the batches' order.

        Raises:
            UserError: A CSV cannot be used (see :func:`emotion.data.labelled.read_labelled`), or no training row
                is left.
        """
        columns = config.text_column, config.label_column
        paths = {key: named_csvs(getattr(config, key), f"data.{key}") for key in ("train", "validation")}
        train = read_corpora(paths["train"], *columns, label_set, "data.train", config.map)
        validation = read_corpora(paths["validation"], *columns, train.label_set, "data.validation", config.map)
        if config.drop_conflicts:
            train = _consistent(train, validation)
        return cls(train, validation, config.batch_size, seed, config.mixing)

    def tokenise(self, encoder: TextEncoder) -> None:
        """Turn all texts into token ids, once for all epochs."""
        self.encoder = encoder
        self.train_rows = _tokenised(self.train, encoder, self._weights)
        self.validation_rows = _tokenised(self.validation, encoder)

    def state_dict(self) -> dict[str, Any]:
        """Return how far the training data of the current epoch is."""
        return self._train_sampler.state_dict() if self._train_sampler is not None else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on there, in a resumed run; its loader may have been made already."""
        self._resumed = state_dict
        if self._train_sampler is not None:
            self._train_sampler.load_state_dict(state_dict)

    def training_rows(self, batch: int) -> list[int]:
        """Return the indices in ``train`` of the rows that are in the current epoch's batch."""
        assert self._train_sampler is not None
        # Rows beyond the CSV's are made of others, to distil.
        return [row for row in self._train_sampler.rows_of(batch) if row < len(self.train.texts)]

    def train_dataloader(self) -> DataLoader[Any]:
        if self.rows_of_epoch is not None:
            assert self.trainer is not None
            self.train_rows = self.rows_of_epoch(self.trainer.current_epoch)
        self._train_sampler = self._sampler(self.train_rows, shuffle=True)
        if self._resumed:
            self._train_sampler.load_state_dict(self._resumed)
        return self._loader(self.train_rows, self._train_sampler)

    def changed_train_rows(self, texts: list[str]) -> TokenisedRows:
        """Return the training rows with other ``texts``."""
        return TokenisedRows(self.encoder.encode(texts), _targets(self.train, self._weights))

    def val_dataloader(self) -> DataLoader[Any]:
        return self._loader(self.validation_rows, self._sampler(self.validation_rows, shuffle=False))

    def _sampler(self, rows: TokenisedRows, shuffle: bool) -> LengthBucketBatchSampler:
        assert self.trainer is not None
        trainer = self.trainer
        if len(rows) < trainer.world_size:
            raise UserError(f"data: must have at least a row a device ({trainer.world_size}), found {len(rows)}")
        return LengthBucketBatchSampler(
            rows.lengths,
            self.batch_size,
            shuffle=shuffle,
            seed=self.seed,
            epoch=lambda: trainer.current_epoch,
            replica=trainer.global_rank,
            replicas=trainer.world_size,
        )

    def _loader(self, rows: TokenisedRows, sampler: LengthBucketBatchSampler) -> DataLoader[Any]:
        assert self.trainer is not None
        trainer = self.trainer
        batch = partial(rows.to(trainer.strategy.root_device).batch, encoder=self.encoder)
        return DataLoader(range(len(rows)), batch_sampler=sampler, collate_fn=batch)  # type: ignore[arg-type]


def _consistent(train: LabelledTexts, validation: LabelledTexts) -> LabelledTexts:
    """Leave out the training rows whose text occurs with another label, and log how many."""
    kept = without_conflicts(train, validation)
    dropped = len(train.texts) - len(kept.texts)
    if not kept.texts:
        raise UserError(
            f"data.drop_conflicts: must leave training rows, found {dropped} rows, all with a text that occurs with"
            " another label"
        )
    log.info("%s: %d rows are left out, as their text occurs with another label", train.path, dropped)
    return kept


def _tokenised(split: LabelledTexts, encoder: TextEncoder, weights: np.ndarray | None = None) -> TokenisedRows:
    rows, truncated = encoder.encode_and_mark(split.texts)
    if truncated.any():
        log.warning(
            "%s: %d texts have more than data.max_length=%d tokens and are cut there",
            split.path,
            truncated.sum(),
            encoder.max_length,
        )
    return TokenisedRows(rows, _targets(split, weights))


def _targets(split: LabelledTexts, weights: np.ndarray | None) -> dict[str, Tensor]:
    targets = {"labels": torch.tensor(split.labels)}
    if split.corpora:
        targets["corpus"] = torch.tensor(split.corpus_of)
    if weights is not None:
        targets["weights"] = torch.from_numpy(weights)
    return targets
