"""Training on several CSVs, on a tiny backbone."""

from pathlib import Path

import pytest
import torch
from sklearn.metrics import f1_score
from torch import nn

from emotion import checkpoint
from emotion.article import Material
from emotion.compression import CompressConfig
from emotion.compression.sources import read_data
from emotion.config import compose_config, resolve
from emotion.reporting import TrainingReport, read_rows, seed_summaries
from emotion.training import EmotionClassifier, TrainConfig, train
from support.files import sample_rows, write_csv
from support.predictors import untrained


@pytest.fixture(scope="module")
def trained(backbones: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TrainingReport]:
    """A short training on two CSVs, chosen on two others, of which one calls joy happiness."""
    folder = tmp_path_factory.mktemp("corpora")
    rows = sample_rows("validation", 60)
    renamed = [(text, "happiness" if label == 1 else label) for text, label in sample_rows("train", 90)[60:]]
    write_csv(folder / "a.csv", sample_rows("train", 60))
    write_csv(folder / "b.csv", renamed)
    write_csv(folder / "home.csv", rows[:40])
    write_csv(folder / "away.csv", rows[40:])
    composed = compose_config("train", ["model=minilm", "data=csv", "trainer.max_epochs=3", "data.mixing=equal"])
    composed.model.backbone, composed.model.learning_rate = str(backbones["minilm"]), 0.003
    composed.output_dir, composed.trainer.enable_progress_bar = str(folder / "out"), False
    composed.data.train = [str(folder / "a.csv"), str(folder / "b.csv")]
    composed.data.validation = {name: str(folder / f"{name}.csv") for name in ("home", "away")}
    composed.data.map = {"happiness": "joy"}
    composed.data.extra = {"joyful": str(folder / "b.csv")}
    report = train(resolve(composed, TrainConfig), folder / "run")
    assert report is not None
    return folder, report


def test_each_validation_csv_is_scored_and_their_mean_chooses(trained: tuple[Path, TrainingReport]) -> None:
    folder, report = trained
    entry = report.models["MiniLM"]
    rows = read_rows(folder / "out" / "predictions" / "MiniLM_validation.csv")
    predicted = rows.probabilities.argmax(axis=1)
    parts = {"home": slice(0, 40), "away": slice(40, 60)}
    for name, part in parts.items():
        labels = sorted({*rows.labels[part], *predicted[part]})
        theirs = f1_score(rows.labels[part], predicted[part], labels=labels, average="macro")
        assert entry.corpora[name].macro_f1 == pytest.approx(theirs)
    assert entry.selection_f1 == pytest.approx(sum(each.macro_f1 for each in entry.corpora.values()) / 2)
    best = max(entry.history, key=lambda record: record.val_macro_f1)
    assert (best.epoch, best.val_macro_f1) == (entry.best_epoch, pytest.approx(entry.selection_f1, abs=1e-6))
    assert report.runs[0].selection_f1 == entry.selection_f1
    (summary,) = seed_summaries(report)
    assert summary.selection.mean == entry.selection_f1
    assert {name: summary.scores[f"validation-{name}"]["macro_f1"].mean for name in parts} == {
        name: each.macro_f1 for name, each in entry.corpora.items()
    }
    assert {name: each.rows for name, each in entry.data.validation.corpora.items()} == {"home": 40, "away": 20}
    assert {name: each.rows for name, each in entry.data.train.corpora.items()} == {"a": 60, "b": 30}


def test_an_article_finds_the_texts_of_all_csvs(
    trained: tuple[Path, TrainingReport],
) -> None:
    folder, _ = trained
    material = Material.read(folder / "out")
    assert material.left_out == []
    rows = {"validation": sample_rows("validation", 60), "joyful": sample_rows("train", 90)[60:]}
    texts = {name: [text for text, _ in each] for name, each in rows.items()}
    assert {name: each.texts for name, each in material.best.scored.items()} == texts


def test_the_checkpoint_records_the_csvs(trained: tuple[Path, TrainingReport]) -> None:
    folder, _ = trained
    loaded = checkpoint.load(folder / "out" / "best_MiniLM.pt")
    assert set(loaded.metadata["corpora"]) == {"home", "away"}
    assert loaded.metadata["data"]["train"]["corpora"]["b"]["path"] == str(folder / "b.csv")


def test_a_compression_measures_on_the_same_csvs(trained: tuple[Path, TrainingReport]) -> None:
    folder, report = trained
    loaded = checkpoint.load(folder / "out" / "best_MiniLM.pt")
    config = resolve(compose_config("compress", ["technique=prune"]), CompressConfig).data
    for split, recorded in (("validation", report.models["MiniLM"].data.validation),
                            ("train", report.models["MiniLM"].data.train)):  # fmt: skip
        data = read_data(loaded, split, config)
        assert data.sha256 == recorded.sha256
        assert {name: len(part.texts) for name, part in data.parts().items()} == {
            name: each.rows for name, each in recorded.corpora.items()
        }
        assert data.label_counts() == recorded.label_counts


@pytest.mark.parametrize("class_weights", ["none", "balanced"])
def test_the_loss_is_the_weighted_mean(backbones: dict[str, Path], class_weights: str) -> None:
    composed = compose_config("train", ["model=minilm", "data=csv", "data.train=a.csv", "data.validation=b.csv"])
    composed.optimizer.class_weights = class_weights
    config = resolve(composed, TrainConfig).optimizer
    predictor = untrained("minilm", backbones["minilm"])
    counts = [5, 1, 2, 2, 2, 2]
    classifier = EmotionClassifier(predictor.torch_model, config, 1e-3, 0, counts)
    classifier.model.eval()
    ids = torch.tensor([[2, 7, 3], [2, 8, 3], [2, 9, 3]])
    labels, weights = torch.tensor([0, 1, 1]), torch.tensor([0.5, 2.0, 0.5])
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}
    with torch.no_grad():
        found = classifier.training_loss({**batch, "weights": weights})
        same = classifier.training_loss({**batch, "weights": torch.ones(3)})
        plain = classifier.training_loss(batch)
        logits = classifier(ids, batch["attention_mask"])
    of_class = classifier.loss.weight
    each = [nn.functional.cross_entropy(logits[[row]], labels[[row]]) for row in range(3)]
    counted = [1.0 if of_class is None else float(of_class[label]) for label in labels]
    expected = sum(float(w) * c * float(e) for w, c, e in zip(weights, counted, each, strict=True)) / sum(counted)
    assert float(found) == pytest.approx(expected, rel=1e-5)
    assert float(same) == pytest.approx(float(plain), rel=1e-6)
