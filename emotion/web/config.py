"""Settings of the page: ``conf/export_page.yaml``."""

from emotion.config import Config, Text


class ExportPageConfig(Config):
    """Schema of ``conf/export_page.yaml``."""

    weights: Text
    """An ``.onnx`` checkpoint."""
    output: Text
    """The HTML file to write."""
    runtime: Text | None
    """Folder with the npm packages that the page runs on; null = a cache, which npm fills once."""
