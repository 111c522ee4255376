"""Torch is imported only once there is work."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("statement", ["import emotion", "import emotion_classifier", "import emotion.cli"])
def test_public_modules_import_from_any_folder_without_torch(statement: str, tmp_path: Path) -> None:
    code = f"{statement}\nimport sys\nassert 'torch' not in sys.modules, 'torch was imported'"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
