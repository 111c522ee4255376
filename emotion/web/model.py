"""What the page must know of a model to answer as it does."""

import base64
import json
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from emotion.errors import UserError
from emotion.models import Predictor
from emotion.models.familiarity import SLOPE

NORMALIZATIONS = ("none", "cardiff")
"""Those that the page does itself."""


def description(predictor: Predictor) -> dict[str, Any]:
    """Describe for JSON what every page shows: the model's name, its labels and how many tokens it reads."""
    return {
        "name": predictor.model_name,
        "labels": list(predictor.labels.names),
        "maxLength": predictor.max_length,
    }


def offline_description(predictor: Predictor) -> dict[str, Any]:
    """Add what a page needs that answers itself: how texts become tokens, the temperature and the distances."""
    (specials,) = predictor.encoder.encode([""])
    middle = len(specials) // 2
    return description(predictor) | {
        "normalization": predictor.normalization,
        "before": specials[:middle].tolist(),
        "after": specials[middle:].tolist(),
        "padding": predictor.tokenizer.pad_token_id,
        "temperature": predictor.temperature,
        "familiarity": _familiarity(predictor),
    }


def _familiarity(predictor: Predictor) -> dict[str, Any] | None:
    found = predictor.familiarity
    if found is None:
        return None
    return {
        "whitening": _floats(found.whitening),
        "centres": _floats(found.centres),
        "features": len(found.whitening),
        "limit": found.limit,
        "slope": SLOPE,
    }


def _floats(values: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f4").tobytes()).decode()


def tokenizer_json(predictor: Predictor) -> dict[str, Any]:
    """Return the tokenizer in the form that Hugging Face's library for JavaScript reads.

    Raises:
        UserError: It has none (BERTweet's is written in Python), or its normalisation is not one of
            :data:`NORMALIZATIONS`.
    """
    tokenizer: PreTrainedTokenizerBase = predictor.tokenizer
    if not tokenizer.is_fast or predictor.normalization not in NORMALIZATIONS:
        raise UserError(
            f"weights: must have a tokenizer that exists in JavaScript, found {type(tokenizer).__name__}; serve the"
            " model instead (scripts/serve.py)"
        )
    content: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())  # type: ignore[attr-defined]
    return content | {"truncation": None, "padding": None}
