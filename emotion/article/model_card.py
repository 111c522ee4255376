"""Write a model card: what a checkpoint is, how good it is, and what is not known of it.

Source: Mitchell et al. 2019, "Model cards for model reporting", arXiv:1810.03993.
"""

from importlib.metadata import version

from emotion.article.card_data import base_model, card_data
from emotion.article.card_tables import (
    classes_table,
    compression_table,
    counts_table,
    data_table,
    environment_table,
    plain,
    results_table,
    settings_table,
)
from emotion.article.checkpoint_record import CheckpointRecord, file_name
from emotion.article.templating import rendered
from emotion.models import OnnxClassifier, Predictor
from emotion.reporting import DataFile, calibration_in_words


def model_card(predictor: Predictor, digest: str, exported: bool = False) -> str:
    """Write the card of a checkpoint, as the Hugging Face hub and ``huggingface_hub.ModelCard`` read it.

    It holds no texts, and of paths only the names of CSVs.

    Args:
        predictor: The loaded checkpoint; what its metadata does not say is left out.
        digest: SHA-256 of the checkpoint's file, in hex.
        exported: Whether the card goes into a folder of :func:`emotion.article.export`, or next to a checkpoint.

    Returns:
        Markdown after a block of YAML, ending in a line break.

    Raises:
        UserError: The metadata is not as training records it.
    """
    record = CheckpointRecord.of(predictor)
    files: dict[str, DataFile] = {}
    if record.data is not None:
        # "train", as no evaluation set may have that name.
        files = {"train": record.data.train, "validation": record.data.validation}
    files |= {name: each.data for name, each in record.evaluations.items()}
    names = predictor.labels.names
    intervals = {} if record.intervals is None else record.intervals.per_class_f1
    is_onnx = isinstance(predictor.model, OnnxClassifier)
    classes = {"validation": classes_table(record.per_class, intervals)} if record.per_class else {}
    for name, each in record.evaluations.items():
        found = {} if each.intervals is None else each.intervals.per_class_f1
        classes[plain(name)] = classes_table(each.per_class, found)
    return rendered(
        "model_card.md.j2",
        data=card_data(predictor, record, exported).to_yaml(line_break="\n"),
        name=plain(predictor.model_name),
        exported=exported,
        labels=[plain(name) for name in names],
        architecture=plain(predictor.model.config.model_type),
        base=plain(base_model(predictor) or ""),
        commit=plain(predictor.commit or ""),
        parameters=None if is_onnx else sum(each.numel() for each in predictor.torch_model.parameters()),
        max_length=predictor.max_length,
        normalization=predictor.normalization,
        temperature=predictor.temperature,
        precision=predictor.precision,
        scored=record.accuracy is not None and record.macro_f1 is not None,
        results=results_table(record),
        has_intervals=record.intervals is not None,
        classes=classes,
        unseen=[plain(name) for name, each in record.per_class.items() if each.support == 0],
        files=data_table(files) if files else "",
        counts=counts_table(names, files) if files else "",
        evaluations=[plain(name) for name in record.evaluations],
        best_epoch=record.best_epoch,
        settings=settings_table(record.config),
        calibration=_calibration(predictor, record),
        compression=None if record.compression is None else plain(record.compression.technique),
        compression_settings="" if record.compression is None else compression_table(record.compression),
        environment="" if record.environment is None else environment_table(record.environment),
        run=plain(file_name(record.run_id or "")),
        digest=digest,
        version=version("emotion-classifier"),
    )


def _calibration(predictor: Predictor, record: CheckpointRecord) -> str:
    """Say in words how well confidences fit; "" if that was not measured for this very model."""
    if record.calibration is None or record.compression is not None:
        return ""
    return calibration_in_words(plain(predictor.model_name), record.calibration)
