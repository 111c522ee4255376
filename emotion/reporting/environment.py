"""Record what a run ran on: versions, hardware, the code's commit."""

import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import torch

from emotion.config import PROJECT

PACKAGES = (
    "torch",
    "lightning",
    "transformers",
    "tokenizers",
    "bitsandbytes",
    "torchmetrics",
    "hydra-core",
    "numpy",
    "pandas",
    "scipy",
    "scikit-learn",
    "emoji",
)


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that results depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def hardware() -> dict[str, str | int]:
    """Return the operating system, processor, cores, threads and GPU."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return {
        "platform": platform.platform(),
        "cpu": _cpu_name(),
        "cores": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "gpu": gpu,
    }


def git_commit() -> str | None:
    """Return the commit of this project's checkout, with ``-dirty`` if files differ; None outside a checkout."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(PROJECT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")) != PROJECT:
            return None  # installed inside somebody else's repository
        return git("rev-parse", "HEAD") + ("-dirty" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _cpu_name() -> str:
    """Return the processor's name, on Linux with its family and model: a virtual machine may hide all but its maker."""
    if sys.platform == "linux":
        found: dict[str, str] = {}
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            key, _, value = line.partition(":")
            found.setdefault(key.strip(), value.strip())
        if "model name" in found:
            kind = [f"{key.removeprefix('cpu ')} {found[key]}" for key in ("cpu family", "model") if key in found]
            return f"{found['model name']} ({', '.join(kind)})" if kind else found["model name"]
    return platform.processor() or platform.machine()
