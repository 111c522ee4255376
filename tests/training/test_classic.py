"""The classic ``main``: one model by name, or the three in turn."""

from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from emotion.errors import UserError
from emotion.training import main
from support.files import sample_rows, write_csv
from support.training import read_report


def test_main_trains_one_model_from_the_installed_weights(
    corpus: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    short = {key: write_csv(tmp_path / f"{key}_short.csv", sample_rows(key, 6)) for key in corpus}
    report = main(str(short["train"]), str(short["validation"]), str(tmp_path / "out"), model="MiniLM", gpu=0)
    assert report == read_report(tmp_path / "out")
    assert len(report["models"]["MiniLM"]["history"]) == 5
    hidden, head = 384, 384 * 6 + 6
    word_and_position_embeddings = (30522 + 512 + 2) * hidden + 2 * hidden
    layer = 4 * (hidden * hidden + hidden) + 2 * hidden * 1536 + 1536 + hidden + 4 * hidden
    pooler = hidden * hidden + hidden
    expected = word_and_position_embeddings + 6 * layer + pooler + head
    assert report["models"]["MiniLM"]["num_parameters"] == expected
    warnings = [record for record in caplog.records if "asked for GPU 0" in record.message]
    assert len(warnings) == (0 if torch.cuda.is_available() else 1)
    (run_dir,) = (tmp_path / "out").glob("*-*-*/*/MiniLM")
    assert (run_dir / "checkpoints" / "last.ckpt").is_file()
    assert "epoch 5/5" in (run_dir / "train.log").read_text()
    assert OmegaConf.load(run_dir / "config.yaml").trainer.max_epochs == 5


def test_main_names_unknown_models_and_shared_mistakes_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(UserError, match="model: must be one of BERTweet, CardiffRoBERTa, MiniLM, ModernBERT"):
        main(model="GPT")
    with pytest.raises(UserError, match=r"3 of 3 models failed; the first: data\.train: .*absent\.csv"):
        main(str(tmp_path / "absent.csv"), str(tmp_path / "absent.csv"), str(tmp_path / "out"))
    assert sum("absent.csv" in record.message for record in caplog.records) == 1
