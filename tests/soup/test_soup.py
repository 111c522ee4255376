"""Averages of checkpoints, against arithmetic, and what is refused."""

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.metrics import f1_score

from emotion.checkpoint import load, save
from emotion.config import compose_config, resolve
from emotion.errors import UserError
from emotion.models import Predictor
from emotion.soup import SoupConfig, make_soup, print_soup
from support.files import sample_rows, write_csv
from support.labels import EMOTION6
from support.predictors import untrained
from support.training import weights_of

pytestmark = pytest.mark.usefixtures("one_thread")


def shaken(predictor: Predictor, seed: int, much: float = 0.3) -> Predictor:
    """The model with other weights, as another seed would give."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in predictor.torch_model.parameters():
            parameter.mul_(1 + much * torch.randn_like(parameter))
    return predictor


@pytest.fixture
def checkpoints(backbones: dict[str, Path], tmp_path: Path) -> list[str]:
    for seed in (1, 2, 3):
        save(shaken(untrained("minilm", backbones["minilm"]), seed), tmp_path / f"{seed}.pt")
    return [str(tmp_path / f"{seed}.pt") for seed in (1, 2, 3)]


@pytest.fixture
def validation(checkpoints: list[str], tmp_path: Path) -> Path:
    """Rows that the first checkpoint is mostly right about."""
    texts = [text for text, _ in sample_rows("validation", 120)]
    labels = load(checkpoints[0]).predict(texts)
    rows = [
        (text, label if place % 5 else (label + 1) % 6)
        for place, (text, label) in enumerate(zip(texts, labels, strict=True))
    ]
    return write_csv(tmp_path / "validation.csv", rows)


def config_for(weights: list[str], validation: Path, output: Path, **values: Any) -> SoupConfig:
    config = compose_config("soup", [])
    config.weights, config.output, config.data.validation = weights, str(output), str(validation)
    config.accelerator = "cpu"
    for key, value in values.items():
        config[key] = value
    return resolve(config, SoupConfig)


def macro_f1(path: str | Path, validation: Path) -> float:
    with validation.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    truth = [int(row["label"]) for row in rows]
    predicted = load(path).predict([row["text"] for row in rows])
    return float(f1_score(truth, predicted, average="macro", zero_division=0))


def test_a_uniform_soup_is_the_mean_of_all_weights(
    checkpoints: list[str], validation: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soup = make_soup(config_for(checkpoints, validation, tmp_path / "soup.pt", method="uniform"))
    assert set(soup.chosen) == set(checkpoints)
    states = [weights_of(Path(path)) for path in checkpoints]
    for name, found in weights_of(tmp_path / "soup.pt").items():
        torch.testing.assert_close(found, sum(state[name] for state in states) / 3, rtol=1e-5, atol=1e-6)
    assert soup.macro_f1 == pytest.approx(macro_f1(tmp_path / "soup.pt", validation), abs=1e-4)
    assert soup.members == pytest.approx({path: macro_f1(path, validation) for path in checkpoints}, abs=1e-4)
    print_soup(soup)
    assert f"{soup.scores.macro_f1:.4f}" in capsys.readouterr().out


def test_a_greedy_soup_keeps_what_does_not_lower_its_score(
    checkpoints: list[str], validation: Path, tmp_path: Path
) -> None:
    soup = make_soup(config_for(checkpoints, validation, tmp_path / "soup.pt"))
    scores = {path: macro_f1(path, validation) for path in checkpoints}
    order = sorted(checkpoints, key=lambda path: -scores[path])
    assert list(soup.members) == order
    kept, best = order[:1], scores[order[0]]
    for path in order[1:]:
        trial = make_soup(config_for([*kept, path], validation, tmp_path / "trial.pt", method="uniform"))
        if trial.macro_f1 >= best:
            kept, best = [*kept, path], trial.macro_f1
    assert list(soup.chosen) == kept
    assert soup.macro_f1 >= max(scores.values()) - 1e-6


def test_the_soup_carries_its_own_scores(checkpoints: list[str], validation: Path, tmp_path: Path) -> None:
    data = {"validation": str(validation), "extra": {"again": str(validation)}}
    config = compose_config("soup", [])
    config.weights, config.output, config.method = checkpoints, str(tmp_path / "soup.pt"), "uniform"
    config.data.update(data)
    soup = make_soup(resolve(config, SoupConfig))
    loaded = load(tmp_path / "soup.pt")
    assert loaded.metadata["macro_f1"] == soup.scores.macro_f1
    assert loaded.metadata["evaluations"]["again"]["macro_f1"] == pytest.approx(soup.scores.macro_f1)
    assert [each["file"] for each in loaded.metadata["soup"]["members"]] == [Path(path).name for path in soup.members]
    assert [make_soup(resolve(config, SoupConfig)).evaluations["again"].reads for _ in range(2)] == [2, 3]
    assert loaded.temperature != 1
    assert loaded.familiarity is not None


def test_models_that_do_not_fit_together_are_refused(
    checkpoints: list[str], backbones: dict[str, Path], validation: Path, tmp_path: Path
) -> None:
    plain = untrained("minilm", backbones["minilm"])
    others = {
        "backbone": replace(plain, model_id="owner/other"),
        "classes": replace(plain, labels=replace(EMOTION6, names=("a", "b", "c", "d", "e", "f"), colours=())),
        "max_length": replace(plain, max_length=20),
    }
    for what, other in others.items():
        save(other, tmp_path / "other.pt")
        with pytest.raises(UserError, match=f"weights: must be checkpoints of the same {what}"):
            make_soup(config_for([checkpoints[0], str(tmp_path / "other.pt")], validation, tmp_path / "soup.pt"))
    save(replace(plain, metadata={"compression": {"technique": "prune"}}), tmp_path / "other.pt")
    with pytest.raises(UserError, match="which was compressed"):
        make_soup(config_for([checkpoints[0], str(tmp_path / "other.pt")], validation, tmp_path / "soup.pt"))
    assert not (tmp_path / "soup.pt").exists()


def test_files_of_others_and_members_are_not_replaced(checkpoints: list[str], validation: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="output: must be another file than those of weights"):
        make_soup(config_for(checkpoints, validation, Path(checkpoints[1])))
    (tmp_path / "mine.pt").write_text("mine")
    with pytest.raises(UserError, match="output: "):
        make_soup(config_for(checkpoints, validation, tmp_path / "mine.pt"))
    assert (tmp_path / "mine.pt").read_text() == "mine"
    for weights, output, problem in (
        (checkpoints[:1], "soup.pt", "weights: must be a list of two or more checkpoints"),
        ([checkpoints[0]] * 2, "soup.pt", "weights: must name each checkpoint once"),
        (checkpoints, "soup.onnx", "output: must end in .pt"),
    ):
        with pytest.raises(UserError, match=problem):
            config_for(weights, validation, tmp_path / output)
