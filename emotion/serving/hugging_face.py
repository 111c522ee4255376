"""The form of requests and answers that Hugging Face's endpoints and text-embeddings-inference have."""

from operator import itemgetter
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from emotion.labels import LabelSet
from emotion.serving.batching import Answer
from emotion.serving.requests import RequestError, reason_of


class Parameters(BaseModel):
    """How Hugging Face's clients ask for other scores."""

    model_config = ConfigDict(extra="forbid")

    top_k: Annotated[int, Field(ge=1, strict=True)] | None = None
    """How many labels, the most probable first; None = all."""
    function_to_apply: Literal["softmax", "none"] = "softmax"
    """``softmax`` = calibrated probabilities; ``none`` = their logarithms, which are logits. Classes exclude each
    other, so there is no ``sigmoid``."""


class TextsRequest(BaseModel):
    """A request of Hugging Face's form."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"inputs": "i feel so happy today"},
                {"inputs": ["i feel so happy today", "he makes me angry"], "parameters": {"top_k": 2}},
            ]
        },
    )

    inputs: str | Annotated[list[str], Field(fail_fast=True)]
    parameters: Parameters | None = None


class Score(BaseModel):
    """A label and its score."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"label": "joy", "score": 0.9918}]})

    label: str
    score: float


def scores(answer: Answer, labels: LabelSet, parameters: Parameters | None) -> list[dict[str, Any]]:
    """Return the labels of an answer, the most probable first, in Hugging Face's form."""
    values = answer.probabilities
    if parameters is not None and parameters.function_to_apply == "none":
        values = np.log(np.maximum(values, np.finfo(np.float32).tiny))
    found = [{"label": name, "score": value} for name, value in zip(labels.names, values.tolist(), strict=True)]
    found.sort(key=itemgetter("score"), reverse=True)
    return found if parameters is None else found[: parameters.top_k]


def parse_texts(body: bytes) -> TextsRequest:
    """Parse a request of Hugging Face's form. Raises :class:`RequestError`."""
    try:
        return TextsRequest.model_validate_json(body)
    except ValidationError as error:
        raise RequestError(reason_of(error)) from error
