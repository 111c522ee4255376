"""Connect to a Ray cluster, or start an instance of Ray on this machine."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from emotion.errors import UserError, first_line


@contextmanager
def ray_cluster(cpus: int | None, address: str | None, key: str) -> Iterator[None]:
    """Connect to a cluster, or start one here, and leave or end it; without Ray's own messages.

    Args:
        cpus: Cores of an instance on this machine; None = all.
        address: Of a cluster, such as ``ray://host:10001``, or ``auto`` for the one that this machine is part of;
            None = an instance of Ray on this machine.
        key: The setting that ``address`` comes from; errors begin with it.

    Raises:
        UserError: There is no such cluster, or Ray does not start.
    """
    import ray

    if address is not None:
        require_listener(address, key)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    settings: dict[str, Any] = (
        {"address": address} if address else {"address": "local", "num_cpus": cpus, "include_dashboard": False}
    )
    try:
        ray.init(**settings, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # where one of Ray's processes ends early, of no kind of its own
        if address is None:
            raise UserError(f"Ray must start on this machine, found that it did not: {first_line(error)}") from error
        raise UserError(f"{key}: must be of a Ray cluster, found none at {address}: {first_line(error)}") from error
    try:
        yield
    finally:
        ray.shutdown()


def require_listener(address: str, key: str) -> None:
    """Raise :class:`UserError` if nobody listens at ``[ray://]host:port``, which Ray itself would try for long."""
    host, separator, port = address.removeprefix("ray://").rpartition(":")
    if not separator or not port.isdecimal():
        return  # a name that Ray knows, such as auto, or one that it refuses at once
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise UserError(f"{key}: must be of a Ray cluster, found none at {address}: {first_line(error)}") from error
