"""Remove tokens that the training texts do not use from the tokenizer and the embedding matrix."""

import copy
import logging
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from transformers import BertweetTokenizer, PretrainedConfig, PreTrainedTokenizerBase

from emotion.checkpoint import build_tokenizer
from emotion.compression.steps.bertweet_subset import subset_bertweet
from emotion.compression.steps.context import Context
from emotion.compression.steps.registry import TrimVocabularyConfig
from emotion.compression.steps.tokenizer_subset import Origins, subset_tokenizer
from emotion.data import TextEncoder, TokenIds, normalize_cardiff
from emotion.errors import UserError
from emotion.models import Predictor, position_limit, quiet_transformers, token_table

log = logging.getLogger(__name__)

_STEP = "technique.steps: trim_vocabulary"


def trim_vocabulary_(predictor: Predictor, config: TrimVocabularyConfig, texts: Sequence[str]) -> None:
    """Keep the tokens that ``texts`` use at least ``config.min_count`` times, and those that spell any other text.

    Special and added tokens stay too, and all stay in the order of their old ids. With ``min_count`` 1, the tokens of
    ``texts``, and so their predictions, do not change. Other words split into more and shorter tokens; no known one
    becomes unknown, except as a piece that is unknown in ``texts`` too.

    Raises:
        UserError: The tokenizer is not WordPiece, BPE or BERTweet's, or would not come out as promised; the
            predictor is unchanged.
    """
    tokenizer, model = predictor.tokenizer, predictor.torch_model
    old_ids: dict[str, int] = tokenizer.get_vocab()
    special_ids = {
        name: id_ for name, id_ in vars(model.config).items() if name.endswith("_token_id") and isinstance(id_, int)
    }
    rows = _encode(predictor, tokenizer, texts)
    kept_ids = _frequent(rows, config.min_count) | set(tokenizer.added_tokens_decoder) | set(special_ids.values())
    wanted = {token for token, id_ in old_ids.items() if id_ in kept_ids}
    if config.min_count == 1:
        wanted |= _hidden_pieces(predictor, texts, rows)

    origins, files = _subset(tokenizer, predictor.tokenizer_files, wanted)
    new_ids = {old_ids[token]: place for place, token in enumerate(origins) if token in old_ids}
    changes = {name: new_ids.get(old) for name, old in special_ids.items()} | {"vocab_size": len(origins)}
    model_config = _changed(copy.deepcopy(model.config), changes)
    _check_padding(model.config, model_config)
    trimmed = build_tokenizer(files, model_config, predictor.normalization)
    _check_vocabulary(tokenizer, trimmed, origins)
    if config.min_count == 1:
        _check_tokens(rows, _encode(predictor, trimmed, texts), new_ids)

    _replace_rows_(token_table(model), origins, model_config.pad_token_id)
    _changed(model.config, changes)
    predictor.tokenizer, predictor.tokenizer_files = trimmed, files
    log.info("vocabulary: %s of %s tokens kept", f"{len(new_ids):,}", f"{len(old_ids):,}")
    if len(origins) > len(new_ids):
        log.info("vocabulary: %s pieces of words became tokens", f"{len(origins) - len(new_ids):,}")


def _encode(predictor: Predictor, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[TokenIds]:
    return TextEncoder(tokenizer, predictor.normalization, predictor.max_length).encode(texts)


def _frequent(rows: list[TokenIds], min_count: int) -> set[int]:
    """Return the ids that occur in ``rows`` at least ``min_count`` times."""
    counts = np.bincount(np.concatenate([np.empty(0, np.int32), *rows]))
    return set(np.flatnonzero(counts >= min_count).tolist())


def _hidden_pieces(predictor: Predictor, texts: Sequence[str], rows: list[TokenIds]) -> set[str]:
    """Return the pieces that the ids of ``texts`` do not show: unknown ones, and those that were cut off.

    Without the rest of a cut word, its merges would change, and with them its tokens before the cut.
    """
    tokenizer = predictor.tokenizer
    normalize = normalize_cardiff if predictor.normalization == "cardiff" else str
    with quiet_transformers():  # transformers warns of texts longer than the model takes
        return {
            piece
            for text, row in zip(texts, rows, strict=True)
            if len(row) >= predictor.max_length or tokenizer.unk_token_id in row.tolist()
            for piece in tokenizer.tokenize(normalize(text))
        }


def _subset(
    tokenizer: PreTrainedTokenizerBase, files: dict[str, bytes], wanted: set[str]
) -> tuple[Origins, dict[str, bytes]]:
    if isinstance(tokenizer, BertweetTokenizer):
        return subset_bertweet(tokenizer, files, wanted)
    return subset_tokenizer(tokenizer, files, wanted)


def _check_padding(before: PretrainedConfig, after: PretrainedConfig) -> None:
    """Refuse to move the pad token's id, from which RoBERTa and its kin number positions."""
    lost = before.pad_token_id is not None and after.pad_token_id is None
    if lost or position_limit(after) != position_limit(before):
        raise UserError(
            f"{_STEP} must keep the pad token's id in a {before.model_type}, found {before.pad_token_id}"
            f" and then {after.pad_token_id}"
        )


def _check_vocabulary(before: PreTrainedTokenizerBase, after: PreTrainedTokenizerBase, origins: Origins) -> None:
    if type(after) is not type(before) or after.get_vocab() != {token: place for place, token in enumerate(origins)}:
        raise UserError(f"{_STEP} must have a tokenizer that its files describe, found {type(before).__name__} without")


def _check_tokens(before: list[TokenIds], after: list[TokenIds], new_ids: dict[int, int]) -> None:
    changed = sum(
        [new_ids[id_] for id_ in old.tolist()] != new.tolist() for old, new in zip(before, after, strict=True)
    )
    if changed:
        raise UserError(f"{_STEP} must leave the training texts' tokens as they are, found {changed:,} texts changed")


def _replace_rows_(embedding: nn.Module, origins: Origins, padding_idx: int | None) -> None:
    """Give an ``nn.Embedding`` the rows of ``origins``."""
    highest = max(max(ids) for ids in origins.values())
    if not isinstance(embedding, nn.Embedding) or highest >= embedding.num_embeddings:
        raise UserError(f"{_STEP} must find embeddings for {highest + 1:,} tokens, found {embedding}")
    weight = embedding.weight
    embedding.weight = nn.Parameter(_rows(weight.detach(), origins), requires_grad=weight.requires_grad)
    embedding.num_embeddings, embedding.padding_idx = len(origins), padding_idx


def _rows(weight: Tensor, origins: Origins) -> Tensor:
    """Return the rows of ``origins``, (tokens, hidden), from ``weight``, (old tokens, hidden)."""
    rows = weight[torch.tensor([ids[0] for ids in origins.values()], device=weight.device)]
    for place, ids in enumerate(origins.values()):
        if len(ids) > 1:
            rows[place] = weight[ids].mean(dim=0)
    return rows


def _changed(config: PretrainedConfig, changes: dict[str, int | None]) -> PretrainedConfig:
    for name, value in changes.items():
        setattr(config, name, value)
    return config


def apply(model: Predictor, settings: TrimVocabularyConfig, context: Context) -> Predictor:
    """Do the step, as :meth:`emotion.compression.steps.registry.Step.apply` says."""
    trim_vocabulary_(model, settings, context.train().texts)
    return model
