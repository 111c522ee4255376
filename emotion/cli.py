"""What the scripts share: one line for a user's mistake, and a job's place in its sweep."""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from emotion.allocator import keep_freed_memory
from emotion.config.compose import one_line, refuse_several_choices
from emotion.errors import UserError, of_file

log = logging.getLogger(__name__)


def run(main: Callable[[], Any]) -> None:
    """Call a ``@hydra.main`` function; a user's mistake ends as one line on stderr and exit code 1."""
    # With this variable Hydra hands exceptions on instead of printing them in its own words of many lines.
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    keep_freed_memory()
    try:
        refuse_several_choices(sys.argv[1:])
        main()
    except (HydraException, OmegaConfBaseException, YAMLError, UserError) as error:
        sys.exit(f"error: {one_line(error)}")
    except OSError as error:
        sys.exit(f"error: {of_file(error)}")


def place() -> tuple[Path, str | None]:
    """The running job's own folder, and its sweep's folder where it is part of one."""
    hydra = HydraConfig.get()
    sweep = str(Path(hydra.sweep.dir).resolve()) if hydra.mode == RunMode.MULTIRUN else None
    return Path(hydra.runtime.output_dir), sweep


@contextmanager
def one_line_failure() -> Iterator[None]:
    """Within a job: a user's mistake ends the run at once, but not the other jobs of a sweep."""
    try:
        yield
    except (UserError, OSError) as error:
        told = of_file(error) if isinstance(error, OSError) else str(error)
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            log.error("job %s: %s", HydraConfig.get().job.num, told)  # at the end Hydra tells of the first alone
            raise
        sys.exit(f"error: {told}")  # Hydra lets SystemExit pass; to an exception it would add a line of its own
