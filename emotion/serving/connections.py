"""Close connections whose requests never begin, or whose headers never end: uvicorn keeps them for ever."""

import asyncio
import json
import re
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD_BYTES = 65_536
"""Of the request line and the headers; other servers allow 8 to 64 KiB."""
_UPGRADE = re.compile(rb"\r\nupgrade:", re.IGNORECASE)


def impatient(seconds: float) -> type[asyncio.Protocol]:
    """Return uvicorn's protocol with ``seconds``, and :data:`MOST_HEAD_BYTES`, for the head of each request.

    The first request's time counts from the connection, a later one's from its first byte. Each request's
    ``scope["state"]["has_gone"]`` tells whether its client has closed the connection.
    """

    class ImpatientProtocol(HttpToolsProtocol):
        _timer: asyncio.TimerHandle | None = None
        """Runs while a head is waited for."""
        _head_bytes = 0

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._start()

        def data_received(self, data: bytes) -> None:
            self._head_bytes += len(data)
            super().data_received(_without_upgrade(data) if self._timer is not None else data)
            if self._timer is not None and self._head_bytes > MOST_HEAD_BYTES:
                reason = f"must have at most {MOST_HEAD_BYTES:,} bytes of headers"
                self._refuse("431 Request Header Fields Too Large", reason)
            elif self._timer is None and self._is_idle() and self.timeout_keep_alive_task is None:
                self._start()  # a blank line begins no request, but it has ended the wait for one

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self.scope["state"]["has_gone"] = self.transport.is_closing
            if self._timer is None:
                self._start()

        def on_headers_complete(self) -> None:
            self._stop()
            super().on_headers_complete()

        def on_message_complete(self) -> None:
            super().on_message_complete()
            if not self.pipeline:
                self.flow.resume_reading()  # uvicorn pauses within a long body, and would not see its client leave

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop()
            super().connection_lost(exc)

        def send_400_response(self, msg: str) -> None:  # noqa: ARG002, as uvicorn gives it
            self._refuse("400 Bad Request", "must be of HTTP")

        def _is_idle(self) -> bool:
            return self.cycle is None or self.cycle.response_complete

        def _start(self) -> None:
            self._head_bytes = 0
            self._timer = self.loop.call_later(seconds, self._give_up)

        def _stop(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _give_up(self) -> None:
            if self._is_idle():
                self.transport.close()
            else:  # an earlier request of the connection has not been answered
                self._start()

        def _refuse(self, status: str, reason: str) -> None:
            """Answer in the form that all errors of the server have, unless another answer is under way, and close."""
            self._stop()
            if self._is_idle() and not self.transport.is_closing():
                body = json.dumps({"error": f"request: {reason}"})
                head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
                self.transport.write(f"{head}connection: close\r\n\r\n{body}".encode())
            self.transport.close()

    return ImpatientProtocol


def _without_upgrade(data: bytes) -> bytes:
    """Rename the header ``Upgrade`` in the head that ``data`` begins in: curl and Java offer HTTP/2 by it.

    A server may ignore the offer, but the parser ends at it, and would lose the body.
    """
    head, end, body = data.partition(b"\r\n\r\n")
    return _UPGRADE.sub(b"\r\nignored:", head) + end + body
