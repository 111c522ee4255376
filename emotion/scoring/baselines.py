"""Score simple classifiers on the rows of a fine-tuned model: what it does not beat was not worth its training."""

import logging
from collections.abc import Mapping
from time import perf_counter

import numpy as np

from emotion.data import LabelledTexts
from emotion.evaluation import mcnemar_p, paired_bootstrap, score
from emotion.models import fit_baselines
from emotion.reporting import BaselineRecord, ScoresRecord
from emotion.scoring.sets import score_fields

log = logging.getLogger(__name__)


def score_baselines(
    train: LabelledTexts, validation: LabelledTexts, sets: Mapping[str, LabelledTexts], predicted: np.ndarray
) -> dict[str, BaselineRecord]:
    """Train the baselines and score them on validation and on the evaluation sets.

    Args:
        train: What they learn from.
        validation: What they are compared on.
        sets: Further labelled CSVs, by name.
        predicted: (rows of validation,), int: the labels that the fine-tuned model predicts.
    """
    names, records = train.label_set.names, {}
    started = perf_counter()
    for name, baseline in fit_baselines(train.texts, train.labels, len(names)).items():
        seconds = perf_counter() - started
        own = baseline.predict_proba(validation.texts)
        labels = own.argmax(axis=1)
        records[name] = BaselineRecord(
            **score_fields(score(validation.labels, own, names)),
            train_seconds=seconds,
            difference=paired_bootstrap(validation.labels, predicted, labels, len(names)),
            mcnemar_p=mcnemar_p(validation.labels, predicted.tolist(), labels.tolist()),
            evaluations={
                each: ScoresRecord(**score_fields(score(data.labels, baseline.predict_proba(data.texts), names)))
                for each, data in sets.items()
            },
        )
    return records
