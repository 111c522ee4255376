"""Settings of what is written for others: ``conf/report.yaml`` and ``conf/export.yaml``."""

from typing import Annotated

from pydantic import Field

from emotion.config import Accelerator, Config, Text


class ReportConfig(Config):
    """Schema of ``conf/report.yaml``."""

    output_dir: Text
    """Folder with a report of a training."""
    explain: Annotated[int, Field(ge=0)]
    """Most confident mistakes of the best model on validation whose words are explained; 0 = none."""
    accelerator: Accelerator
    """Where the model that explains runs."""


class ExportConfig(Config):
    """Schema of ``conf/export.yaml``."""

    weights: Text
    """A ``.pt`` checkpoint."""
    output: Text
    """The folder to write; an earlier export is replaced, anything else is refused."""
