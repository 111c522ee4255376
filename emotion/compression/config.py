"""Settings of compression: ``conf/compress.yaml`` and its group ``technique``.

A technique's file names its steps, in order, and may change any step's settings, so a new chain is one file. Each
step's section is checked by the settings class of the step itself (:mod:`emotion.compression.steps`).
"""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, create_model, model_validator

from emotion.compression.steps.registry import STEPS, Step
from emotion.config import Accelerator, Config, Count, Rule, Seed, Share, Text
from emotion.data import CSVS_RULE, Csvs, EvaluationSetsConfig, named_csvs
from emotion.errors import UserError


class TechniqueConfig(Config):
    """One chain of steps, or a set of techniques that are each tried against the original."""

    name: Annotated[
        str,
        Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$"),
        Rule("letters, digits, '_' or '-', not original"),
    ]
    """Its file's name in ``conf/technique``; the variant's name in files and reports."""
    steps: list[Text]
    """Names of the steps, in order."""
    techniques: list[Text]
    """Names of files in ``conf/technique``."""

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if self.name == "original":
            raise UserError("technique.name: must be letters, digits, '_' or '-', not original, found 'original'")
        for number, name in enumerate(self.steps):
            self._check_step(name, self.steps[:number])
            self._check_training(name, self.steps[number + 1 :])
        return self

    def _check_step(self, name: str, before: list[str]) -> None:
        key = "technique.steps"
        if name not in STEPS:
            raise UserError(f"{key}: must be steps among {', '.join(STEPS)}, found {name!r}")
        if name in before:
            raise UserError(f"{key}: must name each step once, found {self.steps}")
        for earlier in before:
            if STEPS[earlier].ends_chain:
                raise UserError(f"{key}: must have {earlier} at the end, found {self.steps}")
            if STEPS[earlier].makes_zeros and STEPS[name].fills_zeros:
                raise UserError(f"{key}: must have no {name} after {earlier}, which it would undo, found {self.steps}")
            if STEPS[earlier].removes_layers and STEPS[name].needs_layers:
                raise UserError(
                    f"{key}: must have no {name} after {earlier}, which leaves no layers, found {self.steps}"
                )

    def _check_training(self, name: str, after: list[str]) -> None:
        if STEPS[name].needs_training and not any(STEPS[later].fills_zeros for later in after):
            raise UserError(
                f"technique.steps: must have a step that trains after {name}, whose head is drawn at random,"
                f" found {self.steps}"
            )


class CompressDataConfig(EvaluationSetsConfig):
    """The CSVs; null = the ones that the checkpoint was trained with, if their sha256 is still as recorded."""

    train: Annotated[Csvs | None, Rule(CSVS_RULE)]
    """CSVs with texts and labels, for the steps that learn from data."""
    validation: Annotated[Csvs | None, Rule(CSVS_RULE)]
    """CSVs with texts and labels that quality is measured on."""
    text_column: Text
    label_column: Text
    map: dict[Text, Text] | None
    """Names of classes by what a CSV calls them; null = as the checkpoint was trained."""


class _CompressConfig(Config):
    technique: TechniqueConfig
    weights: Text | None
    """A ``.pt`` checkpoint; null = the best of the report in ``output_dir``."""
    output_dir: Text | None
    """Where ``compression_results/`` goes; null = the folder of ``weights``, or ``outputs``."""
    data: CompressDataConfig
    accelerator: Accelerator
    fast: bool
    """Let :mod:`emotion.models.fast` replace parts of other libraries: same results up to rounding, in less time."""
    seed: Seed
    resume: Literal["auto", "never"]
    """Whether a command that is started again goes on with its work that ended early."""
    calibrate: bool
    """Fit each compressed model's temperature on validation; labels stay as they are."""
    rounds: Count
    """Rounds in which latency is measured; the variants take turns."""
    max_drop: Share | None
    """Publish the best variant within this loss of macro F1 as ``best_<Name>_compressed``; null = publish none."""
    prefer: Literal["size", "speed"]
    """Which variant within ``max_drop`` is the best: the smallest file or the lowest latency."""

    @model_validator(mode="after")
    def _settings_are_there(self) -> Self:
        for name in self.technique.steps:
            if self.settings_of(STEPS[name]) is None:
                raise UserError(f"{STEPS[name].key}: must be given for the step {name}, found none")
        return self

    def work(self) -> dict[str, Any]:
        """Return the settings that the models depend on; files count by their content."""
        return self.model_dump(exclude={"weights", "output_dir", "resume", "rounds", "max_drop", "prefer"})

    @property
    def inputs(self) -> list[str | None]:
        """The files whose content the models depend on."""
        distill = self.settings_of(STEPS["distill"])
        sets = self.data.evaluation_paths.values()
        splits = {"data.train": self.data.train, "data.validation": self.data.validation}
        paths = [path for key, csvs in splits.items() if csvs is not None for path in named_csvs(csvs, key).values()]
        return [self.weights, *paths, distill and distill.unlabelled, *sets]

    def settings_of(self, step: Step) -> Any:
        """Return the settings of ``step``, an instance of ``step.settings``."""
        return getattr(self, step.key)

    @property
    def steps(self) -> list[Step]:
        """The technique's steps, in order."""
        return [STEPS[name] for name in self.technique.steps]


_SECTIONS: dict[str, Any] = {step.key: (step.settings | None, None) for step in STEPS.values()}


class CompressConfig(create_model("_WithSections", __base__=_CompressConfig, **_SECTIONS)):  # type: ignore[misc]
    """Schema of ``conf/compress.yaml``, with a section for each step."""
