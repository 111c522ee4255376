"""The search's memory, which several processes share and which outlives each of them."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock, Timeout
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.trial import FrozenTrial, TrialState

from emotion.errors import UserError
from emotion.tuning.search_space import Choices, Range, Value

JOURNAL = "study.log"
_BEGINNING = b'{"op_code"'
"""How each line of a journal of Optuna's begins."""
_LOCK = ".emotion.study.lock"
_PLACE = "place"
"""Attribute of a trial: the number of its training. A trial that goes on with another's has the same."""
_WORK = "work"


class Study:
    """A study of Optuna in a folder.

    Args:
        folder: Where its journal lies.
        work: All that must be the same in all processes of the study, and whenever it goes on; JSON can hold it.
        seed: Seed of the sampler.

    Raises:
        UserError: The folder's study is one of other ``work``, or its journal is none.
    """

    def __init__(self, folder: Path, work: Mapping[str, Any], seed: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.folder, self.seed = folder, seed
        self._lock = FileLock(folder / _LOCK)
        content = json.loads(json.dumps(work))
        with self._lock:
            _mend(folder / JOURNAL)
            try:
                storage = JournalStorage(JournalFileBackend(str(folder / JOURNAL)))
                self._study = optuna.create_study(
                    storage=storage,
                    study_name="search",
                    direction="maximize",
                    pruner=optuna.pruners.MedianPruner(),
                    load_if_exists=True,
                )
            except Exception as error:  # a file of another program fails in many ways
                raise UserError(
                    f"output_dir: must hold a study of this command or none, found {folder / JOURNAL}"
                ) from error
            earlier = self._study.user_attrs.get(_WORK)
            if earlier is None:
                self._study.set_user_attr(_WORK, content)
            elif earlier != content:
                different = sorted(key for key in content if earlier.get(key) != content[key])
                raise UserError(
                    f"output_dir: must be a folder without a search of other {', '.join(different)}, found"
                    f" {folder / JOURNAL}"
                )

    @property
    def trials(self) -> list[FrozenTrial]:
        """All trials, the first one first."""
        return self._study.get_trials(deepcopy=False)

    @property
    def importance(self) -> dict[str, float]:
        """How much of the variance of macro F1 each setting explains, by fANOVA; empty if too few trials tell.

        Source: Hutter et al. 2014, proceedings.mlr.press/v32/hutter14.
        """
        done = [trial for trial in self.trials if trial.state == TrialState.COMPLETE]
        if len(done) < 4 or len({trial.value for trial in done}) == 1:
            return {}
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=self.seed)
        return dict(optuna.importance.get_param_importances(self._study, evaluator=evaluator))

    @contextmanager
    def next_trial(self, space: Mapping[str, Range | Choices], most: int) -> Iterator["Trial | None"]:
        """Give the next trial to do, which is this process's while the block runs; None if ``most`` were begun.

        A trial whose process has ended goes on first.
        """
        with self._lock:
            self._adopt_left_trials(space)
            trials = self.trials
            begun = len(begun_trials(trials))
            found = None
            if begun < most or any(trial.state == TrialState.WAITING for trial in trials):
                found = Trial(self._study, begun, space, self.folder, self.seed)
        try:
            yield found
        finally:
            if found is not None:
                found.lock.release()

    def _adopt_left_trials(self, space: Mapping[str, Range | Choices]) -> None:
        """Let trials that no process works on be done next, with the same settings and in the same folder."""
        trials = self.trials
        waiting = {trial.user_attrs.get(_PLACE) for trial in trials if trial.state == TrialState.WAITING}
        for trial in trials:
            if trial.state != TrialState.RUNNING:
                continue
            place = trial.user_attrs.get(_PLACE)
            if place is not None:
                lock = _lock_of(self.folder, place)
                try:
                    lock.acquire(timeout=0)
                except Timeout:
                    continue
                lock.release()
                if place not in waiting:  # a process was killed between the two lines
                    # With a part of the settings alone, the others would be drawn from random numbers of the first.
                    params = trial.params if trial.params.keys() >= space.keys() else {}
                    self._study.enqueue_trial(params, user_attrs={_PLACE: place})
            self._study.tell(trial.number, state=TrialState.FAIL)


class Trial:
    """One training of a search, of this process as long as it holds ``lock``.

    Args:
        study: Of Optuna.
        begun: Trainings that were begun; the number of a new one.
        space: What is searched for.
        folder: The study's.
        seed: The study's.
    """

    def __init__(
        self, study: optuna.Study, begun: int, space: Mapping[str, Range | Choices], folder: Path, seed: int
    ) -> None:
        self._study, self._trial = study, study.ask()
        left: int | None = self._trial.user_attrs.get(_PLACE)
        self.place = begun if left is None else left
        """Number of the training, from 0."""
        self.lock = _lock_of(folder, self.place)
        self.lock.acquire(timeout=0)
        if left is None:
            self._trial.set_user_attr(_PLACE, self.place)
        # Each training draws from a seed of its own: whatever ended early, a search tries the same settings.
        study.sampler = optuna.samplers.TPESampler(seed=(seed + self.place) % 2**32)
        self.settings: dict[str, Value] = {key: each.suggest(self._trial, key) for key, each in space.items()}
        for earlier in study.get_trials(deepcopy=False):
            if earlier.number != self._trial.number and earlier.user_attrs.get(_PLACE) == self.place:
                self._copy(earlier)

    def _copy(self, earlier: FrozenTrial) -> None:
        """Take over the validations of a trial that this one goes on with."""
        for step, value in earlier.intermediate_values.items():
            self._trial.report(value, step)

    def report(self, step: int, macro_f1: float) -> bool:
        """Record a validation, and return whether the trial is worse than the median of others so far."""
        self._trial.report(macro_f1, step)
        return self._trial.should_prune()

    def tell(self, macro_f1: float) -> None:
        """Record the result."""
        self._study.tell(self._trial, macro_f1)

    def tell_pruned(self) -> None:
        """Record that the trial was ended early."""
        self._study.tell(self._trial, state=TrialState.PRUNED)

    def tell_failed(self) -> None:
        """Record that the training failed by its settings."""
        self._study.tell(self._trial, state=TrialState.FAIL)


def _lock_of(folder: Path, place: int) -> FileLock:
    """Return the lock that the process of a training holds; the operating system lifts it however that ends."""
    return FileLock(folder / f".emotion.trial_{place}.lock")


def begun_trials(trials: list[FrozenTrial]) -> dict[int, FrozenTrial]:
    """Return the last trial of each training, by the training's number."""
    return {trial.user_attrs[_PLACE]: trial for trial in trials if _PLACE in trial.user_attrs}


def _mend(path: Path) -> None:
    """Remove the line that a process was killed in the midst of; Optuna refuses a journal with one.

    Raises:
        UserError: The file is no journal.
    """
    if not path.is_file():
        return
    lock = JournalFileSymlinkLock(str(path))
    lock.acquire()
    try:
        content = path.read_bytes()
        first, newline, _ = content.partition(b"\n")
        is_torn = not newline and content[: len(_BEGINNING)] == _BEGINNING[: len(content)]
        if content and not is_torn and not (newline and first.startswith(_BEGINNING)):
            raise UserError(f"output_dir: must hold a study of this command or none, found {path}")
        if not content.endswith(b"\n") and content:
            with path.open("r+b") as file:
                file.truncate(content.rfind(b"\n") + 1)
    finally:
        lock.release()
