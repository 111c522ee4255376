"""Let the same command go on with a sweep that ended early, and share the cores between jobs that run at once."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from traceback import walk_tb
from typing import Any

from hydra import compose, initialize_config_dir

from emotion.config import CONF
from emotion.cores import allowed_cores
from emotion.errors import UserError, first_line
from emotion.jobs import Job, digests, earlier_folders, job_identity
from emotion.ray_cluster import require_listener

LAUNCHERS = {"joblib": "joblib", "submitit_local": "slurm", "submitit_slurm": "slurm", "ray": "ray"}
"""The extra that each of Hydra's launchers comes with."""
_JOBS = "EMOTION_SWEEP_JOBS"
"""Environment variable that tells a sweep's jobs how many they are."""


def require_launchers(overrides: Sequence[str]) -> None:
    """Raise :class:`UserError` if a launcher is asked for that is not installed, or a cluster that is not there."""
    from hydra.core.plugins import Plugins
    from hydra.plugins.launcher import Launcher

    for text in overrides:
        name = text.removeprefix("hydra/launcher=")
        if name == text or name not in LAUNCHERS:
            continue
        module = f"hydra_{name.split('_')[0]}_launcher"
        if not any(module in each.__module__ for each in Plugins.instance().discover(Launcher)):
            extra = LAUNCHERS[name]
            raise UserError(f'hydra/launcher: {name} must be installed, found it missing: pip install -e ".[{extra}]"')
        if name == "ray":
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    for text in overrides:
        key, _, address = text.partition("=")
        if key == "hydra.launcher.ray.init.address":
            require_listener(address.strip("'\""), key)


def tell_jobs(count: int) -> None:
    """Let the jobs of a sweep know how many they are, in whatever process they run."""
    os.environ[_JOBS] = str(count)


def _cores_per_job() -> int:
    """Return the share of this machine's cores of each job of a sweep."""
    return max(1, allowed_cores() // int(os.environ.get(_JOBS, 1)))


def launcher_settings(overrides: Sequence[str]) -> list[str]:
    """Return overrides for what Ray's launcher needs here and the command line does not say.

    An instance of Ray on this machine has all cores, and each job its share of them; on a cluster, a job has one core.
    """
    if "hydra/launcher=ray" not in overrides:
        return []
    ray = "hydra.launcher.ray."
    given = dict(text.lstrip("+").split("=", 1) for text in overrides if "=" in text)
    if given.get(f"{ray}init.address", "local") == "local":
        own = {"init.address": "local", "init.num_cpus": allowed_cores(), "init.include_dashboard": "false"}
        settings = own | {"remote.num_cpus": _cores_per_job()}
    else:
        settings = {"init.object_store_memory": "null"}  # the launcher's own value cannot be given to a cluster
    settings |= {"remote.max_retries": 0}
    return [
        f"++{ray}{key}={value}"
        for key, value in settings.items()
        if not any(f"{ray}{key}.".startswith(f"{other}.") for other in given)
    ]


def prepare_job(hydra: Any) -> None:
    """Give a job, in whatever process a launcher runs it, the command's folder and the job's share of the cores.

    joblib and Ray share cores themselves, and Slurm gives each job its own.

    Args:
        hydra: Hydra's own settings in the job's config.
    """
    if not hydra.job.chdir:
        os.chdir(hydra.runtime.cwd)  # on another machine of a cluster it is any folder
    runs_at_once = hydra.launcher.get("_target_", "").endswith("submitit_launcher.LocalLauncher")
    if not runs_at_once or int(os.environ.get(_JOBS, 1)) == 1 or "OMP_NUM_THREADS" in os.environ:
        return
    threads = _cores_per_job()
    os.environ["OMP_NUM_THREADS"] = str(threads)  # of what is imported later
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)


def of_launcher(error: Exception) -> Exception:
    """Return an error of a launcher, such as of a cluster that is not there, as one line; those of jobs as they are."""
    frames = [frame.f_globals.get("__name__", "") for frame, _ in walk_tb(error.__traceback__)]
    packages = {name.split(".")[0] for name in (type(error).__module__, *frames)}
    if packages.isdisjoint(("submitit", "joblib", "ray")):
        return error
    return UserError(f"hydra/launcher: must run jobs that end by themselves, found {first_line(error)}")


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
        yield [_sweep_dir(job.folder)]


def absolute_folder(name: str, overrides: Sequence[str]) -> str:
    """Return the override that gives a sweep its folder by an absolute path, for jobs that run in any other folder."""
    return _sweep_dir(_folder(name, overrides))


def _sweep_dir(folder: Path) -> str:
    quoted = str(folder).replace("\\", "\\\\").replace("'", "\\'")
    return f"hydra.sweep.dir='{quoted}'"


def _folder(name: str, overrides: Sequence[str]) -> Path:
    """Return the folder that Hydra would give a sweep."""
    settings = [text for text in overrides if text.lstrip("+~").startswith("hydra")]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose(name, settings, return_hydra_config=True)
    return Path(config.hydra.sweep.dir).resolve()
