"""Freed memory is kept, so that taking it again causes few page faults."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import torch
from emotion.models.fast import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
def faults():
    for _ in range(20):
        torch.ones(12_000_000)  # 48 MB, more than glibc takes from its heap by itself
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
faults()
before = faults()
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the allocator of other systems is left alone")
def test_memory_that_was_freed_is_used_again() -> None:
    def faults(choice: str) -> int:
        done = subprocess.run([sys.executable, "-c", PROGRAM, choice], capture_output=True, text=True, check=True)
        return int(done.stdout)

    assert 10 * faults("kept") < faults("given back")
