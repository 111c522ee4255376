"""Find the model to compress and the data to measure it on: as given, or as the training run recorded."""

import logging
from pathlib import Path
from typing import Any

import torch

from emotion.checkpoint import load
from emotion.compression.config import CompressConfig, CompressDataConfig
from emotion.data import LabelledTexts, named_csvs, read_corpora
from emotion.errors import UserError
from emotion.files import sha256
from emotion.models import Predictor
from emotion.reporting import REPORT_NAME, read_report

log = logging.getLogger(__name__)

DEFAULT_OUTPUT_DIR = "outputs"


def find_weights(config: CompressConfig) -> Path:
    """Return the path of ``config.weights``, or of the report's best model.

    Raises:
        UserError: No weights are given, and there is no report of a training.
    """
    if config.weights is not None:
        return Path(config.weights)
    folder = Path(config.output_dir or DEFAULT_OUTPUT_DIR)
    report = read_report(folder)
    if report.best_model is None:
        raise UserError(
            f"weights: must be given where there is no report of a training, found no {folder / REPORT_NAME}"
        )
    entry = report.models[report.best_model]
    log.info("compressing %s, the best of %s (macro F1 %.4f)", entry.checkpoint, folder / REPORT_NAME, entry.macro_f1)
    return folder / entry.checkpoint


def load_original(path: Path, device: torch.device, fast: bool = True) -> Predictor:
    """Load the fine-tuned FP32 model.

    Raises:
        UserError: The file is no FP32 checkpoint or was compressed before.
    """
    original = load(path, device, fast)
    if original.precision != "float32":
        raise UserError(f"weights: must be a fine-tuned FP32 checkpoint, found {path} in {original.precision}")
    if (compression := original.metadata.get("compression")) is not None:
        made = f"made by technique {compression['technique']!r}"
        raise UserError(f"weights: must be a fine-tuned FP32 checkpoint, found {path}, {made}; give the original")
    return original


def read_data(original: Predictor, split: str, config: CompressDataConfig) -> LabelledTexts:
    """Read the CSVs that are given for ``split`` (``train`` or ``validation``), or those that the checkpoint recorded.

    Raises:
        UserError: None is given and a recorded one is gone or has changed; or a CSV cannot be used.
    """
    key = f"data.{split}"
    recorded = original.metadata.get("config", {}).get("data", {})
    renamed = config.map if config.map is not None else recorded.get("map")
    given = getattr(config, split)
    if given is not None:
        columns = config.text_column, config.label_column
        return read_corpora(named_csvs(given, key), *columns, original.labels, key, renamed)
    paths = _recorded_paths(original.metadata.get("data", {}).get(split), key)
    columns = recorded.get("text_column", config.text_column), recorded.get("label_column", config.label_column)
    return read_corpora(paths, *columns, original.labels, key, renamed)


def _recorded_paths(file: dict[str, Any] | None, key: str) -> dict[str, str]:
    """Return the paths of a record's CSVs by name, if they still are what they were. Raises :class:`UserError`."""
    if file is None:
        raise UserError(f"{key}: must be given, as the checkpoint records none; give {key}=FILE")
    files = file.get("corpora") or {Path(file["path"]).stem: file}
    for each in files.values():
        path = Path(each["path"])
        if not path.is_file() or sha256(path) != each["sha256"]:
            change = "changed" if path.is_file() else "gone"
            raise UserError(f"{key}: must be given, as the recorded {path} is {change}; give {key}=FILE")
    return {name: each["path"] for name, each in files.items()}
