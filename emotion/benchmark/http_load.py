"""Ask a server on this machine, by one client or several, and time each answer."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from itertools import cycle
from time import perf_counter

from emotion.errors import UserError

HOST = "127.0.0.1"


def ask(
    port: int, texts: Sequence[str], clients: int, *, at_least: float = 0, within: float | None = None
) -> tuple[list[float], float]:
    """Send each text as a request of its own, over one connection a client.

    Args:
        port: Of the server, on this machine.
        texts: At least one.
        clients: Who ask at the same time, each for one text after the other.
        at_least: Seconds for which they ask; clients begin anew with their texts until then.
        within: Seconds that all of it may take; None = any time.

    Returns:
        The seconds of each request, and those of all together.

    Raises:
        UserError: An answer is not 200.
        TimeoutError: It takes longer than ``within``.
    """
    return asyncio.run(asyncio.wait_for(_ask(port, texts, clients, at_least), within))


async def _ask(port: int, texts: Sequence[str], clients: int, at_least: float) -> tuple[list[float], float]:
    started = perf_counter()
    shares = [texts[client::clients] for client in range(clients)]
    seconds = await asyncio.gather(*(_client(port, share, started + at_least) for share in shares))
    return [each for share in seconds for each in share], perf_counter() - started


async def _client(port: int, texts: Sequence[str], until: float) -> list[float]:
    reader, writer = await asyncio.open_connection(HOST, port)
    seconds: list[float] = []
    try:
        for text in cycle(texts):
            if len(seconds) >= len(texts) and perf_counter() >= until:
                break
            seconds.append(await _request(reader, writer, text))
        return seconds
    finally:
        writer.close()
        with suppress(OSError):  # the server may have gone first
            await writer.wait_closed()


async def _request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, text: str) -> float:
    body = json.dumps({"inputs": text}).encode()
    headers = f"Host: {HOST}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    started = perf_counter()
    writer.write(f"POST /predict HTTP/1.1\r\n{headers}\r\n\r\n".encode() + body)
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
    size = next(int(line.split(":")[1]) for line in lines if line.startswith("content-length:"))
    answer = await reader.readexactly(size)
    seconds = perf_counter() - started
    if " 200 " not in lines[0]:
        raise UserError(f"serve: must answer with 200, found {lines[0]}: {answer[:200].decode(errors='replace')}")
    return seconds
