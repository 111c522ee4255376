"""The sample corpus: its data card is true, and a model learns enough from it."""

import re
from collections import Counter
from pathlib import Path
from statistics import mean

import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from emotion.config import SAMPLE, compose_config, resolve
from emotion.training import TrainConfig, train
from support.files import sample_rows
from support.labels import EMOTION6

SPLITS = {"train": 600, "validation": 120, "test": 120}


def normal(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", " ", text.lower()).strip()


@pytest.mark.parametrize(("split", "at_least"), SPLITS.items())
def test_counts_are_those_of_the_data_card(split: str, at_least: int) -> None:
    counts = Counter(label for _, label in sample_rows(split))
    assert sum(counts.values()) >= at_least
    row = [f"{sum(counts.values()):,}", *(str(counts[index]) for index in range(len(EMOTION6.names)))]
    assert f"| `{split}.csv` | {' | '.join(row)} |" in (SAMPLE / "README.md").read_text(encoding="utf-8")
    order = sorted(counts, key=counts.__getitem__, reverse=True)
    assert [EMOTION6.names[index] for index in order] == ["joy", "sadness", "anger", "fear", "love", "surprise"]


def test_no_text_occurs_twice_and_lengths_are_in_range() -> None:
    texts = [text for split in SPLITS for text, _ in sample_rows(split)]
    assert len({normal(text) for text in texts}) == len(texts)
    assert all(3 <= len(text.split()) <= 60 for text in texts)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_minilm_reaches_85_percent_and_beats_a_linear_svm(tmp_path: Path) -> None:
    (texts, labels), (validation_texts, truth) = (
        zip(*sample_rows(split), strict=True) for split in ("train", "validation")
    )
    svm = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LinearSVC(class_weight="balanced"))
    baseline = accuracy_score(truth, svm.fit(texts, labels).predict(validation_texts))
    accuracies = []
    for seed in (1, 2, 3):
        overrides = [f"seed={seed}", f"output_dir={tmp_path}", "trainer.enable_progress_bar=false"]
        report = train(resolve(compose_config("train", overrides), TrainConfig), tmp_path / str(seed))
        assert report is not None
        accuracies.append(report.runs[-1].accuracy)
    assert mean(accuracies) >= 0.85
    assert mean(accuracies) > baseline
