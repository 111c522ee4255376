"""Close connections that never send a request, which uvicorn keeps for ever."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


def impatient(seconds: float) -> type[asyncio.Protocol]:
    """Return uvicorn's protocol with ``seconds`` for the headers of each connection's first request."""

    class ImpatientProtocol(HttpToolsProtocol):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._waiting_for_headers = self.loop.call_later(seconds, transport.close)

        def on_headers_complete(self) -> None:
            self._waiting_for_headers.cancel()
            super().on_headers_complete()

        def connection_lost(self, exc: Exception | None) -> None:
            self._waiting_for_headers.cancel()
            super().connection_lost(exc)

    return ImpatientProtocol
