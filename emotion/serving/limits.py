"""Refuse requests that are too large or too slow, and those without the token, before anything reads them."""

import asyncio
import hmac
import json
from collections.abc import Callable, Mapping
from contextlib import suppress

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from emotion.serving.batching import CLIENT_GONE, ClientGone

DOCS_FILES = "/docs-files"
"""Where the script and the style of ``/docs`` are."""
OPEN_PATHS = ("/", "/docs", "/openapi.json", "/health", "/ready", "/v2/health/live", "/v2/health/ready")
"""Answered without the token, as is :data:`DOCS_FILES`: the pages, which ask for it, and whether the server runs."""
_READ_AND_THROWN_AWAY = 10
"""Times the largest body, of one that is refused."""


async def whole_body(request: Request) -> bytes:
    """Return the body of a request that :class:`Limits` let in; it comes in one message, and can be taken once."""
    body: bytes = (await request.receive())["body"]
    return body


class Limits:
    """Reads each request's body whole before the application sees it.

    Args:
        app: The application.
        most_bytes: Of a body.
        seconds: For a body, from its headers on.
        token: What ``Authorization: Bearer`` must give; None = nothing is asked for.
        on_refusal: Called with the status of each request that is refused.
    """

    def __init__(
        self,
        app: ASGIApp,
        most_bytes: int,
        seconds: float,
        token: str | None,
        on_refusal: Callable[[int], object] = lambda _: None,
    ) -> None:
        self.app, self.most_bytes, self.seconds, self.on_refusal = app, most_bytes, seconds, on_refusal
        self.token = None if token is None else token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        if not self._may_enter(scope["path"], headers):
            reason = "must give the token, as Authorization: Bearer TOKEN, found " + (
                "another" if b"authorization" in headers else "none"
            )
            await self._refuse(receive, send, 401, reason, {"www-authenticate": "Bearer"})
            return
        length = headers.get(b"content-length", b"")
        if length.isdigit() and int(length) > self.most_bytes:
            await self._refuse_size(receive, send, f"{int(length):,}")
            return
        try:
            async with asyncio.timeout(self.seconds):
                body = await self._read(receive)
        except ClientGone:
            self.on_refusal(CLIENT_GONE)
            return
        except TimeoutError:
            await self._refuse(None, send, 408, f"must come within {self.seconds:g} seconds, found a part of it")
            return
        if body is None:
            await self._refuse_size(receive, send, "more")
            return
        messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return messages.pop() if messages else await receive()

        await self.app(scope, replay, send)

    def _may_enter(self, path: str, headers: Mapping[bytes, bytes]) -> bool:
        if self.token is None or path in OPEN_PATHS or path.startswith(f"{DOCS_FILES}/"):
            return True
        scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
        return scheme.lower() == b"bearer" and hmac.compare_digest(given.strip(), self.token)

    async def _read(self, receive: Receive) -> bytes | None:
        """Return the body; None if it is too large. Raises :class:`ClientGone`."""
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self.most_bytes:
                return None
            if not message.get("more_body", False):
                return b"".join(parts)

    async def _refuse_size(self, receive: Receive, send: Send, found: str) -> None:
        await self._refuse(receive, send, 413, f"must have at most {self.most_bytes:,} bytes, found {found}")

    async def _refuse(
        self, receive: Receive | None, send: Send, status: int, reason: str, headers: Mapping[str, str] | None = None
    ) -> None:
        """Send an error in the form that all errors of the server have, and close the connection.

        Args:
            receive: Gives the rest of the body, which is read first, and thrown away: a connection that is closed
                while its client still sends takes the error with it. None = the client does not send.
            send: Takes the response.
            status: Of HTTP.
            reason: What is wrong.
            headers: Further headers.
        """
        self.on_refusal(status)
        body = json.dumps({"error": f"request: {reason}"}).encode()
        given = {"content-type": "application/json", "content-length": str(len(body)), "connection": "close"}
        encoded = [(name.encode(), value.encode()) for name, value in {**given, **(headers or {})}.items()]
        await send({"type": "http.response.start", "status": status, "headers": encoded})
        await send({"type": "http.response.body", "body": body, "more_body": True})
        if receive is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.seconds):
                    await self._throw_away(receive)
        await send({"type": "http.response.body", "body": b""})

    async def _throw_away(self, receive: Receive) -> None:
        """Read the rest of a body, or as much of it as a client may send in good faith."""
        size = 0
        while size <= _READ_AND_THROWN_AWAY * self.most_bytes:
            message = await receive()
            size += len(message.get("body", b""))
            if message["type"] == "http.disconnect" or not message.get("more_body", False):
                return
