"""The page and the cards of an output folder, written from its files alone."""

import shutil
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from emotion.article import ReportConfig, write_article
from emotion.config import compose_config, resolve
from emotion.errors import UserError
from emotion.training import train
from support.files import files_in, sample_rows, write_csv
from support.training import config_for


@pytest.fixture(scope="module")
def trained(backbones: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the results of a short training on the sample corpus' first rows."""
    folder = tmp_path_factory.mktemp("article")
    corpus = {
        "train": write_csv(folder / "train.csv", sample_rows("train", 60)),
        "validation": write_csv(folder / "validation.csv", sample_rows("validation", 24)),
    }
    train(config_for("minilm", backbones["minilm"], corpus, folder / "out", "trainer.max_epochs=1"), folder / "run")
    return folder


def report_of(output_dir: Path) -> ReportConfig:
    config = compose_config("report", ["explain=2", "accelerator=cpu"])
    config.output_dir = str(output_dir)
    return resolve(config, ReportConfig)


@pytest.fixture
def output_dir(trained: Path, tmp_path: Path) -> Path:
    return shutil.copytree(trained / "out", tmp_path / "out")


def test_page_and_card_are_written_and_written_again(output_dir: Path) -> None:
    page, card, preview = write_article(report_of(output_dir))
    assert preview == output_dir / "article" / "preview.tex"
    assert "results-validation" in preview.read_text(encoding="utf-8")
    assert page == output_dir / "report.html"
    text = page.read_text(encoding="utf-8")
    assert "MiniLM" in text
    assert "(occlusion)" in text, "the most confident mistakes are explained"
    assert ModelCard.load(card).data.pipeline_tag == "text-classification"
    before = files_in(output_dir)
    write_article(report_of(output_dir))
    assert files_in(output_dir) == before, "the same files give the same page"


def test_what_was_edited_is_not_replaced(output_dir: Path) -> None:
    _, card, _ = write_article(report_of(output_dir))
    card.write_text(card.read_text() + "my own words")
    before = files_in(output_dir)
    with pytest.raises(UserError, match="was changed or replaced"):
        write_article(report_of(output_dir))
    assert files_in(output_dir) == before


def test_a_checkpoint_that_is_gone_is_told_and_left_out(output_dir: Path) -> None:
    (output_dir / "best_MiniLM.pt").unlink()
    page, _ = write_article(report_of(output_dir))
    assert "What needs the checkpoint of MiniLM is left out" in page.read_text(encoding="utf-8")


def test_a_folder_without_a_training_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"output_dir: must hold emotion_classification_report\.json, found none"):
        write_article(report_of(tmp_path))
    assert not list(tmp_path.iterdir())
