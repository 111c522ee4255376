"""Run a technique's chain of steps on a model."""

import logging
import shutil
from contextlib import nullcontext
from functools import cache
from pathlib import Path

from emotion.checkpoint import content, load, write
from emotion.compression.config import CompressConfig
from emotion.compression.sources import read_data
from emotion.compression.steps.context import Context
from emotion.compression.steps.teacher import Teacher
from emotion.data import LabelledTexts, sample_texts
from emotion.errors import UserError
from emotion.files import atomic
from emotion.models import Predictor, require_packages
from emotion.progress import working
from emotion.scoring import calibrate_
from emotion.training import CHECKPOINTS

log = logging.getLogger(__name__)


class Chains:
    """Makes the models of several techniques from one original.

    Args:
        original: The fine-tuned model.
        validation: What quality is measured on.
        config: Where the training data is.
        run_dir: Where curves and resume states go, in a folder for each technique.
    """

    def __init__(self, original: Predictor, validation: LabelledTexts, config: CompressConfig, run_dir: Path) -> None:
        self._original, self._validation, self._run_dir = original, validation, run_dir

        @cache
        def train() -> LabelledTexts:
            data = read_data(original, "train", config.data)
            log.info("learning from %s", data.path)
            return data

        @cache
        def calibration_texts() -> list[str]:
            try:
                return train().texts
            except UserError as error:
                if config.data.train is not None:
                    raise
                log.info("calibrating on the sample corpus: %s", error)
                return sample_texts()

        self._train = train
        self._calibration_texts = calibration_texts
        self._teacher = cache(lambda: Teacher(original))

    def context(self, chain: CompressConfig) -> Context:
        """Return what the steps of ``chain`` may use."""
        return Context(
            original=self._original,
            validation=self._validation,
            train=self._train,
            calibration_texts=self._calibration_texts,
            teacher=self._teacher,
            text_column=chain.data.text_column,
            seed=chain.seed,
            fast=chain.fast,
            run_dir=self._run_dir / chain.technique.name,
        )

    def check(self, chain: CompressConfig) -> None:
        """Refuse a chain that could not be finished, before the first of its steps is done.

        Raises:
            UserError: A package is missing, a CSV cannot be read, or a step's work would be thrown away.
        """
        context, before = self.context(chain), list[str]()
        for step in chain.steps:
            require_packages(*step.packages)
            step.check(chain.settings_of(step), before, context)
            before.append(step.name)

    def apply(self, chain: CompressConfig, model: Predictor, leave_out: str | None = None) -> Predictor:
        """Apply the chain's steps to ``model``, which they may change, and return the result.

        Args:
            chain: The steps and their settings.
            model: In FP32.
            leave_out: Name of a step that is not done.

        Raises:
            UserError: A step cannot be done with this model, these settings or on this machine.
        """
        context = self.context(chain)
        model.familiarity = None  # of the model as it was
        for step in chain.steps:
            if step.name == leave_out:
                continue
            # Bars of its own would mix with this one.
            bar = nullcontext() if step.shows_progress else working(f"{chain.technique.name}: {step.name}")
            with bar:
                model = step.apply(model, chain.settings_of(step), context)
        return model

    def make(self, chain: CompressConfig, model: Predictor, path: Path) -> dict[str, dict[str, object]]:
        """Check the chain, apply it to ``model``, save the result to ``path``, and return the settings of its steps.

        A result that cannot be loaded replaces no earlier file.

        Raises:
            UserError: As :meth:`check` and :meth:`apply`.
        """
        self.check(chain)
        settings = self.settings(chain)
        model.metadata = {**model.metadata, "compression": {"technique": chain.technique.name, "settings": settings}}
        model = self.apply(chain, model)
        if chain.calibrate:
            calibrate_(model, self._validation)
        with atomic(path) as temporary:
            write(content(model), temporary)
            _require_loadable(temporary, path)
        shutil.rmtree(self.context(chain).run_dir / CHECKPOINTS, ignore_errors=True)
        return settings

    def settings(self, chain: CompressConfig) -> dict[str, dict[str, object]]:
        """Return the settings that each step of ``chain`` reads, in order."""
        return {step.name: chain.settings_of(step).model_dump() if step.reads else {} for step in chain.steps}


def _require_loadable(written: Path, path: Path) -> None:
    """Raise :class:`UserError`, which names ``path``, if the file ``written`` in its place cannot be loaded."""
    try:
        load(written)
    except UserError as error:
        raise UserError(str(error).replace(str(written), str(path))) from error
