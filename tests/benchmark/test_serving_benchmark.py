"""Servers are asked what they are said to be asked, and their figures are compared round by round."""

from pathlib import Path

import pytest

from emotion.benchmark import BenchmarkConfig
from emotion.benchmark.http_load import ask
from emotion.benchmark.parts import measure
from emotion.checkpoint import load
from emotion.data import LabelledTexts
from emotion.errors import UserError
from emotion.reporting import ServingSpeed
from support.files import TEXTS
from support.labels import EMOTION6
from support.serving import serving

pytestmark = pytest.mark.usefixtures("one_thread")


def test_each_text_is_a_request_and_its_time_is_told(originals: dict[str, Path]) -> None:
    with serving(load(originals["minilm"])) as client:
        seconds, together = ask(client.port, TEXTS * 3, clients=4)
        assert len(seconds) == 3 * len(TEXTS)
        assert max(seconds) < together < sum(seconds) + 1
        counts = client.get("/metrics").content
        assert f'emotion_requests_total{{endpoint="predict",status="200"}} {3 * len(TEXTS)}.0' in counts


def test_an_answer_that_is_no_answer_ends_the_benchmark(originals: dict[str, Path]) -> None:
    with (
        serving(load(originals["minilm"]), "max_characters=3") as client,
        pytest.raises(UserError, match=r"serve: must answer with 200, found http/1\.1 413 .*: .*at most 3 characters"),
    ):
        ask(client.port, ["four"], clients=1)


@pytest.mark.slow  # each server starts anew
def test_this_projects_server_is_compared_with_its_model_and_with_a_plain_server(
    config: BenchmarkConfig, originals: dict[str, Path], tmp_path: Path
) -> None:
    config = config.updated(quick=True, rounds=1, served=[str(originals["minilm"])])
    data = LabelledTexts.read(config.data.train, "text", "label", EMOTION6, "data.train")
    found = measure("serve", config.quickened(), data, tmp_path)["serving"]
    assert isinstance(found, ServingSpeed)
    assert found.rows == 64
    names = [name for name in found.sides if not name.startswith("LitServe")]
    ours = [f"this project, {model}" for model in ("FP32", "onnx_int8", "best_MiniLM")]
    assert names == [*ours, "FastAPI with transformers' pipeline, FP32"]
    for name in ours:
        side = found.sides[name]
        assert side.added_p50_ms is not None
        assert side.share_of_model is not None
        assert 0 < side.p50_ms.median <= side.p99_ms.median
        assert side.added_p50_ms.median < side.p50_ms.median
        assert side.share_of_model.median > 0
    assert found.sides[names[-1]].share_of_model is None
