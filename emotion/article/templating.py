"""Fill in the templates of this package."""

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def rendered(template: str, /, **values: Any) -> str:
    """Fill in a Markdown template, which escapes nothing by itself.

    Args:
        template: File in ``templates``.
        values: What it shows; a value that it names and that is missing is an error.
    """
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("emotion.article"),
        autoescape=False,  # Markdown: emotion.article.card_tables.plain escapes the values
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
