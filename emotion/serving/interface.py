"""What the server says of its interface, at ``/openapi.json``."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict
from starlette.types import Receive, Scope, Send


class Problem(BaseModel):
    """Why a request was not answered."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"error": "inputs: must be given, found none"}]})

    error: str
    """What is wrong: the key, the rule, and what was found."""


UNKNOWN: dict[int | str, dict[str, Any]] = {
    404: {"model": Problem, "description": "The model has another name"},
    "default": {"model": Problem, "description": "The token is missing, or the server failed"},
}
"""Errors of endpoints that name the model."""
REFUSED: dict[int | str, dict[str, Any]] = {
    401: {"model": Problem, "description": "The token is missing or wrong"},
    408: {"model": Problem, "description": "The request took too long to come"},
    413: {"model": Problem, "description": "Too many texts, too long a text, or too large a request"},
    422: {"model": Problem, "description": "The request is malformed, or the model cannot answer one of its texts"},
    429: {"model": Problem, "description": "Too many texts wait; try again in a second"},
    500: {"model": Problem, "description": "The server failed; its log says why"},
    503: {"model": Problem, "description": "The server was stopped before it had an answer"},
}
"""Errors of endpoints that take texts."""


class _PlainRoute(APIRoute):
    """Gives an endpoint its request as it is: FastAPI's own handling of requests takes longer than ours."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.app = self._respond

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        response: Response = await self.endpoint(request=Request(scope, receive), **scope["path_params"])
        await response(scope, receive, send)


def add_post(
    app: FastAPI,
    path: str,
    endpoint: Callable[..., Any],
    form: type[BaseModel],
    errors: dict[int | str, dict[str, Any]],
    response_model: Any = None,
) -> None:
    """Add an endpoint that reads its body itself, as its errors are to have the server's form, and describe it."""
    schema = form.model_json_schema()
    schema = _without_references(schema, schema.pop("$defs", {}))
    body = {"required": True, "content": {"application/json": {"schema": schema}}}
    app.router.add_api_route(
        path,
        endpoint,
        methods=["POST"],
        response_model=response_model,
        responses=errors,
        openapi_extra={"requestBody": body},
        route_class_override=_PlainRoute,
    )


def _without_references(schema: Any, definitions: dict[str, Any]) -> Any:
    """Put definitions in the place of their references, which would be looked up in the whole document."""
    if isinstance(schema, list):
        return [_without_references(each, definitions) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if (reference := schema.get("$ref")) is not None:
        return _without_references(definitions[reference.removeprefix("#/$defs/")], definitions)
    return {key: _without_references(each, definitions) for key, each in schema.items()}


def describe_token(app: FastAPI) -> None:
    """Let the description say, and its page ask, what clients must give."""
    described = app.openapi()  # made once, and kept
    described["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    described["security"] = [{"token": []}]
