"""Check configs once, strictly, and name every problem by its key, its rule and what was found.

A schema states its bounds and choices in its types; the rule of an error message is derived from them. Where a union or
a list needs other words, :class:`Rule` states them.
"""

import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from emotion.errors import UserError

Schema = TypeVar("Schema", bound="Config")


class Config(BaseModel):
    """A part of a run's settings: immutable, with strict types, no unknown keys, no NaN or infinity."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=())

    def updated(self: Schema, **changes: Any) -> Schema:
        """Return a copy with other values, which are not checked again."""
        return self.model_copy(update=changes)


@dataclass(frozen=True, slots=True)
class Rule:
    """Annotates a type with the words that say what a value must be."""

    text: str


def _to_text(value: Any) -> Any:
    """Turn a number into the text that it was meant as: ``output_dir=2024`` names a folder."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


Text = Annotated[str, BeforeValidator(_to_text), Field(min_length=1), Rule("text that is not empty")]
Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
PositiveShare = Annotated[float, Field(gt=0, le=1)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Accelerator = Literal["auto", "cpu", "gpu", "mps"]


def validate(schema: type[Schema], content: Mapping[str, Any], prefix: str = "") -> Schema:
    """Check ``content`` and return it as an instance of ``schema``.

    Args:
        schema: Schema that it must follow.
        content: Plain containers and scalars.
        prefix: Put before each key in messages.

    Raises:
        UserError: Values are missing, unknown or against their rules; one line names all of them.
    """
    try:
        return schema.model_validate(content)
    except ValidationError as error:
        problems = dict.fromkeys(prefix + problem for problem in _problems(schema, content, error))
        raise UserError("; ".join(problems)) from error


def _problems(schema: type[Config], content: Mapping[str, Any], error: ValidationError) -> Iterator[str]:
    """Yield a line for each wrong key; the errors of a union's members give the same line."""
    for each in error.errors():
        if each["type"] == "value_error":  # raised by a validator of ours, whose message names the key
            yield str(each["ctx"]["error"])
            continue
        keys, field = _locate(schema, each["loc"])
        key = ".".join(keys)
        if each["type"] == "missing":
            yield f"{key}: a value is required, found none; give {key}=VALUE"
        elif field is None:
            yield f"{key}: must be a key of the config, found an unknown one"
        else:
            yield f"{key}: must be {rule_of(field)}, found {_value(content, keys)!r}"


def _locate(schema: type[Config], location: Sequence[int | str]) -> tuple[list[str], FieldInfo | None]:
    """Return the keys to the field that an error is about, and the field, or None if there is no such field."""
    keys: list[str] = []
    model: type[Config] | None = schema
    field: FieldInfo | None = None
    for part in location:
        if model is None:
            break
        keys.append(str(part))
        field = model.model_fields.get(str(part))
        if field is None:
            return keys, None
        model = _model_of(field.annotation)
    return keys, field


def _model_of(annotation: Any) -> type[Config] | None:
    for each in (annotation, *get_args(annotation)):
        if isinstance(each, type) and issubclass(each, Config):
            return each
    return None


def _value(content: Any, keys: Sequence[str]) -> Any:
    for key in keys:
        content = content.get(key) if isinstance(content, Mapping) else None
    return content


def rule_of(field: FieldInfo) -> str:
    """Say what a field's value must be, in the words of its :class:`Rule` or those of its type and bounds."""
    return _describe(field.annotation, field.metadata)


def _describe(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    for each in metadata:
        if isinstance(each, Rule):
            return each.text
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _describe(arguments[0], [*_flat(arguments[1:]), *metadata])
    if origin is Literal:
        return f"one of {', '.join(map(str, arguments))}"
    if origin in (Union, types.UnionType):
        return " or ".join(_describe(each, () if each is type(None) else metadata) for each in arguments)
    if origin in (list, tuple):
        return f"a list, each {_describe(arguments[0])}"
    if origin is dict or (isinstance(annotation, type) and issubclass(annotation, Config)):
        return "a mapping"
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "text", type(None): "null"}
    return " ".join([names.get(annotation, str(annotation)), *filter(None, [_bounds(metadata)])])


def _flat(metadata: Sequence[Any]) -> Iterator[Any]:
    for each in metadata:
        if isinstance(each, FieldInfo):
            yield from each.metadata
        else:
            yield each


def _bounds(metadata: Sequence[Any]) -> str:
    signs = {Ge: (">=", "ge"), Gt: (">", "gt"), Le: ("<=", "le"), Lt: ("<", "lt")}
    found = [(*signs[type(each)], each) for each in metadata if type(each) in signs]
    return " and ".join(f"{sign} {getattr(each, name)}" for sign, name, each in found)
