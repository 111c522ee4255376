"""Let the C library keep what tensors free: asking the system for the same pages in each step costs a tenth of it.

Only programs call this, as it holds for the whole process: the scripts and ``emotion_classifier.py`` do.
"""

import ctypes
import platform

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Of ``malloc.h``."""
_GIGABYTE = 2**30
_MOST_BEFORE_2_35 = 2**25
"""That older releases of glibc accept."""


def keep_freed_memory() -> None:
    """Take blocks of up to 1 GB from the heap, and keep up to 2 GB that is free there; on glibc alone.

    It holds for the whole process; the most memory that the process uses stays what it was.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL("libc.so.6")
        if not libc.mallopt(_M_MMAP_THRESHOLD, _GIGABYTE):
            libc.mallopt(_M_MMAP_THRESHOLD, _MOST_BEFORE_2_35)
        libc.mallopt(_M_TRIM_THRESHOLD, 2 * _GIGABYTE - 1)
