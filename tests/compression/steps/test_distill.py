"""A student learns the teacher's answers: its losses against hand calculations, its lesson, and its progress."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from torch.nn.functional import cross_entropy

from emotion.checkpoint import load, save
from emotion.compression import CompressConfig
from emotion.compression.steps.distill import DistilledClassifier, distill, soft_label_loss
from emotion.compression.steps.narrow import narrow_
from emotion.compression.steps.registry import DistillConfig, NarrowConfig
from emotion.compression.steps.teacher import Lesson, Teacher, changed_copies, joined_copies
from emotion.config import SAMPLE, compose_config, resolve
from emotion.data import LabelledTexts
from emotion.errors import UserError
from emotion.models import Predictor, find_backbone
from emotion.scoring import calibrate_
from emotion.training import TrainConfig
from support.files import sample_rows, write_csv
from support.labels import EMOTION6
from support.predictors import KINDS, model_config, out_of_memory, untrained
from support.unfamiliar import labelled as labelled_as
from support.unfamiliar import made_of


def settings(*overrides: str) -> DistillConfig:
    """The defaults, without copies, changed by the overrides."""
    changes = ["augmented_copies=0", "joined_copies=0", *overrides]
    return resolve(compose_config("compress", [f"distill.{each}" for each in changes]), CompressConfig).distill


def labelled(tmp_path: Path, split: str, rows: int) -> LabelledTexts:
    path = write_csv(tmp_path / f"{split}.csv", sample_rows(split, rows))
    return LabelledTexts.read(str(path), "text", "label", EMOTION6, "data.train")


@pytest.fixture
def teacher(backbones: dict[str, Path]) -> Predictor:
    return untrained("minilm", backbones["minilm"])


def test_the_soft_label_loss_is_the_divergence_of_the_softened_probabilities() -> None:
    rng = np.random.default_rng(0)
    student, answers = rng.normal(size=(5, 6)), rng.normal(size=(5, 6))
    p, log_q = softmax(answers / 3, axis=-1), log_softmax(student / 3, axis=-1)
    expected = 9 * np.mean(np.sum(p * (np.log(p) - log_q), axis=-1))
    assert soft_label_loss(torch.tensor(student), torch.tensor(answers), 3.0).item() == pytest.approx(expected)
    shifted = torch.tensor(answers) + torch.arange(5)[:, None]  # a constant per row changes nothing
    assert soft_label_loss(shifted, torch.tensor(answers), 3.0).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("teacher_size", "balance"), [(32, "none"), (20, "none"), (32, "balanced")])
def test_the_loss_weighs_soft_labels_labels_and_hidden_states(
    teacher: Predictor, teacher_size: int, balance: str
) -> None:
    config = settings("soft_weight=0.3", "temperature=2.0", "hidden_weight=0.7")
    train = resolve(compose_config("train", [f"optimizer.class_weights={balance}"]), TrainConfig)
    counts = [10, 20, 30, 40, 50, 60]
    classifier = DistilledClassifier(teacher.model, train, config, counts, teacher_size).eval()
    torch.manual_seed(0)
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    batch = {
        "input_ids": torch.randint(5, 100, (2, 4)),
        "attention_mask": mask,
        "labels": torch.tensor([1, 4]),
        "teacher_log_probabilities": torch.randn(2, 6).log_softmax(-1),
        "teacher_hidden": torch.randn(2, teacher_size),
    }
    with torch.no_grad():
        outputs = teacher.model(batch["input_ids"], attention_mask=mask, output_hidden_states=True)
        last = outputs.hidden_states[-1]
        means = classifier.projection(torch.stack([last[0].mean(0), last[1, :2].mean(0)]))
    cosines = [float(a @ b / (a.norm() * b.norm())) for a, b in zip(means, batch["teacher_hidden"], strict=True)]
    soft = soft_label_loss(outputs.logits, batch["teacher_log_probabilities"], 2.0)
    weights = 210 / (6 * torch.tensor(counts)) if balance == "balanced" else None
    hard = cross_entropy(outputs.logits, batch["labels"], weight=weights)
    expected = 0.3 * soft + 0.7 * hard + 0.7 * (1 - np.mean(cosines))
    assert classifier.training_loss(batch).item() == pytest.approx(expected.item(), rel=1e-5)
    trained = {id(parameter) for parameter in classifier.parameters()}
    assert {id(parameter) for parameter in classifier.projection.parameters()} <= trained


def test_each_epoch_has_the_training_texts_new_copies_of_them_and_the_unlabelled_texts(
    teacher: Predictor, tmp_path: Path
) -> None:
    train, more = labelled(tmp_path, "train", 20), ["one more text", "and another"]

    def lesson(*overrides: str) -> Lesson:
        return Lesson(Teacher(teacher), train, more, settings(*overrides), teacher.encoder, seed=1)

    taught = lesson("augmented_copies=2")
    texts = taught.texts(0)
    assert texts[:20] == train.texts
    assert texts[60:] == more
    assert texts[20:40] != train.texts, "copies are changed"
    assert texts[20:40] != texts[40:60], "and differ from each other"
    assert taught.texts(1)[:20] == train.texts
    again = set(taught.texts(1)[20:60]) & set(texts[20:60])
    assert len(again) < 10, "and from those of other epochs, but for a few short ones"
    assert lesson("augmented_copies=2").texts(1) == taught.texts(1)
    rows = taught.rows(1).batch([0, 19, 20, 60, 61], teacher.encoder)
    chosen = [taught.texts(1)[row] for row in (0, 19, 20, 60, 61)]
    assert rows["labels"].tolist() == [train.labels[0], train.labels[19], *teacher.predict(chosen[2:])]
    torch.testing.assert_close(rows["teacher_log_probabilities"].exp(), teacher.predict_proba(chosen))
    assert torch.equal(rows["input_ids"], teacher.encoder.pad(teacher.encoder.encode(chosen))["input_ids"])
    assert len(lesson().rows(0)) == len(lesson()) == 22
    assert len(taught) == len(texts)


def test_copies_lose_and_swap_the_share_of_words_that_is_asked_for() -> None:
    texts = [" ".join(f"w{text}_{word}" for word in range(50)) for text in range(200)]
    rng = np.random.default_rng(0)
    assert changed_copies(texts, 0.0, 0.0, rng) == texts
    shorter = changed_copies(texts, 0.3, 0.0, rng)
    kept = sum(len(copy.split()) for copy in shorter) / (50 * 200)
    assert kept == pytest.approx(0.7, abs=0.02)
    swapped = changed_copies(texts, 0.0, 0.2, rng)
    own = [word.startswith(f"w{text}_") for text, copy in enumerate(swapped) for word in copy.split()]
    assert np.mean(own) == pytest.approx(0.8, abs=0.02)
    assert changed_copies(["", "two words"], 1.0, 0.0, rng) == ["", "two"]


def test_joined_copies_begin_as_their_text_and_end_as_another() -> None:
    texts = [" ".join(f"w{text}_{word}" for word in range(9)) for text in range(40)]
    copies = joined_copies(texts, np.random.default_rng(0))
    lengths = set()
    for text, copy in zip(texts, copies, strict=True):
        words, own = copy.split(), text.split()
        start = next((place for place, word in enumerate(words) if place >= 9 or word != own[place]), len(words))
        rest = words[start:]
        assert words[:start] == own[:start]
        if rest:
            other = texts[int(rest[0][1:].split("_")[0])].split()
            assert rest == other[9 - len(rest) :]
        lengths.add(start)
    assert {0, 9} < lengths  # anything from nothing to all of it
    assert len(set(copies) & set(texts)) < 12
    assert joined_copies(["", "one"], np.random.default_rng(0))[0] in ("", "one")
    assert joined_copies([], np.random.default_rng(0)) == []


def test_copies_are_new_in_scripts_without_spaces_too() -> None:
    texts = [f"{first}日は{second}とても嬉しかったです" for first in "一二三四五六七" for second in "雨雪風花月"]
    rng = np.random.default_rng(0)
    for copies in (changed_copies(texts, 0.1, 0.1, rng), joined_copies(texts, rng)):
        assert len(set(copies) - set(texts)) > 0.6 * len(texts)
        assert not any(" " in copy for copy in copies)
    mixed = "so 嬉しい! today"
    assert changed_copies([mixed], 0.0, 0.0, rng) == [mixed]


def test_the_teacher_answers_what_it_predicts_and_keeps_its_answers(teacher: Predictor) -> None:
    texts = [text for text, _ in sample_rows("test", 12)]
    texts.append(texts[0])
    asked = Teacher(teacher)
    answers, hidden = asked.log_probabilities(texts), asked.hidden_states(texts)
    assert torch.allclose(answers.exp(), teacher.predict_proba(texts), atol=1e-5)
    for text, state in zip(texts, hidden, strict=True):
        inputs = teacher.tokenizer(text, return_tensors="pt", truncation=True, max_length=teacher.max_length)
        with torch.no_grad():
            alone = teacher.model.base_model(**inputs).last_hidden_state[0].mean(0)
        assert torch.allclose(state, alone, atol=1e-5)
    with torch.no_grad():
        for parameter in teacher.model.parameters():
            parameter.zero_()
    assert torch.equal(asked.log_probabilities(texts[::-1]), answers.flip(0)), "the teacher is asked only once"
    assert torch.equal(asked.hidden_states(texts), hidden)


def test_the_teachers_answers_are_those_before_calibration(teacher: Predictor) -> None:
    texts = [text for text, _ in sample_rows("test", 6)]
    expected = log_softmax(teacher.logits(teacher.encoder.encode(texts)), axis=1)
    calibrate_(teacher, labelled_as(made_of("abcdefgh", 150, seed=0), EMOTION6))
    teacher.temperature = 3.0
    assert teacher.familiarity is not None
    assert not np.allclose(teacher.predict_proba(texts).log(), expected, atol=1e-2)
    np.testing.assert_allclose(Teacher(teacher).log_probabilities(texts), expected, atol=1e-5)


def test_a_teacher_of_too_many_answers_forgets_those_that_are_not_asked_for(teacher: Predictor) -> None:
    texts = [text for text, _ in sample_rows("test", 9)]
    fixed, copies = texts[:6], texts[6:]
    asked = Teacher(teacher, most_kept=5)
    answers, hidden = asked.log_probabilities(fixed + copies), asked.hidden_states(fixed + copies)
    assert torch.equal(asked.log_probabilities(fixed), answers[:6])
    asked.hidden_states(fixed)
    with torch.no_grad():
        for parameter in teacher.model.parameters():
            parameter.zero_()
    assert torch.equal(asked.log_probabilities(fixed), answers[:6]), "texts of every epoch are kept"
    assert torch.equal(asked.hidden_states(fixed), hidden[:6])
    assert not torch.equal(asked.log_probabilities(copies), answers[6:]), "those of one epoch are not"
    assert not torch.equal(asked.hidden_states(copies), hidden[6:])


def test_a_student_may_be_wider_than_its_teacher(
    teacher: Predictor, backbones: dict[str, Path], tmp_path: Path
) -> None:
    """Its hidden states are compared through a projection to the teacher's width."""
    narrow = untrained("minilm", backbones["minilm"])
    train = labelled(tmp_path, "train", 16)
    narrow_(narrow, NarrowConfig(ffn=1.0, heads=1.0, hidden=0.5), train.texts, train.labels)
    assert narrow.model.config.hidden_size < teacher.model.config.hidden_size
    config = settings("max_epochs=1", "hidden_weight=1")
    before = teacher.predict_proba(train.texts)
    student = distill(teacher, config, Teacher(narrow), train, [], train, tmp_path, seed=0)
    assert not torch.equal(student.predict_proba(train.texts), before)


def test_a_student_of_another_backbone_has_no_more_tokens_than_positions(
    backbones: dict[str, Path], tmp_path: Path
) -> None:
    """It learns from texts of the sample corpus, and is validated on another CSV."""
    teacher = untrained("modernbert", backbones["modernbert"])
    teacher.max_length = 200
    config = settings("model=minilm", "max_epochs=1")
    sample = LabelledTexts.read(str(SAMPLE / "train.csv"), "text", "label", EMOTION6, "data.train")
    train = replace(sample, texts=[*sample.texts[:8], "very " * 300], labels=sample.labels[:9])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("emotion.compression.steps.distill.find_backbone", lambda _: find_backbone(tiny))
        tiny = model_config("minilm", backbones["minilm"])
        student = distill(
            teacher, config, Teacher(teacher), train, [], labelled(tmp_path, "validation", 8), tmp_path, 0
        )
    assert student.max_length == 128


def test_a_batch_that_is_too_large_is_refused_in_one_line(
    teacher: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DistilledClassifier, "training_loss", out_of_memory)
    train, validation = labelled(tmp_path, "train", 20), labelled(tmp_path, "validation", 10)
    with pytest.raises(UserError, match=r"^distill\.batch_size: must fit into this machine's memory, found 16"):
        distill(teacher, settings("batch_size=16"), Teacher(teacher), train, [], validation, tmp_path, seed=0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_student_learns_to_answer_like_its_teacher(kind: str, backbones: dict[str, Path], tmp_path: Path) -> None:
    original = untrained(kind, backbones[kind])
    original.temperature = 1.5
    save(original, tmp_path / "teacher.pt")
    teaching = Teacher(original)
    train = labelled(tmp_path, "train", 64)
    answers = teaching.log_probabilities(train.texts)
    train = replace(train, labels=answers.argmax(-1).tolist())
    student = load(tmp_path / "teacher.pt")
    (head,) = (module for module in student.model.modules() if getattr(module, "out_features", None) == 6)
    with torch.no_grad():
        head.weight.copy_(head.weight.roll(1, dims=0))  # the student mixes up the classes

    def distance(checkpoint: Predictor) -> float:
        return soft_label_loss(checkpoint.predict_proba(train.texts).log(), answers, 2.0).item()

    before = distance(student)
    config = settings("max_epochs=5", "batch_size=8", "learning_rate=3e-3", "soft_weight=1.0", "hidden_weight=0.1")
    weights = {name: value.clone() for name, value in original.model.state_dict().items()}
    learned = distill(student, config, teaching, train, [], train, tmp_path / "run", seed=1)
    assert distance(learned) < 0.7 * before
    assert learned.temperature == 1, "the probabilities that it learned were calibrated already"
    assert not learned.model.training
    assert all(torch.equal(value, weights[name]) for name, value in original.model.state_dict().items())
    save(learned, tmp_path / "student.pt")
    assert load(tmp_path / "student.pt").predict(train.texts) == learned.predict(train.texts)


def test_the_last_epoch_is_kept_even_if_validation_prefers_another(
    teacher: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(teacher, tmp_path / "teacher.pt")
    student = load(tmp_path / "teacher.pt")
    train = labelled(tmp_path, "train", 48)
    train = replace(train, labels=teacher.predict(train.texts))

    def forget(classifier: DistilledClassifier) -> None:
        if classifier.current_epoch == 1:
            with torch.no_grad():
                classifier.model.classifier.weight.zero_()

    monkeypatch.setattr(DistilledClassifier, "on_train_epoch_start", forget)
    config = settings("max_epochs=2", "learning_rate=1e-6")
    learned = distill(student, config, Teacher(teacher), train, [], train, tmp_path / "run", seed=1)
    assert learned.torch_model.classifier.weight.abs().max() < 1e-3 < teacher.torch_model.classifier.weight.abs().max()
