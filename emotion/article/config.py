"""Settings of an export: ``conf/export.yaml``."""

from emotion.config import Config, Text


class ExportConfig(Config):
    """Schema of ``conf/export.yaml``."""

    weights: Text
    """A ``.pt`` checkpoint."""
    output: Text
    """The folder to write; an earlier export is replaced, anything else is refused."""
