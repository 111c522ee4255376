"""Find ``conf/`` and the sample corpus: inside the installed package, or in the checkout."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
PROJECT = _PACKAGE.parent
"""The checkout or, for an installed package, the folder that holds it."""


def _find(installed: str, in_checkout: str) -> Path:
    folder = _PACKAGE / installed
    return folder if folder.is_dir() else PROJECT / in_checkout


CONF = _find("conf", "conf")
SAMPLE = _find("sample", "data/sample")
