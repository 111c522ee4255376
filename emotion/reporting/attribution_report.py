"""Write an explanation's files: ``attributions.json`` and ``explanation.png``."""

from pathlib import Path

from emotion.files import atomic, marked, require_ours, require_unchanged, require_writable
from emotion.prediction import Explanation
from emotion.reporting.attribution_plots import attribution_figure
from emotion.reporting.attribution_schema import as_attributions
from emotion.reporting.figures import is_our_figure, save_figure

ATTRIBUTIONS_NAME, PICTURE_NAME = "attributions.json", "explanation.png"


def require_explanation_folder(folder: Path) -> None:
    """Make the folder, and check that :func:`write_explanation` may write there.

    Raises:
        UserError: It cannot be written, or holds another's file of one of the names.
    """
    require_unchanged(folder / ATTRIBUTIONS_NAME, "output")
    require_ours(folder / PICTURE_NAME, is_our_figure, "output")
    require_writable(folder, "output")


def write_explanation(explanation: Explanation, folder: Path) -> None:
    """Write both files, atomically. Raises the same errors as :func:`require_explanation_folder`."""
    require_explanation_folder(folder)
    content = as_attributions(explanation).model_dump_json(indent=2)
    with marked(folder / ATTRIBUTIONS_NAME, "output") as temporary:
        temporary.write_text(content + "\n", encoding="utf-8")
    with atomic(folder / PICTURE_NAME) as temporary:
        save_figure(attribution_figure(explanation), temporary)
