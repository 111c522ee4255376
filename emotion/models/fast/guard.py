"""Say once what stays plain, and why."""

import logging
from functools import cache

log = logging.getLogger(__name__)


@cache
def stays_plain(what: str, why: str) -> None:
    """Log, the first time in a process, that ``what`` runs as its library wrote it because ``why``."""
    log.warning("fast: not applied to %s, as %s", what, why)
