"""Settings of the labelled CSVs: ``conf/data`` and ``conf/labels``."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from emotion.config import SAMPLE, Config, Count, Rule, Text
from emotion.errors import UserError
from emotion.labels import LabelSet

SetName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,59}$")]
"""Name of an evaluation set; it becomes a part of file names."""
_SPLITS = ("train", "validation", "test")
CSVS_RULE = "a CSV, a list of CSVs or CSVs by name, like {reddit: reddit.csv}"
Csvs = Annotated[
    Text | Annotated[list[Text], Field(min_length=1)] | Annotated[dict[SetName, Text], Field(min_length=1)],
    Rule(CSVS_RULE),
]
"""One or several CSVs with texts and labels."""


def named_csvs(csvs: str | list[str] | dict[str, str], key: str) -> dict[str, str]:
    """Return the paths by name; the name of a CSV without a name is its file's, without the suffix.

    Args:
        csvs: Of the type :data:`Csvs`.
        key: The config key, for errors.

    Raises:
        UserError: Two have the same name.
    """
    if isinstance(csvs, dict):
        return csvs
    paths = [csvs] if isinstance(csvs, str) else csvs
    names = [Path(path).stem for path in paths]
    if len(set(names)) < len(names):
        raise UserError(f"{key}: must be files of different names, found {', '.join(names)}; or name them: {{a: ...}}")
    return dict(zip(names, paths, strict=True))


def validation_part(name: str) -> str:
    """Return the name, among those of evaluation sets, of one of several validation CSVs."""
    return f"validation-{name}"


def only_csv(csvs: str | list[str] | dict[str, str], key: str) -> str:
    """Return the one path; raise :class:`UserError` if there are several."""
    paths = list(named_csvs(csvs, key).values())
    if len(paths) > 1:
        raise UserError(f"{key}: must be one CSV here, found {', '.join(paths)}")
    return paths[0]


class EvaluationSetsConfig(Config):
    """The labelled CSVs that only score a finished model."""

    test: Text | None
    """CSV with texts and labels that is read once the best epoch is chosen; null = none."""
    extra: Annotated[
        dict[SetName, Text] | None,
        Rule("CSVs by name, like {reddit: reddit.csv}, names of letters, digits, '_' or '-', or null"),
    ]
    """Further CSVs, by name, that are treated as ``test`` is."""

    @model_validator(mode="after")
    def _extra_names_are_free(self) -> Self:
        if taken := set(_SPLITS) & set(self.extra or {}):
            raise UserError(f"data.extra: must have other names than {', '.join(_SPLITS)}, found {sorted(taken)[0]}")
        return self

    @property
    def evaluation_paths(self) -> dict[str, str]:
        """The paths of ``test`` and ``extra``, by name."""
        test = {"test": self.test} if self.test is not None else {}
        return test | (self.extra or {})


PositiveNumber = Annotated[float, Field(gt=0)]


class DataConfig(EvaluationSetsConfig):
    """The labelled CSVs and how their rows are batched."""

    train: Csvs
    """CSVs with texts and labels."""
    validation: Csvs
    """CSVs with texts and labels that choose the best epoch: by macro F1, of several by the mean of theirs."""
    mixing: Annotated[
        Literal["proportional", "equal"]
        | Annotated[float, Field(ge=1)]
        | Annotated[dict[SetName, PositiveNumber], Field(min_length=1)],
        Rule("proportional, equal, a number >= 1 or a positive weight for each CSV, like {home: 2, reddit: 1}"),
    ]
    """How much each of several training CSVs counts (:func:`emotion.data.corpora.corpus_weights`)."""
    map: dict[Text, Text] | None
    """Names of classes by what a CSV calls them, such as {happiness: joy}."""
    text_column: Text
    label_column: Text
    batch_size: Count
    """Rows a step on each device."""
    max_length: Annotated[int, Field(ge=4)]
    """Tokens a text, specials included; longer texts are cut."""
    drop_conflicts: bool
    """Leave out training rows whose text occurs with another label, in training or in validation."""

    @model_validator(mode="after")
    def _names_of_parts_are_free(self) -> Self:
        """Refuse an evaluation set that reports would mix up with one of several validation CSVs."""
        parts = {validation_part(name) for name in named_csvs(self.validation, "data.validation")}
        if taken := parts & set(self.evaluation_paths):
            raise UserError(f"data.extra: must have other names than the CSVs of validation, found {sorted(taken)[0]}")
        return self

    @model_validator(mode="after")
    def _one_corpus(self) -> Self:
        """Refuse one CSV of the sample corpus with one of another, the result of a forgotten override."""
        of_sample = {
            key: all(
                SAMPLE in Path(path).resolve().parents
                for path in named_csvs(getattr(self, key), f"data.{key}").values()
            )
            for key in ("train", "validation")
        }
        if of_sample["train"] != of_sample["validation"]:
            left = next(key for key, is_sample in of_sample.items() if is_sample)
            given = "validation" if left == "train" else "train"
            raise UserError(
                f"data.{left}: must be given together with data.{given},"
                f" found the sample corpus with {getattr(self, given)}"
            )
        return self


Colour = Annotated[str, Field(pattern="^#[0-9a-fA-F]{6}$")]


class LabelsConfig(Config):
    """The classes."""

    names: Annotated[Literal["auto"] | list[Text], Rule("auto or a list of names")]
    """Names in the order of their indices; ``auto`` = those of the training CSV."""
    colours: Annotated[dict[str, Colour] | None, Rule("colours by name, like {joy: '#e0a100'}, or null")]
    """Colours of the classes in figures; used if every class has one."""

    @model_validator(mode="after")
    def _usable(self) -> Self:
        self.label_set()
        return self

    def label_set(self) -> LabelSet | None:
        """Return the classes; None = those of the training CSV."""
        return None if self.names == "auto" else LabelSet.coloured(self.names, self.colours)
