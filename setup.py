"""Put ``conf/`` and the sample corpus into the wheel, inside the package; everything else is in pyproject.toml.

An editable installation reads both from the checkout (:mod:`emotion.config.folders`).
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithData(build_py):
    """Also copies ``conf/`` and the sample, which lie outside the package, into it."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            for source, name in (("conf", "conf"), ("data/sample", "sample")):
                target = Path(self.build_lib) / "emotion" / name
                shutil.rmtree(target, ignore_errors=True)
                shutil.copytree(source, target)


setup(cmdclass={"build_py": BuildWithData})
