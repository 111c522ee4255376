"""The forms of requests and answers: Hugging Face's, and the Open Inference Protocol's second version."""

import json
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from emotion.labels import LabelSet
from emotion.serving.batching import Answer


class RequestError(ValueError):
    """A request that cannot be answered, with the HTTP status that says so."""

    def __init__(self, reason: str, status: int = 422) -> None:
        super().__init__(reason)
        self.status = status


class Parameters(BaseModel):
    """How Hugging Face's clients ask for other scores."""

    model_config = ConfigDict(extra="forbid")

    top_k: Annotated[int, Field(ge=1)] | None = None
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

    inputs: str | list[str]
    parameters: Annotated[Parameters, Field(default_factory=Parameters)]


class Score(BaseModel):
    """A label and its score."""

    label: str
    score: float


def scores(answer: Answer, labels: LabelSet, parameters: Parameters) -> list[dict[str, Any]]:
    """Return the labels of an answer, the most probable first, in Hugging Face's form."""
    values = answer.probabilities
    order = np.argsort(-values, kind="stable")[: parameters.top_k]
    if parameters.function_to_apply == "none":
        values = np.log(np.maximum(values, np.finfo(np.float32).tiny))
    return [{"label": labels.names[place], "score": float(values[place])} for place in order]


class InferInput(BaseModel):
    """A tensor of the Open Inference Protocol."""

    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, Any] = {}
    data: list[Any] | None = None


class InferRequest(BaseModel):
    """A request of the Open Inference Protocol: one tensor of texts, ``BYTES``."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["i feel so happy today"]}]}
            ]
        }
    )

    id: str | None = None
    inputs: Annotated[list[InferInput], Field(min_length=1, max_length=1)]
    outputs: list[dict[str, Any]] = []
    parameters: dict[str, Any] = {}

    @field_validator("inputs")
    @classmethod
    def _is_text(cls, inputs: list[InferInput]) -> list[InferInput]:
        if inputs[0].datatype != "BYTES":
            raise ValueError(f"must be one tensor of BYTES, the texts, found {inputs[0].datatype}")
        return inputs

    @classmethod
    def parse(cls, body: bytes, json_bytes: int | None) -> tuple[Self, list[str]]:
        """Return the request and its texts, which may follow the JSON in binary form.

        Args:
            body: The request's body.
            json_bytes: How much of it is JSON, of the header ``Inference-Header-Content-Length``; None = all of it.

        Raises:
            RequestError: It is malformed.
        """
        try:
            found = cls.model_validate_json(body if json_bytes is None else body[:json_bytes])
        except ValidationError as error:
            raise RequestError(reason_of(error)) from error
        (tensor,) = found.inputs
        if tensor.data is None:
            texts = _binary_texts(body[len(body) if json_bytes is None else json_bytes :])
        else:
            texts = [text for text in _flat(tensor.data) if isinstance(text, str)]
            if len(texts) != len(_flat(tensor.data)):
                raise RequestError("inputs.data: must hold texts alone")
        if len(texts) != int(np.prod(tensor.shape, dtype=object)):
            raise RequestError(f"inputs.shape: must be that of the data, {len(texts)} texts, found {tensor.shape}")
        return found, texts


def _flat(data: list[Any]) -> list[Any]:
    return [each for part in data for each in (part if isinstance(part, list) else [part])]


def _binary_texts(data: bytes) -> list[str]:
    """Read texts that each follow their length in bytes, four bytes of it, the lowest first."""
    texts, place = [], 0
    while place < len(data):
        size = int.from_bytes(data[place : place + 4], "little")
        part = data[place + 4 : place + 4 + size]
        if len(part) < size:
            raise RequestError("inputs: must be whole in binary form, found less than the lengths say")
        try:
            texts.append(part.decode())
        except UnicodeDecodeError as error:
            raise RequestError("inputs: must be in UTF-8") from error
        place += 4 + size
    return texts


def infer_response(name: str, request: InferRequest, answers: list[Answer], labels: LabelSet) -> dict[str, Any]:
    """Return label, index, probabilities, and what else is known, of each text, as tensors of the protocol."""
    places = [int(each.probabilities.argmax()) for each in answers]
    tensors: dict[str, tuple[str, list[int], list[Any]]] = {
        "label": ("BYTES", [len(answers)], [labels.names[place] for place in places]),
        "index": ("INT64", [len(answers)], places),
        "probabilities": (
            "FP32",
            [len(answers), len(labels)],
            [float(value) for each in answers for value in each.probabilities],
        ),
        "truncated": ("BOOL", [len(answers)], [each.truncated for each in answers]),
    }
    if all(each.unfamiliar is not None for each in answers):
        tensors["unfamiliar"] = ("BOOL", [len(answers)], [each.unfamiliar for each in answers])
    wanted = [str(output.get("name")) for output in request.outputs] or list(tensors)
    if unknown := [each for each in wanted if each not in tensors]:
        raise RequestError(f"outputs: must be of {', '.join(tensors)}, found {unknown[0]}")
    outputs = [
        {"name": each, "datatype": tensors[each][0], "shape": tensors[each][1], "data": tensors[each][2]}
        for each in dict.fromkeys(wanted)
    ]
    return {"model_name": name, "id": request.id or "", "outputs": outputs}


def model_metadata(name: str, labels: LabelSet) -> dict[str, Any]:
    """Describe the model as the protocol does."""
    outputs = {"label": ("BYTES", [-1]), "index": ("INT64", [-1]), "probabilities": ("FP32", [-1, len(labels)])}
    return {
        "name": name,
        "versions": ["1"],
        "platform": "emotion-classifier",
        "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1]}],
        "outputs": [{"name": each, "datatype": kind, "shape": shape} for each, (kind, shape) in outputs.items()],
    }


def parse_texts(body: bytes) -> TextsRequest:
    """Parse a request of Hugging Face's form. Raises :class:`RequestError`."""
    try:
        return TextsRequest.model_validate_json(body)
    except ValidationError as error:
        raise RequestError(reason_of(error)) from error


def reason_of(error: ValidationError) -> str:
    """Say in one line what is wrong with a request, without its texts."""
    first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return f"body: must be JSON in UTF-8, found {first['ctx']['error']}"
    if first["loc"][:2] in (("inputs", "str"), ("inputs", "list[str]")):
        return "inputs: must be a text or a list of texts"
    return f"{'.'.join(map(str, first['loc'])) or 'body'}: {first['msg'][:1].lower()}{first['msg'][1:]}"


def check_texts(texts: list[str], most_texts: int, most_characters: int) -> None:
    """Refuse what no model should be asked.

    Raises:
        RequestError: There is no text, there are too many, or one is too long or no text at all.
    """
    if not texts:
        raise RequestError("inputs: must hold at least one text, found none")
    if len(texts) > most_texts:
        raise RequestError(f"inputs: must hold at most {most_texts:,} texts, found {len(texts):,}", 413)
    for place, text in enumerate(texts):
        if len(text) > most_characters:
            reason = f"inputs[{place}]: must have at most {most_characters:,} characters, found {len(text):,}"
            raise RequestError(reason, 413)
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise RequestError(f"inputs[{place}]: must be text in UTF-8, found half a surrogate pair") from error


def dumped(content: Any) -> bytes:
    """Return JSON in UTF-8, as short as it gets."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
