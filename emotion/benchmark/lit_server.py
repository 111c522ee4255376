"""LitServe with this project's predictor, in batches of at most 32 that wait for at most 5 ms."""

from collections.abc import Sequence
from typing import Any

import litserve

from emotion.benchmark.http_load import HOST
from emotion.checkpoint import load


class Api(litserve.LitAPI):  # type: ignore[misc]
    """What LitServe calls in its worker's process, to which it is pickled."""

    def __init__(self, weights: str) -> None:
        super().__init__(max_batch_size=32, batch_timeout=0.005)
        self.weights = weights

    def setup(self, device: str) -> None:  # noqa: ARG002, as LitServe gives it
        self.predictor = load(self.weights)

    def decode_request(self, request: dict[str, Any]) -> str:
        return str(request["inputs"])

    def predict(self, texts: Sequence[str]) -> list[list[float]]:
        found: list[list[float]] = self.predictor.predict_proba(texts).tolist()
        return found

    def encode_response(self, probabilities: list[float]) -> list[dict[str, Any]]:
        names = self.predictor.labels.names
        return [{"label": name, "score": score} for name, score in zip(names, probabilities, strict=True)]


def run(weights: str, port: int) -> None:
    """Serve until the process ends."""
    server = litserve.LitServer(Api(weights), accelerator="cpu", workers_per_device=1)
    server.run(host=HOST, port=port, generate_client_file=False, log_level="warning")
