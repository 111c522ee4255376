"""Changes of the training texts: what each does, that they repeat, and that labels and other texts stay."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from emotion.errors import UserError
from emotion.models import fit_svm
from emotion.training import AugmentationConfig, train
from emotion.training.augmentation import Augmentation
from support.training import config_for, read_report

TEXTS = [
    "i feel so happy about the new house",
    "i am feeling sad today",
    "they were angry with the noisy dog",
    "joy",
] * 10
LABELS = [1, 0, 3, 1] * 10
OFF = dict.fromkeys(AugmentationConfig.model_fields, 0.0)


def augmentation(texts: Sequence[str] = TEXTS, seed: int = 0, **shares: float) -> Augmentation:
    labels = [LABELS[place % len(LABELS)] for place in range(len(texts))]
    return Augmentation(AugmentationConfig(**{**OFF, **shares}), texts, labels, 6, seed)


@pytest.mark.parametrize("name", ["frame", "crop", "typos", "mention", "link", "emoji", "punctuation", "case"])
def test_a_change_meets_its_share_of_the_rows_anew_in_each_epoch(name: str) -> None:
    texts = ["i feel so happy about the new house today"] * 400
    made = augmentation(texts, **{name: 0.5})
    first, again, second = made.texts(0), made.texts(0), made.texts(1)
    assert first == again != second
    assert first != augmentation(texts, seed=1, **{name: 0.5}).texts(0)
    changed = sum(text != texts[0] for text in first)
    assert 120 < changed < 260
    assert made.texts(0) == first
    assert texts[0] == "i feel so happy about the new house today"


def test_nothing_is_changed_where_no_change_is_asked_for() -> None:
    assert augmentation().texts(3) == TEXTS
    assert not AugmentationConfig(**OFF).is_on


def test_the_frame_goes_and_the_rest_stays() -> None:
    for text in augmentation(["i feel that the house is happy"] * 100, frame=1.0).texts(0):
        assert text.endswith("the house is happy")
        assert "feel" not in text
    assert augmentation(["i feel ..."] * 40, frame=1.0).texts(0).count("i feel ...") > 0  # not "..." alone
    assert "..." not in augmentation(["i feel ..."] * 40, frame=1.0).texts(0)
    assert augmentation(["nobody says it here"] * 5, frame=1.0).texts(0) == ["nobody says it here"] * 5


def test_a_crop_keeps_the_word_that_speaks_most_for_the_label() -> None:
    svm = fit_svm(TEXTS, LABELS, 6)
    assert svm is not None
    weights = svm.word_weights()
    for text, label, cropped in zip(TEXTS, LABELS, augmentation(crop=1.0).texts(0), strict=True):
        assert cropped in text
        assert max(text.split(), key=lambda word: weights[label].get(word, 0.0)) in cropped.split()


def test_a_mask_leaves_out_that_word() -> None:
    texts = ["the happy house", "the sad house", "the angry house", "happy"] * 100
    masked = augmentation(texts, mask=0.15).texts(0)
    assert set(masked) == {*texts, "the house"}
    assert 20 < masked.count("the house") < 75  # 15 % of the 300 that have more than a word


def test_word_weights_are_those_of_the_decisions() -> None:
    svm = fit_svm(TEXTS, LABELS, 6)
    assert svm is not None
    weights = svm.word_weights()
    assert weights[2] == weights[4] == weights[5] == {}
    for label, word in ((1, "happy"), (0, "sad"), (3, "angry")):
        assert weights[label][word] > 0 > weights[(label + 1) % 2][word] - 1e-9
    two = fit_svm(["good house", "bad house"] * 5, [0, 1] * 5, 2)
    assert two is not None
    assert two.word_weights()[0]["good"] == pytest.approx(-two.word_weights()[1]["good"])
    assert two.word_weights()[0]["good"] > 0


@pytest.mark.parametrize("text", ["", " ", "feel", "i feel", "a", "...", "é"])
def test_no_text_loses_its_last_word(text: str) -> None:
    made = augmentation([text, *TEXTS], **{**dict.fromkeys(OFF, 1.0), "mask": 0.15})
    for epoch in range(20):
        changed = made.texts(epoch)
        assert len(changed) == len(TEXTS) + 1
        assert all(each.strip() for each in changed[1:])
        assert changed[0].strip() or not text.strip()


def test_a_training_learns_from_changed_texts_and_is_scored_on_its_own(
    backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path
) -> None:
    def losses(name: str, *overrides: str) -> tuple[list[float], dict[str, int]]:
        train(config_for("minilm", backbones["minilm"], corpus, tmp_path / name, *overrides), tmp_path / f"run_{name}")
        entry = read_report(tmp_path / name)["models"]["MiniLM"]
        return [epoch["train_loss"] for epoch in entry["history"]], entry["data"]["validation"]

    plain, changed, again = losses("plain"), losses("a", "augmentation.crop=1"), losses("b", "augmentation.crop=1")
    assert plain[0] != changed[0] == again[0]
    assert plain[1] == changed[1]


def test_more_masking_than_keeps_labels_is_refused(
    backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"augmentation.mask: must be a number >= 0 and <= 0.15, found 0.5"):
        config_for("minilm", backbones["minilm"], corpus, tmp_path, "augmentation.mask=0.5")
