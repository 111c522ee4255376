"""Write a page that classifies in the browser."""

from dataclasses import dataclass
from pathlib import Path

from emotion.checkpoint import load
from emotion.errors import UserError
from emotion.files import marked, require_unchanged, require_writable
from emotion.models import OnnxClassifier
from emotion.web.config import ExportPageConfig
from emotion.web.model import offline_description, tokenizer_json
from emotion.web.rendering import offline_page
from emotion.web.runtime import read_files


@dataclass(frozen=True, slots=True)
class ExportedPage:
    """A page that was written."""

    path: Path
    megabytes: float
    """Its size, in 1e6 bytes."""


def export_page(config: ExportPageConfig) -> ExportedPage:
    """Write one HTML file with the model, its tokenizer and ONNX Runtime for browsers.

    Raises:
        UserError: The model or the runtime cannot be used, or a file that is not ours would be replaced.
    """
    output = Path(config.output)
    if output.suffix not in (".html", ".htm"):
        raise UserError(f"output: must end in .html, found {output}")
    require_writable(output.parent, "output")
    require_unchanged(output, "output")
    predictor = load(config.weights, fast=False)
    if not isinstance(predictor.model, OnnxClassifier):
        raise UserError(
            f"weights: must be an .onnx checkpoint, found {config.weights}; technique=onnx_int8 or tiny makes one"
        )
    tokenizer = tokenizer_json(predictor)
    runtime = read_files(config.runtime)
    page = offline_page(offline_description(predictor), tokenizer, predictor.model.serialized, runtime)
    with marked(output, "output") as temporary:
        temporary.write_text(page, encoding="utf-8")
    return ExportedPage(output, output.stat().st_size / 1e6)
