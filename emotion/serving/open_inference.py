"""The Open Inference Protocol's second version: https://github.com/kserve/open-inference-protocol."""

from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from emotion.errors import quoted
from emotion.labels import LabelSet
from emotion.serving.batching import Answer
from emotion.serving.requests import RequestError, found_json, reason_of

_MOST_DIMENSIONS, _LARGEST_DIMENSION, _MOST_OUTPUTS = 8, 2**31, 32


class InferInput(BaseModel):
    """A tensor of the Open Inference Protocol."""

    name: str
    shape: Annotated[
        list[Annotated[int, Field(ge=0, le=_LARGEST_DIMENSION)]], Field(max_length=_MOST_DIMENSIONS, fail_fast=True)
    ]
    datatype: str
    parameters: dict[str, Any] = {}
    data: list[Any] | None = None


class InferOutput(BaseModel):
    """A tensor that a client of the Open Inference Protocol asks for."""

    name: str


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
    outputs: Annotated[list[InferOutput], Field(max_length=_MOST_OUTPUTS, fail_fast=True)] = []
    """Empty = all."""
    parameters: dict[str, Any] = {}

    @field_validator("inputs")
    @classmethod
    def _is_text(cls, inputs: list[InferInput]) -> list[InferInput]:
        if inputs[0].datatype != "BYTES":
            raise ValueError(f"must be one tensor of BYTES, the texts, found {quoted(inputs[0].datatype)}")
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
            texts = list(_flat(tensor.data))
        if len(texts) != prod(tensor.shape):
            raise RequestError(f"inputs.shape: must be that of the data, {len(texts)} texts, found {tensor.shape}")
        return found, texts

    def wanted(self, tensors: Mapping[str, Any]) -> list[str]:
        """Return the names of the tensors to answer with.

        Raises:
            RequestError: One is none of ``tensors``.
        """
        names = list(dict.fromkeys(output.name for output in self.outputs)) or list(tensors)
        if unknown := [name for name in names if name not in tensors]:
            raise RequestError(f"outputs: must be of {', '.join(tensors)}, found {quoted(unknown[0])}")
        return names


def _flat(data: list[Any]) -> Iterator[str]:
    """Yield the texts of a tensor, row by row."""
    for part in data:
        if isinstance(part, list):
            yield from _flat(part)
        elif isinstance(part, str):
            yield part
        else:
            raise RequestError(f"inputs.data: must hold texts alone, found {found_json(part)}")


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


def output_tensors(labels: LabelSet, *, tells_unfamiliar: bool) -> dict[str, tuple[str, list[int]]]:
    """Return datatype and shape of each tensor of an answer; -1 = as many as there are texts."""
    tensors = {
        "label": ("BYTES", [-1]),
        "index": ("INT64", [-1]),
        "probabilities": ("FP32", [-1, len(labels)]),
        "truncated": ("BOOL", [-1]),
    }
    return tensors | ({"unfamiliar": ("BOOL", [-1])} if tells_unfamiliar else {})


def infer_response(
    name: str, request: InferRequest, answers: Sequence[Answer], labels: LabelSet, wanted: Sequence[str]
) -> dict[str, Any]:
    """Return what is ``wanted`` of each text as tensors of the protocol.

    Args:
        name: The model's.
        request: What was asked.
        answers: One a text.
        labels: The model's.
        wanted: Names of tensors, of :func:`output_tensors`.
    """
    places = [int(each.probabilities.argmax()) for each in answers]
    tensors = output_tensors(labels, tells_unfamiliar=True)
    content: dict[str, list[Any]] = {
        "label": [labels.names[place] for place in places],
        "index": places,
        "probabilities": [float(value) for each in answers for value in each.probabilities],
        "truncated": [each.truncated for each in answers],
        "unfamiliar": [each.unfamiliar for each in answers],
    }
    outputs = [
        {"name": each, "datatype": tensors[each][0], "shape": _sized(tensors[each][1], answers), "data": content[each]}
        for each in wanted
    ]
    return {"model_name": name, "id": request.id or "", "outputs": outputs}


def _sized(shape: Sequence[int], answers: Sequence[Answer]) -> list[int]:
    return [len(answers), *shape[1:]]


def model_metadata(name: str, tensors: Mapping[str, tuple[str, list[int]]]) -> dict[str, Any]:
    """Describe the model as the protocol does, with its output ``tensors``."""
    return {
        "name": name,
        "platform": "emotion-classifier",
        "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1]}],
        "outputs": [{"name": each, "datatype": kind, "shape": shape} for each, (kind, shape) in tensors.items()],
    }
