"""``requirements.lock`` and the list of licences fit ``pyproject.toml``."""

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from emotion.config import PROJECT

SYSTEM = {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64", "os_name": "posix"}
LOCK = PROJECT / "requirements.lock"


def pins() -> list[tuple[Requirement, list[str]]]:
    """Each package of the lock, at one version, with the digests of its files."""
    lines = [line for line in LOCK.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#")]
    entries = "\n".join(lines).replace("\\\n", " ").splitlines()
    split = [re.split(r"\s+--hash=", entry.strip()) for entry in entries]
    return [(Requirement(pin), digests) for pin, *digests in split]


def asked() -> list[Requirement]:
    """What the package and its extras ``onnx`` and ``offline`` ask for."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    return [Requirement(text) for text in (*project["dependencies"], *extras["onnx"], *extras["offline"])]


def on_linux(pin: Requirement, python: str) -> bool:
    environment = {**SYSTEM, "python_version": python, "python_full_version": f"{python}.0"}
    return pin.marker is None or pin.marker.evaluate(environment)


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_the_lock_names_one_admitted_version_of_each_dependency(python: str) -> None:
    locked: dict[str, list[str]] = {}
    for pin, _ in pins():
        (version,) = pin.specifier
        assert version.operator == "=="
        if on_linux(pin, python):
            locked.setdefault(canonicalize_name(pin.name), []).append(version.version)
    assert {name: versions for name, versions in locked.items() if len(versions) > 1} == {}
    for dependency in asked():
        assert dependency.specifier.contains(*locked.get(canonicalize_name(dependency.name), ["none"])), dependency


def test_the_lock_names_the_digests_of_files_and_no_index() -> None:
    for pin, digests in pins():
        assert digests, pin
        assert [digest for digest in digests if not re.fullmatch("sha256:[0-9a-f]{64}", digest)] == []
        assert pin.url is None


def test_the_licences_of_all_locked_packages_are_listed() -> None:
    rows = re.findall(
        r"^\| (\S+) \| (\S+) \| (.+) \|$", (PROJECT / "docs" / "dependencies.md").read_text(encoding="utf-8"), re.M
    )
    listed = {canonicalize_name(name): version for name, version, _ in rows if version[0].isdigit()}
    locked = {pin.name: str(pin.specifier).removeprefix("==") for pin, _ in pins() if on_linux(pin, "3.11")}
    assert listed == {canonicalize_name(name): version for name, version in locked.items()}
