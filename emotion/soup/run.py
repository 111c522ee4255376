"""Average the weights of several checkpoints: ``scripts/soup.py``.

Models that were fine-tuned from the same pre-trained weights lie close enough together that the mean of their weights
is a model too: no larger and no slower than one of them, and often better on text unlike that of the training.

Source: Wortsman et al. 2022, arXiv:2203.05482.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from emotion.checkpoint import is_checkpoint, load, save
from emotion.data import LabelledTexts, named_csvs, read_corpora
from emotion.errors import UserError
from emotion.evaluation import evaluate
from emotion.files import require_ours, require_writable, sha256
from emotion.isolation import isolated
from emotion.models import Predictor, pick_device
from emotion.reporting import EvaluationRecord, ScoresRecord, count_read
from emotion.scoring import calibrate_, read_sets, score_corpora, score_fields, score_rows, score_set
from emotion.soup.config import SoupConfig

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Soup:
    """A soup that was made."""

    output: Path
    members: dict[str, float]
    """Macro F1 on validation of each checkpoint, by its path, the best first; of several CSVs the mean of theirs."""
    chosen: tuple[str, ...]
    """The checkpoints whose weights were averaged."""
    macro_f1: float
    """The soup's, likewise."""
    scores: ScoresRecord
    """The soup's, on all validation rows."""
    evaluations: dict[str, EvaluationRecord]
    """The soup's, on each evaluation set, by name."""


@isolated()
def make_soup(config: SoupConfig) -> Soup:
    """Average the weights of ``config.weights``, and write a checkpoint with its own scores.

    Raises:
        UserError: A file cannot be used, the models differ, or a file that is not ours would be replaced.
    """
    output, device = Path(config.output), pick_device(config.accelerator)
    if any(Path(path).resolve() == output.resolve() for path in config.weights):
        raise UserError(f"output: must be another file than those of weights, found {output}")
    require_writable(output.parent, "output")
    require_ours(output, is_checkpoint, "output")
    models = {path: load(path, device, fast=False) for path in config.weights}
    first = models[config.weights[0]]
    for path, model in models.items():
        _require_like(first, model, path)
    data = config.data
    columns = data.text_column, data.label_column
    paths = named_csvs(data.validation, "data.validation")
    validation = read_corpora(paths, *columns, first.labels, "data.validation", data.map)
    sets = read_sets(data.evaluation_paths, *columns, first.labels, renamed=data.map)

    scored = {}
    for path, model in models.items():
        scored[path] = _selection_f1(model, validation)
        log.info("%s: macro F1 %.4f on validation", path, scored[path])
    members = dict(sorted(scored.items(), key=lambda item: -item[1]))
    states = {path: _state(models[path]) for path in members}
    best = models[next(iter(members))]
    chosen = list(members)
    if config.method == "greedy":
        chosen = _greedy(best, states, members, validation)
    _set_mean_(best, [states[path] for path in chosen])
    macro_f1 = _selection_f1(best, validation)
    best.temperature, best.familiarity = 1.0, None
    found = calibrate_(best, validation) if config.calibrate else best.predict_texts(validation.texts)
    scores = ScoresRecord(**score_fields(score_rows(best, validation, found)))
    evaluations = {}
    for name, each in sets.items():
        reads = count_read(output.parent, best.model_name, each.sha256, "soup")
        evaluations[name] = score_set(best, each, reads, familiar=found.distances).record
    corpora = score_corpora(best, validation, found)
    record = [{"file": Path(path).name, "sha256": sha256(Path(path)), "macro_f1": members[path]} for path in members]
    best.metadata = {
        **{name: value for name, value in best.metadata.items() if name in ("config", "data", "environment")},
        "calibrated_on": best.metadata.get("calibrated_on"),
        **scores.model_dump(),
        "corpora": {name: each.model_dump() for name, each in corpora.items()},
        "evaluations": {name: each.model_dump() for name, each in evaluations.items()},
        "soup": {"method": config.method, "members": record, "chosen": [Path(path).name for path in chosen]},
    }
    save(best, output)
    return Soup(output, members, tuple(chosen), macro_f1, scores, evaluations)


def _require_like(first: Predictor, other: Predictor, path: str) -> None:
    """Refuse a model whose weights cannot be averaged with those of the first."""
    if other.precision != "float32" or "compression" in other.metadata:
        raise UserError(f"weights: must be fine-tuned FP32 checkpoints, found {path}, which was compressed")
    for what, mine, its in (
        ("backbone", first.model_id, other.model_id),
        ("classes", first.labels.names, other.labels.names),
        ("tokenizer", first.tokenizer_files, other.tokenizer_files),
        ("max_length", first.max_length, other.max_length),
        ("normalization", first.normalization, other.normalization),
    ):
        if mine != its:
            raise UserError(f"weights: must be checkpoints of the same {what}, found another one in {path}")
    shapes = [{name: tensor.shape for name, tensor in _state(each).items()} for each in (first, other)]
    if shapes[0] != shapes[1]:
        raise UserError(f"weights: must be checkpoints of the same tensors, found others in {path}")


def _greedy(
    model: Predictor, states: Mapping[str, dict[str, Tensor]], members: Mapping[str, float], data: LabelledTexts
) -> list[str]:
    """Return the members that do not lower the macro F1 of those before them, the best first."""
    (chosen, *rest), best = [*members], max(members.values())
    kept = [chosen]
    for path in rest:
        _set_mean_(model, [states[each] for each in (*kept, path)])
        macro_f1 = _selection_f1(model, data)
        log.info("with %s: macro F1 %.4f; %s", path, macro_f1, "kept" if macro_f1 >= best else "left out")
        if macro_f1 >= best:
            kept, best = [*kept, path], macro_f1
    return kept


def _selection_f1(model: Predictor, data: LabelledTexts) -> float:
    """Return the macro F1 that chooses: on validation, of several CSVs the mean of theirs."""
    predicted = dict(zip(range(len(data.texts)), model.predict(data.texts), strict=True))
    parts = [range(len(data.texts))]
    if data.corpora:
        places = range(len(data.corpora))
        parts = [[row for row, corpus in enumerate(data.corpus_of) if corpus == place] for place in places]  # type: ignore[misc]
    names = data.label_set.names
    return fmean(
        evaluate([data.labels[row] for row in part], [predicted[row] for row in part], names).macro_f1 for part in parts
    )


def _state(model: Predictor) -> dict[str, Tensor]:
    state: dict[str, Any] = model.torch_model.state_dict()
    return {name: tensor.detach().clone() for name, tensor in state.items()}


def _set_mean_(model: Predictor, states: list[dict[str, Tensor]]) -> None:
    """Give ``model`` the mean of the weights; tensors of whole numbers, such as positions, are the first's."""
    mean = {
        name: torch.stack([each[name] for each in states]).mean(dim=0) if tensor.is_floating_point() else tensor
        for name, tensor in states[0].items()
    }
    model.torch_model.load_state_dict(mean)
