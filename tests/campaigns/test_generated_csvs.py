"""CSVs of known cells, generated with hypothesis: each row gets its prediction, or one line says why none does."""

import csv
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from emotion import checkpoint
from emotion.errors import UserError
from emotion.prediction import PredictConfig, predict_csv
from support.campaigns import Campaign
from support.csv_cases import LONG, CsvCase, csv_cases
from support.prediction import predict_config

pytestmark = pytest.mark.usefixtures("one_thread")

ADDED = ["predicted_label", "predicted_emotion", "confidence", "empty_text", "truncated_text"]
EXAMPLES = 100
"""CSVs that hypothesis draws from one seed."""


def test_generated_csvs(campaign: Campaign, originals: dict[str, Path], tmp_path: Path) -> None:
    predictor = checkpoint.load(originals["minilm"])
    weights, output = originals["minilm"], tmp_path / "out.csv"
    names = ("input.csv", "input.csv.gz")
    configs = {name: predict_config(weights=weights, csv=tmp_path / name, output=output) for name in names}
    outcomes: dict[int, list[str | Exception]] = {}

    def case(_: Random, number: int) -> str:
        chunk, place = divmod(number, EXAMPLES)
        if chunk not in outcomes:
            outcomes.clear()
            outcomes[chunk] = examples(chunk, lambda each: outcome(each, configs, predictor.predict))
        result = outcomes[chunk][place]
        if isinstance(result, Exception):
            raise result
        return result

    campaign.run(case, few=EXAMPLES, every=10_000)


def examples(chunk: int, try_one: Callable[[CsvCase], str]) -> list[str | Exception]:
    """Try the CSVs that hypothesis draws from the seed ``chunk``."""
    results: list[str | Exception] = []

    @seed(chunk)
    @settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(csv_cases())
    def draw(each: CsvCase) -> None:
        try:
            results.append(try_one(each))
        except Exception as error:
            results.append(AssertionError(f"{type(error).__name__}: {str(error)[:1000]}; of {repr(each)[:1000]}"))

    draw()
    return results


def outcome(case: CsvCase, configs: dict[str, PredictConfig], predict: Callable[[list[str]], list[int]]) -> str:
    """Predict a CSV and compare with what is in it."""
    config = configs["input.csv.gz" if case.compressed else "input.csv"]
    Path(config.csv).write_bytes(case.file())
    kind = "damaged" if case.damaged else "whole"
    try:
        labels = predict_csv(config).labels
    except UserError as error:
        message = str(error)
        assert "\n" not in message
        assert message.startswith((f"{config.csv}: ", "csv: "))
        if case.damaged:
            return "damaged and refused"
        return f"whole and refused ({allowed(case, message)})"
    header, rows = read(Path(config.output or ""))
    assert len(rows) == len(labels)
    texts = [row[header.index("text")] for row in rows]
    assert labels == predict(texts)
    assert [int(row[header.index("predicted_label")]) for row in rows] == labels
    if not case.damaged:
        assert header == [*case.columns, *ADDED]
        assert [row[: len(case.columns)] for row in rows] == case.rows
    return f"{kind} and predicted"


def allowed(case: CsvCase, message: str) -> str:
    """Name the reason for which a CSV may be refused although its cells are known."""
    cells = [cell for row in [case.columns, *case.rows] for cell in row]
    if any("\0" in cell for cell in cells):
        assert "found a NUL character" in message
        return "NUL"
    assert "must be doubled" in message
    assert any('\\"' in cell or cell.endswith("\\") for cell in cells)
    return "quotes that may be escaped"


def read(path: Path) -> tuple[list[str], list[list[str]]]:
    before = csv.field_size_limit(10 * LONG)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file, strict=True)
        return header, rows
    finally:
        csv.field_size_limit(before)
