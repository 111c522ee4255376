"""Read and write a report's JSON, checked against its schema both times."""

import json
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from emotion.errors import UserError
from emotion.files import atomic
from emotion.reporting.schema import Strict

Report = TypeVar("Report", bound=Strict)


def read_json(path: Path, schema: type[Report]) -> Report:
    """The report in ``path``.

    Raises:
        UserError: The file is no report of this schema and version.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: must be a JSON report of this program, found something else; move it away") from error
    expected = schema.model_fields["schema_version"].default
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != expected:
        raise UserError(f"{path}: must have schema_version {expected}, found {version!r}; move it away")
    try:
        return schema.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(f"{path}: {where}: {first['msg']}, found {str(first['input'])[:60]!r}; move it away") from error


def write_json(report: Strict, path: Path) -> None:
    """Check and write a report, atomically."""
    checked = type(report).model_validate(report.model_dump())
    with atomic(path) as temporary:
        temporary.write_text(checked.model_dump_json(indent=2) + "\n", encoding="utf-8")
