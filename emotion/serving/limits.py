"""Refuse requests that are too large or too slow, and those without the token, before anything reads them."""

import asyncio
import hmac
import json
from collections.abc import Mapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

OPEN_PATHS = ("/", "/health", "/ready", "/v2/health/live", "/v2/health/ready")
"""Answered without the token: the page, which asks for it, and whether the server runs."""


class Limits:
    """Reads each request's body whole before the application sees it.

    Args:
        app: The application.
        most_bytes: Of a body.
        seconds: For a body, from its headers on.
        token: What ``Authorization: Bearer`` must give; None = nothing is asked for.
    """

    def __init__(self, app: ASGIApp, most_bytes: int, seconds: float, token: str | None) -> None:
        self.app, self.most_bytes, self.seconds = app, most_bytes, seconds
        self.expected = None if token is None else b"Bearer " + token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        if not self._may_enter(scope["path"], headers):
            await refuse(send, 401, "must give the token: Authorization: Bearer ...", {"www-authenticate": "Bearer"})
            return
        length = headers.get(b"content-length", b"")
        if length.isdigit() and int(length) > self.most_bytes:
            await self._refuse_size(send)
            return
        try:
            async with asyncio.timeout(self.seconds):
                body = await self._read(receive)
        except TimeoutError:
            await refuse(send, 408, f"must send the request within {self.seconds:g} seconds", {"connection": "close"})
            return
        if body is None:
            await self._refuse_size(send)
            return
        messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return messages.pop() if messages else await receive()

        await self.app(scope, replay, send)

    def _may_enter(self, path: str, headers: Mapping[bytes, bytes]) -> bool:
        if self.expected is None or path in OPEN_PATHS:
            return True
        return hmac.compare_digest(headers.get(b"authorization", b""), self.expected)

    async def _read(self, receive: Receive) -> bytes | None:
        """Return the body; None if it is too large."""
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return b""  # nobody waits for an answer
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self.most_bytes:
                return None
            if not message.get("more_body", False):
                return b"".join(parts)

    async def _refuse_size(self, send: Send) -> None:
        reason = f"must have at most {self.most_bytes:,} bytes"
        await refuse(send, 413, reason, {"connection": "close"})


async def refuse(send: Send, status: int, reason: str, headers: Mapping[str, str] | None = None) -> None:
    """Send an error in the form that all errors of the server have."""
    body = json.dumps({"error": f"request: {reason}"}).encode()
    given: dict[str, Any] = {"content-type": "application/json", "content-length": str(len(body)), **(headers or {})}
    encoded = [(name.encode(), value.encode()) for name, value in given.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})
