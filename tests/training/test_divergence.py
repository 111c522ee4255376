"""A loss that is not finite ends a training at once, and names where it happened and what is still good."""

import re
import signal
from pathlib import Path

import pytest
import torch

from emotion.errors import UserError
from emotion.training import Interrupted, TrainConfig, stop_on_signals, train
from support.files import write_csv
from support.interruptions import do_in_step
from support.training import config_for

pytestmark = pytest.mark.usefixtures("one_thread", "default_handlers")

POISONED = 17
"""The row of the CSV, from 0, whose loss is infinite."""


@pytest.fixture
def poisoned(corpus: dict[str, Path], tmp_path: Path) -> dict[str, Path]:
    """A training CSV with a single row of the last class, which weighs more than float32 can hold."""
    rows: list[tuple[str, object]] = [
        (f"word{number}", 5 if number == POISONED else number % 5) for number in range(60)
    ]
    return {**corpus, "train": write_csv(tmp_path / "poisoned.csv", rows)}


def config(backbones: dict[str, Path], corpus: dict[str, Path], out: Path) -> TrainConfig:
    settings = ("data.batch_size=4", "optimizer.class_weights=[1,1,1,1,1,1e39]", "save_every_minutes=1e-9")
    return config_for("minilm", backbones["minilm"], corpus, out, *settings)


def numbers(pattern: str, message: str) -> list[int]:
    found = re.search(pattern, message)
    assert found is not None, message
    return [int(number) for number in re.findall(r"\d+", found[1])]


def test_the_update_the_rows_and_the_last_good_state_are_named(
    backbones: dict[str, Path], poisoned: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"model\.learning_rate: training diverged in update \d+ of epoch 1") as caught:
        train(config(backbones, poisoned, tmp_path / "out"), tmp_path / "run")
    message = str(caught.value)
    rows = numbers(r"of rows ([\d, ]+) of .*poisoned\.csv", message)
    assert POISONED + 2 in rows
    assert len(rows) == 4
    state = tmp_path / "run" / "checkpoints" / "last.ckpt"
    assert message.endswith(f"the last good state is {state}")
    (update,) = numbers(r"update (\d+) ", message)
    content = torch.load(state, weights_only=True)
    assert content["global_step"] == update - 1
    weights = {name: tensor for name, tensor in content["state_dict"].items() if name.startswith("model.")}
    assert weights
    assert all(tensor.isfinite().all() for tensor in weights.values())


def test_a_resumed_run_names_the_same_update_and_rows(
    backbones: dict[str, Path], poisoned: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config(backbones, poisoned, tmp_path / "out")
    with pytest.raises(UserError) as whole:
        train(settings, tmp_path / "whole")
    (update,) = numbers(r"update (\d+) ", str(whole.value))
    assert update > 2, "the first updates must be good"
    with monkeypatch.context() as patch:
        do_in_step(update - 1, lambda: signal.raise_signal(signal.SIGTERM), patch)
        with pytest.raises(Interrupted), stop_on_signals():
            train(settings, tmp_path / "first")
    with pytest.raises(UserError) as resumed:
        train(settings, tmp_path / "second", earlier_runs=[tmp_path / "first"])
    assert str(resumed.value) == str(whole.value).replace(str(tmp_path / "whole"), str(tmp_path / "first"))


def test_where_there_is_no_good_state_it_says_so(
    backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path
) -> None:
    overrides = ("optimizer.class_weights=[1e39,1e39,1e39,1e39,1e39,1e39]", "data.batch_size=60")
    with pytest.raises(UserError, match=r"update 1 of epoch 1, of rows .* and 50 more .*there is no good state yet$"):
        train(config_for("minilm", backbones["minilm"], corpus, tmp_path / "out", *overrides), tmp_path / "run")


def test_a_validation_loss_that_is_not_finite_is_no_result(
    backbones: dict[str, Path], corpus: dict[str, Path], poisoned: dict[str, Path], tmp_path: Path
) -> None:
    data = {"train": corpus["validation"], "validation": poisoned["train"]}
    write_csv(data["train"], [(f"word{number}", number % 5) for number in range(24)])
    settings = config(backbones, data, tmp_path / "out")
    with pytest.raises(UserError, match=r"diverged in epoch 1 \(the validation loss is not finite\)"):
        train(settings, tmp_path / "run")
    assert not (tmp_path / "out" / "best_MiniLM.pt").exists()
