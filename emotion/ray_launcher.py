"""Run the jobs of a Hydra sweep as tasks of Ray, as hydra-joblib-launcher runs them in processes.

hydra-ray-launcher 1.2.2 does the same; it asks for cloudpickle before 3, Ray's dashboard and boto3, none of which this
needs.
"""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, configure_log, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from hydra.version import setbase
from omegaconf import DictConfig, open_dict

from emotion.ray_cluster import ray_cluster


class RayLauncher(Launcher):
    """Runs all jobs at once, as far as the cluster has cores for them.

    Args:
        address: Of a cluster, whose machines see the same files; None = an instance of Ray on this machine.
        cpus_per_job: Cores, and threads, of a job; None = an even share of the cluster's.
        gpus_per_job: GPUs of a job.
    """

    def __init__(self, address: str | None = None, cpus_per_job: int | None = None, gpus_per_job: float = 0) -> None:
        self.address, self.cpus_per_job, self.gpus_per_job = address, cpus_per_job, gpus_per_job

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what the jobs need, as Hydra asks of a launcher."""
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run a job for each list of overrides, and return how each ended, in order."""
        import ray

        setup_globals()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        given = os.getcwd(), self.hydra_context, self.config, self.task_function
        with ray_cluster(None, self.address, "hydra.launcher.address", shows_workers=True):
            cores = int(ray.cluster_resources().get("CPU", 1))  # type: ignore[no-untyped-call]
            cpus = self.cpus_per_job or max(1, cores // len(job_overrides))
            task: Any = ray.remote(num_cpus=cpus, num_gpus=self.gpus_per_job, max_retries=0)(_run)
            ends = [
                task.options(name=f"job {number}").remote(*given, number, list(overrides))
                for number, overrides in enumerate(job_overrides, start=initial_job_idx)
            ]
            returned: list[JobReturn] = ray.get(ends)
        return returned


def register() -> None:
    """Let Hydra find the launcher, which it looks for in the namespace ``hydra_plugins`` alone."""
    try:
        import_module("hydra_plugins")
    except ImportError:  # no other plugin is installed
        sys.modules["hydra_plugins"] = ModuleType("hydra_plugins")
    RayLauncher.__module__ = "hydra_plugins.emotion"
    sys.modules[RayLauncher.__module__] = sys.modules[__name__]
    Plugins.instance().register(RayLauncher)


def _run(
    folder: str,
    hydra_context: HydraContext,
    config: DictConfig,
    task_function: TaskFunction,
    number: int,
    overrides: list[str],
) -> JobReturn:
    """Do a job in a process of Ray's, as Hydra's own launchers do."""
    os.chdir(folder)
    setup_globals()
    setbase("1.3")
    own = hydra_context.config_loader.load_sweep_config(config, overrides)
    with open_dict(own):
        own.hydra.job.id = f"{own.hydra.job.name}_{number}"
        own.hydra.job.num = number
    HydraConfig.instance().set_config(own)
    return run_job(
        hydra_context=hydra_context,
        config=own,
        task_function=task_function,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )
