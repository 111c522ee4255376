"""Put a server under a steady load for long, then under far too much, and tell how it stood both.

python scripts/soak_server.py weights.onnx texts.csv [--minutes 20] [--share 0.8] [--clients 32] [--json FILE]

The server is scripts/serve.py with its defaults, but for its port and for ``max_waiting=200``, which the overload
exceeds. First all clients ask as fast as they are answered, for a quarter of a minute; then together at the given share
of that speed. Then 100 clients ask for 64 texts at a time for ten seconds, and one asks alone as soon as they stop.
"""

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import quantiles
from time import perf_counter
from typing import Any

from emotion.config import PROJECT
from emotion.data import open_csv
from emotion.errors import UserError
from emotion.reporting import hardware
from emotion.serving import TOKEN

HOST = "127.0.0.1"
FULL_SECONDS, OVERLOAD_SECONDS = 15, 10
OVERLOADING_CLIENTS, OVERLOADING_TEXTS, MAX_WAITING = 100, 64, 200


@contextmanager
def server(weights: Path) -> Iterator[tuple[int, int]]:
    """Start the server; yield its process and its port."""
    command = [sys.executable, str(PROJECT / "scripts" / "serve.py"), f"weights='{weights.resolve()}'", "port=0"]
    environment = {name: value for name, value in os.environ.items() if name != TOKEN}
    with subprocess.Popen(
        [*command, f"max_waiting={MAX_WAITING}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    ) as process:
        try:
            assert process.stdout is not None
            line = ""
            for line in process.stdout:
                if found := re.search(r"answers at http://\S+:(\d+)", line):
                    yield process.pid, int(found[1])
                    return
            sys.exit(f"{weights}: must be served, found: {line.strip()}")
        finally:
            process.terminate()


async def post(port: int, texts: str | list[str]) -> int:
    """Ask over a connection of its own; return the status."""
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        return await post_over(reader, writer, texts)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def post_over(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, texts: str | list[str]) -> int:
    """Ask over a connection; return the status."""
    body = json.dumps({"inputs": texts}).encode()
    writer.write(f"POST /predict HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    await reader.readexactly(int(re.search(r"content-length: (\d+)", head)[1]))  # type: ignore[index]
    return int(head.split()[1])


async def load(port: int, texts: list[str], clients: int, seconds: float, rate: float | None) -> dict[str, Any]:
    """Let clients ask for a text at a time, as fast as they are answered or ``rate`` texts a second together.

    Returns:
        Requests a second, how many had which status, and percentiles of their milliseconds.
    """
    statuses, times = Counter[int](), list[float]()
    start = perf_counter()

    async def client(number: int) -> None:
        reader, writer = await asyncio.open_connection(HOST, port)
        turn = 0
        while (now := perf_counter() - start) < seconds:
            due = now if rate is None else (turn * clients + number) / rate
            if due > now:
                await asyncio.sleep(due - now)
            asked = start + due  # so that a request that a stall delays counts as slow
            statuses[await post_over(reader, writer, texts[(turn * clients + number) % len(texts)])] += 1
            times.append(1000 * (perf_counter() - asked))
            turn += 1
        writer.close()

    await asyncio.gather(*map(client, range(clients)))
    hundredths = quantiles(times, n=100)
    return {
        "requests_per_second": len(times) / (perf_counter() - start),
        "statuses": dict(statuses),
        "p50_ms": hundredths[49],
        "p99_ms": hundredths[98],
    }


async def overload(port: int, texts: list[str]) -> dict[str, Any]:
    """Ask for too much; return how many requests had which status, and the seconds until one is answered again."""
    statuses = Counter[int]()
    end = perf_counter() + OVERLOAD_SECONDS

    async def client(number: int) -> None:
        while perf_counter() < end:
            first = number * OVERLOADING_TEXTS % len(texts)
            status = await post(port, [*texts, *texts][first : first + OVERLOADING_TEXTS])
            statuses[status] += 1
            if status == 429:
                await asyncio.sleep(0.1)

    clients = [asyncio.create_task(client(number)) for number in range(OVERLOADING_CLIENTS)]
    await asyncio.sleep(OVERLOAD_SECONDS)
    start = perf_counter()
    while await post(port, texts[0]) != 200:
        await asyncio.sleep(0.01)
    recovered = perf_counter() - start
    await asyncio.gather(*clients)
    return {"statuses": dict(statuses), "seconds_until_answered": recovered}


def memory_mb(process: int) -> float:
    """Return the resident memory of a process, 1e6 bytes."""
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{process}/status").read_text())[1]) * 1024 / 1e6  # type: ignore[index]


async def soak(process: int, port: int, texts: list[str], options: argparse.Namespace) -> dict[str, Any]:
    """Do all of it; return what was found."""
    full = await load(port, texts, options.clients, FULL_SECONDS, None)
    rate = options.share * full["requests_per_second"]
    seconds, memory = 60 * options.minutes, list[float]()

    async def watch() -> None:
        while True:
            memory.append(memory_mb(process))
            await asyncio.sleep(seconds / 60)

    watcher = asyncio.create_task(watch())
    steady = await load(port, texts, options.clients, seconds, rate)
    watcher.cancel()
    steady["memory_mb"] = {"first": memory[1], "last": memory[-1], "most": max(memory)}
    return {"as_fast_as_possible": full, "steady": steady, "overload": await overload(port, texts)}


def main() -> None:
    """Parse the command line, start the server, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("texts", type=Path, help="a CSV with the column text")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--share", type=float, default=0.8)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--json", type=Path, help="where to write what was found, too")
    options = parser.parse_args()
    for name in ("minutes", "share", "clients"):
        if not getattr(options, name) > 0:
            sys.exit(f"--{name}: must be > 0, found {getattr(options, name)}")
    if not Path("/proc/self/status").is_file():
        sys.exit("soak_server.py needs Linux: it reads the server's memory in /proc")
    if options.json is not None and not options.json.resolve().parent.is_dir():
        sys.exit(f"--json: must be in a folder that is there, found {options.json}")
    try:
        texts = open_csv(options.texts, ["text"], "texts").texts("text")
    except UserError as error:
        sys.exit(str(error))
    if not texts:
        sys.exit(f"{options.texts}: must have texts in its column text, found none")
    with server(options.weights) as (process, port):
        found = asyncio.run(soak(process, port, texts, options))
    settings = {name: getattr(options, name) for name in ("minutes", "share", "clients")}
    record = {"model": options.weights.name, **settings, "hardware": hardware(), **found}
    print(json.dumps(record, indent=1))
    if options.json is not None:
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
