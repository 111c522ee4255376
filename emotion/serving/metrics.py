"""What the server counts, in Prometheus' form."""

from collections.abc import Callable
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """Requests by endpoint and status, their latency, the sizes of batches, and the texts that wait."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        requests = Counter("emotion_requests", "Requests", ["endpoint", "status"], registry=self.registry)
        seconds = Histogram(
            "emotion_request_seconds", "From body to answer", ["endpoint"], buckets=_SECONDS, registry=self.registry
        )
        # Each series is looked up once: there are few of them, and prometheus_client takes a lock for each look.
        self.requests: Callable[[str, int], Counter] = cache(requests.labels)
        """Return the counter of an endpoint and a status of HTTP."""
        self.seconds: Callable[[str], Histogram] = cache(seconds.labels)
        """Return the histogram of an endpoint."""
        self.batches = Histogram("emotion_batch_texts", "Texts of a batch", buckets=_TEXTS, registry=self.registry)
        self.waiting = Gauge("emotion_waiting_texts", "Texts that wait for the model", registry=self.registry)

    def page(self) -> bytes:
        """Return the text that Prometheus reads."""
        return generate_latest(self.registry)
