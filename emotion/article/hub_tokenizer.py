"""Give a tokenizer's files the settings with which transformers encodes texts as the predictor does."""

import json
from typing import Any

from tokenizers import Regex, Tokenizer, normalizers
from transformers import PreTrainedTokenizerBase

from emotion.errors import UserError
from emotion.models import Predictor

_CARDIFF = (("(?<![^ ])@[^ ]+", "@user"), ("(?<![^ ])http[^ ]*", "http"))
"""What :func:`emotion.data.normalize_cardiff` does to a piece between spaces, as patterns and their replacements."""
_REWRITTEN = ("vocab.json", "merges.txt", "vocab.txt", "special_tokens_map.json", "added_tokens.json")
"""What ``tokenizer.json`` says too; next to it, they could undo its settings."""

_PATHS = ("name_or_path", "special_tokens_map_file")
"""Settings in which earlier versions of transformers noted where the tokenizer lay; nothing reads them."""


def hub_tokenizer_files(predictor: Predictor) -> dict[str, bytes]:
    """Return the files of a folder from which ``AutoTokenizer`` restores the predictor's tokenizer.

    The original files are kept as they are, since saving a loaded tokenizer loses merges of some; only
    ``tokenizer_config.json`` gets the settings that a :class:`Predictor` holds apart. The normalisation ``cardiff``,
    for which transformers has no setting, becomes a part of ``tokenizer.json``.

    Raises:
        UserError: The normalisation is ``cardiff``, and the tokenizer, one in Python, cannot hold it.
    """
    files = dict(predictor.tokenizer_files)
    settings: dict[str, Any] = json.loads(files.get("tokenizer_config.json", b"{}"))
    if predictor.normalization == "cardiff":
        files = {name: data for name, data in files.items() if name not in _REWRITTEN}
        files["tokenizer.json"] = json.dumps(_with_cardiff(predictor.tokenizer), ensure_ascii=False).encode()
        settings.pop("added_tokens_decoder", None)
        # The architecture's own class would build another tokenizer from the vocabulary, without the normaliser.
        settings |= predictor.tokenizer.special_tokens_map | {"tokenizer_class": "PreTrainedTokenizerFast"}
    elif predictor.normalization == "bertweet":
        settings["normalization"] = True
    for path in _PATHS:
        settings.pop(path, None)
    settings |= {
        "model_max_length": predictor.max_length,
        "model_input_names": ["input_ids", "attention_mask"],  # the inputs of the predictor's model
        "padding_side": "right",
    }
    files["tokenizer_config.json"] = json.dumps(settings, ensure_ascii=False, indent=2).encode()
    return files


def _with_cardiff(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """Return the content of ``tokenizer.json`` with the normalisation before all else."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise UserError(
            f"weights: must have a tokenizer with a tokenizer.json, which can hold the normalization cardiff, found a"
            f" {type(tokenizer).__name__}"
        )
    copy = Tokenizer.from_str(backend.to_str())
    copy.no_truncation()
    copy.no_padding()
    own = copy.normalizer
    replacements = [normalizers.Replace(Regex(pattern), content) for pattern, content in _CARDIFF]
    copy.normalizer = normalizers.Sequence([*replacements, *([] if own is None else [own])])
    content: dict[str, Any] = json.loads(copy.to_str())
    if own is None:
        # Look for special tokens after the normalisation, as the predictor does: "@you</s>" is one piece.
        for token in content["added_tokens"]:
            token["normalized"] = True
    return content
