"""Which processors multiply 8-bit numbers exactly."""

import platform
import re
import sys
from pathlib import Path

import pytest

from emotion.models import int8_products_overflow


@pytest.mark.parametrize(
    ("machine", "flags", "overflows"),
    [
        ("x86_64", ["avx2", "fma"], True),
        ("x86_64", ["avx2", "avx512f", "avx512bw"], True),
        ("x86_64", ["avx2", "avx512_vnni"], False),
        ("AMD64", ["avx_vnni"], False),
        ("x86_64", ["amx_int8"], False),
        ("AMD64", [], True),
        ("arm64", [], False),
        ("aarch64", [], False),
    ],
)
def test_products_overflow_on_x86_without_vnni(machine: str, flags: list[str], overflows: bool) -> None:
    assert int8_products_overflow(machine, flags) == overflows


@pytest.mark.skipif(sys.platform != "linux" or platform.machine() != "x86_64", reason="reads an x86 Linux's flags")
def test_this_processor_is_what_its_flags_say() -> None:
    flags = Path("/proc/cpuinfo").read_text()
    assert int8_products_overflow() == (re.search(r"\b(avx512_vnni|avx_vnni|amx_int8)\b", flags) is None)
