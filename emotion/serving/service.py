"""What every endpoint does: have texts answered, count requests, and turn refusals into responses."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from time import perf_counter
from typing import Any

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from emotion.errors import UserError
from emotion.models import Predictor
from emotion.serving.batching import CLIENT_GONE, Answer, Batcher, ClientGone, Overloaded, answer
from emotion.serving.config import ServeConfig
from emotion.serving.metrics import Metrics
from emotion.serving.requests import RequestError, check_texts

log = logging.getLogger(__name__)

CPU_FORWARD_TEXTS = 8
"""Most texts of a forward pass on a CPU, where more take no less time a text: those that happen to come together differ
in length, and are padded to the longest."""


class Service:
    """A model that requests share.

    Args:
        predictor: The model; used by one thread at a time.
        config: The limits.
    """

    def __init__(self, predictor: Predictor, config: ServeConfig) -> None:
        self.predictor, self.config = predictor, config
        self.metrics = Metrics()
        on_cpu = predictor.model.device.type == "cpu"
        forward = min(config.batch_size, CPU_FORWARD_TEXTS) if on_cpu else config.batch_size
        self._batcher = Batcher(
            partial(answer, predictor, batch_size=forward),
            config.batch_size,
            config.max_waiting,
            self.metrics.batches.observe,
        )
        self.metrics.waiting.set_function(lambda: self._batcher.waiting)

    async def close(self) -> None:
        """Finish what was taken."""
        await self._batcher.close()

    async def answers(self, texts: list[str], request: Request) -> list[Answer]:
        """Answer each text of a request.

        Raises:
            RequestError: There are too many texts, or one is too long or cannot be answered.
            Overloaded: Too many texts wait already.
            ClientGone: The client has gone.
        """
        check_texts(texts, self.config.max_texts, self.config.max_characters)
        if self.config.log_texts:
            for text in texts:
                log.info("text: %r", text)
        has_gone = request.scope.get("state", {}).get("has_gone")  # of connections.py, if that runs the application
        outcomes = await (self._batcher.submit(texts, has_gone) if has_gone else self._batcher.submit(texts))
        found = [each for each in outcomes if isinstance(each, Answer)]
        if len(found) < len(outcomes):
            place = next(place for place, each in enumerate(outcomes) if isinstance(each, UserError))
            raise RequestError(f"inputs[{place}]: must be a text that the model can answer, found {outcomes[place]}")
        return found

    async def respond(self, endpoint: str, work: Callable[[], Awaitable[Any]]) -> Response:
        """Respond with what ``work`` returns, or with the reason why not, and count it for ``endpoint``."""
        start, status, headers = perf_counter(), 200, {}
        try:
            content = await work()
        except RequestError as error:
            status, content = error.status, {"error": str(error)}
        except Overloaded:
            waiting, most = self._batcher.waiting, self.config.max_waiting
            reason = f"must wait: {waiting:,} texts wait already, of at most {most:,}"
            status, content, headers = 429, {"error": f"request: {reason}"}, {"retry-after": "1"}
        except ClientGone:
            status, content = CLIENT_GONE, {"error": "request: must be waited for, found that its client has gone"}
        except asyncio.CancelledError:  # uvicorn cancels what takes too long, and still sends an answer
            reason = f"must be done {self.config.stop_seconds:g} seconds after the server was stopped, found it was not"
            status, content = 503, {"error": f"request: {reason}"}
        except Exception:
            self.metrics.requests(endpoint, 500).inc()
            raise
        self.metrics.requests(endpoint, status).inc()
        self.metrics.seconds(endpoint).observe(perf_counter() - start)
        return Response(to_json(content), status, headers, media_type="application/json")
