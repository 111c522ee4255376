"""What a report says of the machine."""

import os
import platform
import shutil
import subprocess
import sys

import pytest

from emotion.reporting import hardware


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64" or shutil.which("lscpu") is None,
    reason="lscpu tells what it is compared with, on Linux with x86 processors",
)
def test_the_processor_is_told_from_others_of_its_maker() -> None:
    environment = os.environ | {"LC_ALL": "C"}
    told = subprocess.run(["lscpu"], capture_output=True, text=True, check=True, env=environment).stdout
    fields = dict(line.split(":", 1) for line in told.splitlines() if ":" in line)
    found = {name.strip(): value.strip() for name, value in fields.items()}
    kind = f"family {found['CPU family']}, model {found['Model']}"
    assert hardware()["cpu"] == f"{found['Model name']} ({kind})"
