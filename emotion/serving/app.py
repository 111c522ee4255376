"""The server's endpoints."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from time import perf_counter
from typing import Any

from fastapi import FastAPI, Request, Response

from emotion.errors import UserError
from emotion.models import Predictor
from emotion.serving.batching import Answer, Batcher, Overloaded, answer
from emotion.serving.config import ServeConfig
from emotion.serving.forms import (
    InferRequest,
    RequestError,
    Score,
    TextsRequest,
    check_texts,
    dumped,
    infer_response,
    model_metadata,
    parse_texts,
    scores,
)
from emotion.serving.limits import Limits
from emotion.serving.metrics import Metrics
from emotion.web import description, server_page

log = logging.getLogger(__name__)

_ERRORS: dict[int | str, dict[str, Any]] = {
    401: {"description": "The token is missing or wrong"},
    413: {"description": "Too many texts, too long a text, or too large a request"},
    422: {"description": "The request is malformed, or the model cannot answer one of its texts"},
    429: {"description": "Too many texts wait; try again in a second"},
}


def create_app(predictor: Predictor, config: ServeConfig, token: str | None = None) -> FastAPI:
    """Build the server's ASGI application.

    Args:
        predictor: The model; used by one thread at a time.
        config: The limits.
        token: What clients must give as ``Authorization: Bearer``; None = nothing.
    """
    metrics = Metrics()
    batcher = Batcher(
        partial(answer, predictor, batch_size=config.batch_size),
        config.batch_size,
        config.max_waiting,
        metrics.batches.observe,
    )
    metrics.waiting.set_function(lambda: batcher.waiting)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await batcher.close()

    app = FastAPI(title=f"{predictor.model_name}: emotions of texts", lifespan=lifespan)
    app.add_middleware(Limits, most_bytes=int(config.max_body_mb * 1e6), seconds=config.patience_seconds, token=token)
    name = predictor.model_name

    async def answers(texts: list[str]) -> list[Answer]:
        check_texts(texts, config.max_texts, config.max_characters)
        if config.log_texts:
            for text in texts:
                log.info("text: %r", text)
        outcomes = await batcher.submit(texts)
        found = [each for each in outcomes if isinstance(each, Answer)]
        if len(found) < len(outcomes):
            place = next(place for place, each in enumerate(outcomes) if isinstance(each, UserError))
            raise RequestError(f"inputs[{place}]: must be a text that the model can answer, found {outcomes[place]}")
        return found

    async def counted(endpoint: str, work: Callable[[], Awaitable[Any]]) -> Response:
        """Answer with what ``work`` returns, or with the reason why not, and count it."""
        start, status, headers = perf_counter(), 200, {}
        try:
            content = await work()
        except RequestError as error:
            status, content = error.status, {"error": str(error)}
        except Overloaded:
            reason = f"must wait: {batcher.waiting:,} texts wait already, of at most {config.max_waiting:,}"
            status, content, headers = 429, {"error": f"request: {reason}"}, {"retry-after": "1"}
        metrics.requests.labels(endpoint, status).inc()
        metrics.seconds.labels(endpoint).observe(perf_counter() - start)
        return Response(dumped(content), status, headers, media_type="application/json")

    @app.post(
        "/predict",
        response_model=list[Score] | list[list[Score]],
        responses=_ERRORS,
        openapi_extra={"requestBody": _body(TextsRequest)},
    )
    async def predict(request: Request) -> Response:
        """Give each text its labels and their calibrated probabilities, the most probable first."""

        async def work() -> Any:
            asked = parse_texts(await request.body())
            texts = [asked.inputs] if isinstance(asked.inputs, str) else asked.inputs
            found = [scores(each, predictor.labels, asked.parameters) for each in await answers(texts)]
            return found[0] if isinstance(asked.inputs, str) else found

        return await counted("predict", work)

    @app.post("/v2/models/{model}/infer", responses=_ERRORS, openapi_extra={"requestBody": _body(InferRequest)})
    async def infer(model: str, request: Request) -> Response:
        """Answer a request of the Open Inference Protocol: label, index, probabilities, truncated and unfamiliar."""

        async def work() -> Any:
            _require_name(model, name)
            length = request.headers.get("inference-header-content-length")
            if length is not None and not (length.isascii() and length.isdigit()):
                raise RequestError("Inference-Header-Content-Length: must be a number of bytes")
            asked, texts = InferRequest.parse(await request.body(), None if length is None else int(length))
            return infer_response(name, asked, await answers(texts), predictor.labels)

        return await counted("infer", work)

    @app.get("/v2/models/{model}")
    async def metadata(model: str) -> Response:
        """Describe the model."""

        async def work() -> Any:
            _require_name(model, name)
            return model_metadata(name, predictor.labels)

        return await counted("metadata", work)

    @app.get("/v2/models/{model}/ready")
    async def model_ready(model: str) -> Response:
        """Tell whether the model answers."""

        async def work() -> Any:
            _require_name(model, name)
            return {"name": name, "ready": True}

        return await counted("model_ready", work)

    @app.get("/v2")
    async def server_metadata() -> dict[str, Any]:
        """Describe the server."""
        from emotion import __version__

        return {"name": "emotion-classifier", "version": __version__, "extensions": ["binary_tensor_data"]}

    page = server_page(description(predictor) | {"atOnce": min(config.batch_size, config.max_texts)})

    @app.get("/", include_in_schema=False)
    async def root() -> Response:
        """The page on which people try the model."""
        return Response(page, media_type="text/html")

    @app.get("/health")
    @app.get("/v2/health/live")
    async def health() -> dict[str, bool]:
        """Tell that the server runs."""
        return {"live": True}

    @app.get("/ready")
    @app.get("/v2/health/ready")
    async def ready() -> dict[str, bool]:
        """Tell that the model is loaded: the server listens only then."""
        return {"ready": True}

    @app.get("/metrics")
    async def metrics_page() -> Response:
        """Counts and latencies for Prometheus."""
        return Response(metrics.page(), media_type="text/plain; version=0.0.4")

    return app


def _require_name(asked: str, name: str) -> None:
    if asked != name:
        raise RequestError(f"model: must be {name}, found {asked!r}", 404)


def _body(form: type[Any]) -> dict[str, Any]:
    """Describe a body that the endpoint reads itself, as its errors are to have the server's form."""
    return {"required": True, "content": {"application/json": {"schema": form.model_json_schema()}}}
