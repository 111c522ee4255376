"""Let a process that is forked from one with a loaded model predict too."""

import os
from functools import cache, partial

import torch


@cache
def predict_after_forks() -> None:
    """Give torch one thread in processes that are forked from this one, from now on.

    Once torch has computed with several threads, a forked process would wait for threads that only its parent has.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=partial(torch.set_num_threads, 1))
