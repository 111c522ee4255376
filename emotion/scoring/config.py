"""Settings of an evaluation: ``conf/evaluate.yaml``."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from emotion.config import Accelerator, Config, Rule, Text
from emotion.data import Csvs, named_csvs
from emotion.errors import UserError

Paths = Annotated[list[Text], Field(min_length=1)]


class EvaluateConfig(Config):
    """Schema of ``conf/evaluate.yaml``."""

    weights: Annotated[Text | Paths, Rule("a checkpoint or a list of checkpoints")]
    """``.pt`` or ``.onnx`` checkpoints of the same classes."""
    csv: Csvs
    """CSVs with texts and labels; the name of one without a name is its file's, without the suffix."""
    output_dir: Text | None
    """Where the report goes; null = the folder of the first checkpoint."""
    text_column: Text
    label_column: Text
    accelerator: Accelerator
    fast: bool
    """Let :mod:`emotion.models.fast` replace parts of other libraries: same results up to rounding, in less time."""

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        named_csvs(self.csv, "csv")
        names = [Path(path).stem for path in _as_list(self.weights)]
        if len(set(names)) < len(names):
            raise UserError(f"weights: must be files of different names, found {', '.join(names)}")
        return self

    @property
    def checkpoints(self) -> dict[str, str]:
        """The checkpoints' paths by the names of their files, without the suffix."""
        return {Path(path).stem: path for path in _as_list(self.weights)}

    @property
    def folder(self) -> Path:
        """Where the report goes."""
        return Path(self.output_dir or Path(_as_list(self.weights)[0]).parent)

    @property
    def sets(self) -> dict[str, str]:
        """The CSVs' paths by name."""
        return named_csvs(self.csv, "csv")


def _as_list(paths: str | list[str]) -> list[str]:
    return [paths] if isinstance(paths, str) else paths
