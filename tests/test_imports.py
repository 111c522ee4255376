"""Imports point one way, and torch is imported only once there is work."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from emotion.config import PROJECT

LAYERS = [
    {"labels", "errors", "terminal"},
    {"rules"},
    {"schemas"},
    {"config", "artifacts"},
    {"csv_files", "batching", "text", "metrics", "devices", "environment", "backbone"},
    {"classification_head", "transformer_layers", "onnx_format"},
    {"speed"},
    {"data", "pretrained", "checkpoint_format", "attention_heads", "onnx_classifier"},
    {"classifier", "resume", "bitsandbytes_int8"},
    {"rebuild"},
    {"checkpoint"},
    {"inference", "latency"},
    {"report"},
    {"deliverables"},
    {"callbacks"},
    {"training"},
    {"classic", "compression"},
    {"benchmark"},
    {"cli"},
]
LEVEL = {module: level for level, modules in enumerate(LAYERS) for module in modules}


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "emotion":
            parts = node.module.split(".")
            names |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
    return names


@pytest.mark.parametrize("path", sorted((PROJECT / "emotion").rglob("*.py")), ids=lambda path: path.stem)
def test_imports_point_to_lower_layers(path: Path) -> None:
    module = path.relative_to(PROJECT / "emotion").parts[0].removesuffix(".py")
    if module == "__init__":
        return
    above = {name for name in imported(path) if name != module and LEVEL[name] >= LEVEL[module]}
    assert not above


def test_the_layers_name_every_module() -> None:
    modules = {path.relative_to(PROJECT / "emotion").parts[0] for path in (PROJECT / "emotion").rglob("*.py")}
    assert {module.removesuffix(".py") for module in modules} - {"__init__"} == set(LEVEL)


def test_every_package_is_installed() -> None:
    installed = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    folders = {path.parent.relative_to(PROJECT) for path in (PROJECT / "emotion").rglob("__init__.py")}
    assert set(installed["packages"]) == {".".join(folder.parts) for folder in folders}


@pytest.mark.parametrize("statement", ["import emotion", "import emotion_classifier", "import emotion.cli"])
def test_public_modules_import_from_any_folder_without_torch(statement: str, tmp_path: Path) -> None:
    code = f"{statement}\nimport sys\nassert 'torch' not in sys.modules, 'torch was imported'"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
