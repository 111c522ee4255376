"""What this machine's processor can multiply."""

import platform
import sys
from collections.abc import Collection
from pathlib import Path

_DOT_PRODUCTS = {"avx512_vnni", "avx_vnni", "amx_int8"}


def int8_products_overflow(machine: str | None = None, flags: Collection[str] | None = None) -> bool:
    """Return whether products of 8-bit numbers overflow when two are added, so that INT8 weights need 7 bits.

    They do on x86 without VNNI. Only Linux lists a processor's flags; elsewhere an x86 counts as one without.

    Args:
        machine: As :func:`platform.machine` names it; None = this machine.
        flags: Of the processor, as in ``/proc/cpuinfo``; None = this processor's.

    Source: the section on "reduce_range" in ONNX Runtime's documentation of quantisation.
    """
    if (machine or platform.machine()).lower() in ("arm64", "aarch64"):
        return False
    return _DOT_PRODUCTS.isdisjoint(_flags() if flags is None else flags)


def _flags() -> list[str]:
    if sys.platform != "linux":
        return []
    lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    return next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), [])
