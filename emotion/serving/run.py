"""Start the server, and end it when it is told to."""

import errno
import gc
import ipaddress
import logging
import math
import os
import re
import socket
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib import import_module
from typing import Any

from emotion.checkpoint import load
from emotion.errors import UserError
from emotion.models import Predictor, pick_device
from emotion.serving.config import ServeConfig

log = logging.getLogger(__name__)

PACKAGES = ("fastapi", "fastapi_offline", "uvicorn", "httptools", "prometheus_client")
_BACKLOG = 2048
"""Connections that may wait to be accepted, as many as uvicorn's own default."""
_OBJECTS_BEFORE_GARBAGE = 10_000
"""Objects that may be made, beyond those given up, before Python looks for garbage. Its own 700 are fewer than some
dozen requests hold at once, so that it would look during each batch, and find none."""
TOKEN = "EMOTION_API_TOKEN"
"""Environment variable with the token that clients must give."""


def serve(config: ServeConfig) -> None:
    """Answer requests until SIGTERM or SIGINT; requests that were taken are finished first.

    Raises:
        UserError: The model cannot be loaded, the address cannot be listened at, or a package is missing.
    """
    for name in PACKAGES:
        _require(name)
    _allow_connections()
    token = read_token(os.environ)
    listener = listen(config.host, config.port)
    try:
        # A thread that computed keeps a team of OpenMP's threads until it ends. Threads that wait for work answer 1.5
        # times as fast while they spin, and they spin only while there are no more of them than cores: the batcher's
        # thread is to be the only one with a team.
        with ThreadPoolExecutor(1) as starter:
            predictor = starter.submit(_warm_predictor, config).result()
        host, port = listener.getsockname()[:2]
        if token is None and not _is_loopback(host):
            log.warning("host: whoever reaches %s can use the model, as %s is not set", host, TOKEN)
        server = new_server(predictor, config, token)
        # What is there now stays: looking through it for garbage made clients wait for up to a quarter of a second.
        gc.collect()
        gc.freeze()
        gc.set_threshold(_OBJECTS_BEFORE_GARBAGE)
        _listen(listener, config)  # whoever reads the next line may ask at once
        name = f"[{host}]" if ":" in host else host
        log.info("%s answers at http://%s:%d (POST /predict; docs at /docs)", predictor.model_name, name, port)
        server.run(sockets=[listener])
    finally:
        listener.close()


def read_token(environment: Mapping[str, str]) -> str | None:
    """Return what clients must give, or None if :data:`TOKEN` is not set or empty.

    Raises:
        UserError: No header can hold it.
    """
    token = environment.get(TOKEN) or None
    if token is not None and not re.fullmatch(r"[!-~]+", token):
        raise UserError(f"{TOKEN}: must consist of printable ASCII characters without spaces, found others")
    return token


def _warm_predictor(config: ServeConfig) -> Predictor:
    """Load the model, and let it predict for the first time, which takes longer."""
    predictor = load(config.weights, pick_device(config.accelerator), config.fast)
    predictor.predict_texts(["the first text of a process takes longer"])
    predictor.predict_texts(["and so does the first long text " * 40, "of two"])
    return predictor


def new_server(predictor: Predictor, config: ServeConfig, token: str | None) -> Any:
    """Return the ``uvicorn.Server`` that answers by ``predictor``."""
    import uvicorn

    from emotion.serving.app import create_app
    from emotion.serving.connections import impatient

    return uvicorn.Server(
        uvicorn.Config(
            create_app(predictor, config, token),
            http=impatient(config.patience_seconds),
            ws="none",
            access_log=False,
            log_config=None,
            log_level="warning",
            timeout_graceful_shutdown=math.ceil(config.stop_seconds),
        )
    )


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that is bound to the address, before a model is loaded, so that a mistake shows at once.

    Raises:
        UserError: The address is not this machine's, or is in use.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"host: must be an address of this machine, found {host} ({reason})") from error
    listener = socket.socket(family, kind, protocol)
    if os.name == "posix":  # elsewhere it would let two servers have one port
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise _unusable(host, port, error) from error
    return listener


def _listen(listener: socket.socket, config: ServeConfig) -> None:
    try:
        listener.listen(_BACKLOG)
    except OSError as error:  # another server was started at the same time, and was faster
        raise _unusable(config.host, config.port, error) from error


def _unusable(host: str, port: int, error: OSError) -> UserError:
    if error.errno == errno.EADDRINUSE:
        return UserError(f"port: must be free to listen at, found {host}:{port} ({error.strerror})")
    if error.errno == errno.EACCES:
        return UserError(f"port: must be one that this user may listen at, found {port} ({error.strerror})")
    return UserError(f"host: must be an address of this machine, found {host} ({error.strerror})")


def _allow_connections() -> None:
    """Allow this process as many open connections as the system lets it: the usual 1,024 are soon taken."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    for count in (most, 65_536, 10_240):  # macOS does not take all that it says it would
        if count in (now, resource.RLIM_INFINITY) or count < now:
            continue
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (count, most))
            return


def _is_loopback(host: str) -> bool:
    return ipaddress.ip_address(host.split("%")[0]).is_loopback


def _require(name: str) -> None:
    try:
        import_module(name)
    except ModuleNotFoundError as error:
        raise UserError(f'the server needs {name}, found no {error.name}: pip install -e ".[serve]"') from error
