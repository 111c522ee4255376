"""Let the same command go on with a sweep that ended early."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir

from emotion.config import CONF
from emotion.jobs import Job, digests, earlier_folders, job_identity


@contextmanager
def recorded_sweep(name: str, configs: Sequence[Any], overrides: Sequence[str]) -> Iterator[list[str]]:
    """Yield the override that gives a sweep its folder: that of the same sweep, if it ended early.

    The jobs that it has finished are then found there, and are not done again.

    Args:
        name: Name of the config in ``conf/``.
        configs: From :func:`emotion.config.sweep_configs`; they have ``work()``, ``inputs`` and ``resume``.
        overrides: The command line's.

    Raises:
        UserError: Another process is at work in the folder.
    """
    folder = _folder(name, overrides)
    inputs = digests(dict.fromkeys(path for config in configs for path in config.inputs))
    identity = job_identity(name, [config.work() for config in configs], inputs)
    resumes = all(config.resume == "auto" for config in configs)
    job = Job.claim(folder, identity, earlier_folders(folder) if resumes else ())
    if job.is_resumed:
        # Hydra sets logging up later.
        print(f"resuming the sweep in {job.folder}, which ended early (resume=never would start a new one)")
    with job.recorded():
        quoted = str(job.folder).replace("\\", "\\\\").replace("'", "\\'")
        yield [f"hydra.sweep.dir='{quoted}'"]


def _folder(name: str, overrides: Sequence[str]) -> Path:
    """Return the folder that Hydra would give a sweep."""
    settings = [text for text in overrides if text.lstrip("+~").startswith("hydra")]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose(name, settings, return_hydra_config=True)
    return Path(config.hydra.sweep.dir).resolve()
