"""The JavaScript libraries of the page that runs without a server: found in a folder, or fetched by npm once."""

import base64
import hashlib
import logging
import os
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from emotion.errors import UserError
from emotion.temporaries import temporary_folder

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Package:
    """A package of npm at one version."""

    name: str
    version: str
    sha512: str
    """Digest of its archive, in base64, as npm's ``integrity`` has it."""
    files: tuple[str, ...]
    """The files of the archive that the page needs."""

    @property
    def archive(self) -> str:
        """Name of the archive, as ``npm pack`` gives it."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"


ORT = Package(
    "onnxruntime-web",
    "1.30.0",
    "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ==",
    ("dist/ort.wasm.bundle.min.mjs", "dist/ort-wasm-simd-threaded.wasm"),
)
TOKENIZERS = Package(
    "@huggingface/tokenizers",
    "0.2.0",
    "LidMHe1FpcSYH4vcSjXooda34pC0M8m1gmDOv7SQi6Iv+ib1zX7J3sHBCC9/3FPCkn2k1b55FneVqMRxrr99pg==",
    ("dist/tokenizers.min.mjs",),
)
PACKAGES = (ORT, TOKENIZERS)


def read_files(runtime: str | None) -> dict[str, bytes]:
    """Return the files that the page needs, by their last name.

    Args:
        runtime: Folder with the packages' archives; None = the cache, which npm fills if an archive is missing.

    Raises:
        UserError: An archive is missing, or is another than the one that this version was tested with.
    """
    folder = Path(runtime) if runtime is not None else _cache()
    if runtime is None:
        for package in PACKAGES:
            if not (folder / package.archive).is_file():
                _fetch(package, folder)
    return {name: data for package in PACKAGES for name, data in _read(package, folder).items()}


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "emotion-classifier" / "npm"


def _fetch(package: Package, folder: Path) -> None:
    """Let npm download the archive, check it, and put it into ``folder``."""
    wanted = f"{package.name}@{package.version}"
    npm = shutil.which("npm")
    if npm is None:
        raise UserError(
            f"runtime: must be a folder with {package.archive} where npm is not installed, found none; `npm pack"
            f" {wanted}` elsewhere makes that file"
        )
    log.info("npm fetches %s, once", wanted)
    with temporary_folder() as temporary:
        done = subprocess.run(
            [npm, "pack", "--ignore-scripts", "--silent", wanted], cwd=temporary, capture_output=True, text=True
        )
        if done.returncode or not (temporary / package.archive).is_file():
            reason = (done.stderr.strip().splitlines() or ["no file"])[-1]
            raise UserError(
                f"runtime: must be a folder with {package.archive} where npm cannot fetch it, found {reason}"
            )
        _check(package, temporary / package.archive)
        folder.mkdir(parents=True, exist_ok=True)
        shutil.move(temporary / package.archive, folder / package.archive)


def _check(package: Package, path: Path) -> None:
    found = base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
    if found != package.sha512:
        raise UserError(f"runtime: {path} must have the SHA-512 {package.sha512}, found {found}")


def _read(package: Package, folder: Path) -> dict[str, bytes]:
    path = folder / package.archive
    if not path.is_file():
        raise UserError(f"runtime: must be a folder with {package.archive}, found {folder} without it")
    _check(package, path)
    with tarfile.open(path) as archive:
        found = {}
        for name in package.files:
            member = archive.extractfile(f"package/{name}")
            assert member is not None  # the digest says so
            found[name.split("/")[-1]] = member.read()
    return found
