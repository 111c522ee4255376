"""Let the C library keep what tensors free: asking the system for the same pages takes a tenth of each step.

Only programs call this, namely the scripts and ``emotion_classifier.py``, as it holds for the whole process.
"""

import ctypes
import platform

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Parameters of ``malloc.h``."""
_GIGABYTE = 2**30
_MOST_BEFORE_2_35 = 2**25
"""The most that older releases of glibc accept."""


def keep_freed_memory() -> None:
    """Take blocks of up to 1 GB from the heap, and keep up to 2 GB that is free there; only on glibc.

    It holds for the whole process; the most memory that the process uses does not change.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL("libc.so.6")
        if not libc.mallopt(_M_MMAP_THRESHOLD, _GIGABYTE):
            libc.mallopt(_M_MMAP_THRESHOLD, _MOST_BEFORE_2_35)
        libc.mallopt(_M_TRIM_THRESHOLD, 2 * _GIGABYTE - 1)
