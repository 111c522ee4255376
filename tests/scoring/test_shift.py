"""What a training reports of sets unlike its validation rows."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from emotion.checkpoint import load
from emotion.data import LabelledTexts
from emotion.reporting import print_report
from emotion.reporting import read_report as read_training_report
from emotion.training import train
from support.files import write_csv
from support.training import config_for
from support.unfamiliar import made_of

pytestmark = pytest.mark.usefixtures("one_thread")


def test_sets_unlike_validation_are_told_and_their_rows_marked(
    backbones: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def written(name: str, letters: str, rows: int, seed: int) -> Path:
        texts = made_of(letters, rows, seed)
        return write_csv(tmp_path / f"{name}.csv", [(text, ord(text[0]) % 6) for text in texts])

    corpus = {"train": written("train", "abcdefgh", 60, 0), "validation": written("validation", "abcdefgh", 150, 1)}
    sets = {"alike": written("alike", "abcdefgh", 100, 2), "other": written("other", "stuvwxyz", 100, 3)}
    extra = f"data.extra={{alike: {sets['alike']}, other: {sets['other']}}}"
    train(config_for("minilm", backbones["minilm"], corpus, tmp_path / "out", extra), tmp_path / "run")
    report = read_training_report(tmp_path / "out")
    evaluations = report.models["MiniLM"].evaluations
    alike, other = evaluations["alike"].shift, evaluations["other"].shift
    assert alike is not None
    assert other is not None
    assert other.told_apart is not None
    assert alike.told_apart is not None
    assert alike.told_apart < 0.65 < other.told_apart
    assert alike.unfamiliar < other.unfamiliar

    model = load(tmp_path / "out" / "best_MiniLM.pt")
    texts = LabelledTexts.read(str(sets["other"]), "text", "label", model.labels, "csv")
    found = model.predict_texts(texts.texts)
    assert model.familiarity is not None
    assert found.distances is not None
    assert other.unfamiliar == pytest.approx(float(np.mean(found.distances > model.familiarity.limit)), abs=0.011)
    wrong = found.probabilities.argmax(dim=1).numpy() != np.array(texts.labels)
    assert other.errors is not None
    confidence = found.probabilities.max(dim=1).values.numpy()
    assert other.errors.auroc == pytest.approx(roc_auc_score(wrong, -confidence), abs=0.01)
    assert other.mean_confidence == pytest.approx(confidence.mean(), abs=1e-4)

    print_report(report, "MiniLM", tmp_path / "out")
    printed = capsys.readouterr().out
    assert "Text unlike that of validation" in printed
    assert f"{other.errors.by_temperature:.3f}" in printed
    assert "…" not in printed  # nothing is cut in a terminal of 80 columns
