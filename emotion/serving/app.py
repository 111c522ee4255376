"""The server's endpoints."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.telemetry import TelemetryConfig
from fastapi_offline import FastAPIOffline
from pydantic_core import to_json
from starlette.exceptions import HTTPException

from emotion import __version__
from emotion.errors import quoted
from emotion.models import Predictor
from emotion.serving.config import ServeConfig
from emotion.serving.hugging_face import Score, TextsRequest, parse_texts, scores
from emotion.serving.interface import REFUSED, UNKNOWN, add_post, describe_token
from emotion.serving.limits import DOCS_FILES, Limits, whole_body
from emotion.serving.open_inference import InferRequest, infer_response, model_metadata, output_tensors
from emotion.serving.requests import RequestError
from emotion.serving.service import Service
from emotion.web import description, server_page

_NO_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False}
"""Of FastAPI, which would tell OpenTelemetry, where that is set up, of exceptions that may hold texts."""


def create_app(predictor: Predictor, config: ServeConfig, token: str | None = None) -> FastAPI:
    """Build the server's ASGI application.

    Args:
        predictor: The model; used by one thread at a time.
        config: The limits.
        token: What clients must give as ``Authorization: Bearer``; None = nothing.
    """
    service = Service(predictor, config)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await service.close()

    app = FastAPIOffline(
        title=f"{predictor.model_name}: emotions of texts",
        version=__version__,
        redoc_url=None,
        favicon_url="data:,",
        static_url=DOCS_FILES,
        lifespan=lifespan,
        telemetry=_NO_TELEMETRY,
    )
    app.add_middleware(
        Limits,
        most_bytes=int(config.max_body_mb * 1e6),
        seconds=config.patience_seconds,
        token=token,
        on_refusal=lambda status: service.metrics.requests("refused", status).inc(),
    )
    app.add_exception_handler(HTTPException, _no_such_place)
    app.add_exception_handler(Exception, _failed)
    _add_predict(app, service)
    _add_open_inference(app, service)
    _add_probes(app, service)
    _add_page(app, service)
    if token is not None:
        describe_token(app)
    return app


def _add_predict(app: FastAPI, service: Service) -> None:
    """Add the endpoint in the form of Hugging Face and text-embeddings-inference."""
    labels = service.predictor.labels

    async def predict(request: Request) -> Response:
        """Give each text its labels and their calibrated probabilities, the most probable first."""

        async def work() -> Any:
            asked = parse_texts(await whole_body(request))
            texts = [asked.inputs] if isinstance(asked.inputs, str) else asked.inputs
            found = [scores(each, labels, asked.parameters) for each in await service.answers(texts, request)]
            return found[0] if isinstance(asked.inputs, str) else found

        return await service.respond("predict", work)

    add_post(app, "/predict", predict, TextsRequest, REFUSED, response_model=list[Score] | list[list[Score]])


def _add_open_inference(app: FastAPI, service: Service) -> None:
    """Add the Open Inference Protocol, version 2."""
    name, labels = service.predictor.model_name, service.predictor.labels
    tensors = output_tensors(labels, tells_unfamiliar=service.predictor.familiarity is not None)

    async def infer(model: str, request: Request) -> Response:
        """Answer a request of the Open Inference Protocol: label, index, probabilities, truncated and unfamiliar."""

        async def work() -> Any:
            _require_name(model, name)
            length = request.headers.get("inference-header-content-length")
            if length is not None and not re.fullmatch(r"[0-9]{1,18}", length):
                raise RequestError("Inference-Header-Content-Length: must be a number of bytes")
            asked, texts = InferRequest.parse(await whole_body(request), None if length is None else int(length))
            wanted = asked.wanted(tensors)
            return infer_response(name, asked, await service.answers(texts, request), labels, wanted)

        return await service.respond("infer", work)

    add_post(app, "/v2/models/{model}/infer", infer, InferRequest, REFUSED | UNKNOWN)

    @app.get("/v2/models/{model}", responses=UNKNOWN)
    async def metadata(model: str) -> Response:
        """Describe the model."""

        async def work() -> Any:
            _require_name(model, name)
            return model_metadata(name, tensors)

        return await service.respond("metadata", work)

    @app.get("/v2/models/{model}/ready", responses=UNKNOWN)
    async def model_ready(model: str) -> Response:
        """Tell whether the model answers."""

        async def work() -> Any:
            _require_name(model, name)
            return {"name": name, "ready": True}

        return await service.respond("model_ready", work)

    @app.get("/v2")
    async def server_metadata() -> dict[str, Any]:
        """Describe the server."""
        return {"name": "emotion-classifier", "version": __version__, "extensions": ["binary_tensor_data"]}


def _add_probes(app: FastAPI, service: Service) -> None:
    """Add what those who watch the server ask for."""

    @app.head("/health", include_in_schema=False)
    @app.get("/health")
    @app.get("/v2/health/live")
    async def health() -> dict[str, bool]:
        """Tell that the server runs."""
        return {"live": True}

    @app.head("/ready", include_in_schema=False)
    @app.get("/ready")
    @app.get("/v2/health/ready")
    async def ready() -> dict[str, bool]:
        """Tell that the model is loaded: the server listens only then."""
        return {"ready": True}

    @app.get("/metrics")
    async def metrics() -> Response:
        """Counts and latencies for Prometheus."""
        return Response(service.metrics.page(), media_type="text/plain; version=0.0.4")


def _add_page(app: FastAPI, service: Service) -> None:
    """Add the page on which people try the model."""
    at_once = min(service.config.batch_size, service.config.max_texts)
    page = server_page(description(service.predictor) | {"atOnce": at_once})

    @app.head("/", include_in_schema=False)
    @app.get("/", include_in_schema=False)
    async def root() -> Response:
        """The page on which people try the model."""
        return Response(page, media_type="text/html")


def _require_name(asked: str, name: str) -> None:
    if asked != name:
        raise RequestError(f"model: must be {name}, found {quoted(asked)}", 404)


async def _no_such_place(request: Request, error: Exception) -> Response:
    """Refuse another path or method in the form that all errors of the server have."""
    assert isinstance(error, HTTPException)
    reason = f"must be one of those that /docs describes, found {request.method} {quoted(request.url.path)}"
    content = {"error": f"request: {reason}"}
    return Response(to_json(content), error.status_code, error.headers, media_type="application/json")


async def _failed(_: Request, __: Exception) -> Response:
    """Tell that the server failed; what happened is in its log alone."""
    return Response(to_json({"error": "server: failed; its log says why"}), 500, media_type="application/json")
