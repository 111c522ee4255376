"""Read report files, upgrade them from earlier versions, check them, and write them under a lock.

A schema's ``schema_version`` is its current version. Files of earlier versions are upgraded by
:meth:`~emotion.reporting.schema.Report.upgraded`; files of later ones are refused.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from filelock import FileLock
from pydantic import ValidationError

from emotion.errors import UserError
from emotion.files import atomic, link_or_copy
from emotion.reporting.schema import Report

AnyReport = TypeVar("AnyReport", bound=Report)


def read_json(path: Path, schema: type[AnyReport]) -> AnyReport:
    """Read a report of this version or an earlier one.

    Raises:
        UserError: The file is no report of this schema, or of a later version.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: must be a JSON report of this program, found something else; move it away") from error
    newest: int = schema.model_fields["schema_version"].default
    version = content.get("schema_version") if isinstance(content, dict) else None
    if type(version) is not int or not 1 <= version <= newest:
        raise UserError(f"{path}: must have schema_version 1 to {newest}, found {version!r}; move it away")
    try:
        return schema.model_validate(schema.upgraded(content))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(f"{path}: {where}: {first['msg']}, found {str(first['input'])[:60]!r}; move it away") from error


def write_json(report: Report, path: Path) -> None:
    """Check and write a report, atomically."""
    checked = type(report).model_validate(report.model_dump())
    with atomic(path) as temporary:
        temporary.write_text(checked.model_dump_json(indent=2) + "\n", encoding="utf-8")


def keep_aside(path: Path, name: str) -> None:
    """Keep the report in ``path``, which is about to be replaced, under the further name ``name`` in its folder."""
    with atomic(path.with_name(name)) as kept:
        link_or_copy(path, kept)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold ``folder`` for this process: no other process publishes there until the end of the block."""
    with FileLock(folder / ".emotion.lock"):
        yield
