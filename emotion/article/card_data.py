"""Describe a model to the Hugging Face hub: the YAML at the beginning of a model card.

Source: huggingface.co/docs/hub/model-cards, "Model card metadata".
"""

from typing import Any

from huggingface_hub import EvalResult, ModelCardData
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from emotion.article.checkpoint_record import CheckpointRecord, file_name
from emotion.errors import printable
from emotion.evaluation import Interval
from emotion.models import Predictor
from emotion.reporting import VALIDATION, DataFile

_TASK = "text-classification"


def card_data(predictor: Predictor, record: CheckpointRecord, exported: bool) -> ModelCardData:
    """Describe a model by what is known: neither licence nor language is, nor a data set of the hub.

    A compressed model has no results here, as those of its checkpoint are the original's. A ``.pt`` has no library: the
    hub would tell people to load it with transformers, which cannot.
    """
    library = "transformers" if exported else None
    if predictor.precision == "onnx":
        library = "onnx"
    results = [] if record.compression is not None else eval_results(record)
    return ModelCardData(
        base_model=base_model(predictor),
        library_name=library,
        pipeline_tag=_TASK,
        tags=["emotion-classification", str(predictor.model.config.model_type)],
        metrics=["accuracy", "f1"] if results else None,
        model_name=predictor.model_name if results else None,
        eval_results=results or None,
    )


def base_model(predictor: Predictor) -> str | None:
    """Return the backbone's id on the hub; None if it is not certain to be one, such as a folder's path."""
    if predictor.commit is None:
        return None
    try:
        validate_repo_id(predictor.model_id)
    except HFValidationError:
        return None
    return predictor.model_id


def eval_results(record: CheckpointRecord) -> list[EvalResult]:
    """List the scores on validation and on each evaluation set.

    Results of one task, data set, config, split and revision are merged into one entry, which keeps only the first
    one's ``dataset_name`` and ``dataset_args`` (huggingface_hub issue 4975). So each set is a split of its own.
    """
    scored: list[tuple[str, DataFile | None, Any]] = []
    if record.accuracy is not None and record.macro_f1 is not None:
        scored.append((VALIDATION, record.data.validation if record.data is not None else None, record))
    scored += [(name, each.data, each) for name, each in record.evaluations.items()]
    results = []
    for name, data, scores in scored:
        file = {} if data is None else {"rows": data.rows, "sha256": data.sha256}
        found = scores.intervals
        f1 = _f1_args(None if found is None else found.macro_f1)
        accuracy = _interval_args(None if found is None else found.accuracy)
        for metric, label, value, arguments in (
            ("accuracy", "Accuracy", scores.accuracy, accuracy),
            ("f1", "Macro F1", scores.macro_f1, f1),
        ):
            results.append(
                EvalResult(
                    task_type=_TASK,
                    dataset_type="csv",
                    dataset_name=name if data is None else printable(file_name(data.path)),
                    dataset_split=name,
                    dataset_args=file or None,
                    metric_type=metric,
                    metric_name=label,
                    metric_value=value,
                    metric_args=arguments or None,
                )
            )
    return results


def _interval_args(interval: Interval | None) -> dict[str, Any]:
    return {} if interval is None else {"confidence_interval_95": [interval.low, interval.high]}


def _f1_args(interval: Interval | None) -> dict[str, Any]:
    return {"average": "macro", **_interval_args(interval)}
