"""Settings of the server: ``conf/serve.yaml``."""

from typing import Annotated

from pydantic import Field

from emotion.config import Accelerator, Config, Count, Text

Seconds = Annotated[float, Field(gt=0)]


class ServeConfig(Config):
    """Schema of ``conf/serve.yaml``."""

    weights: Text
    """A ``.pt`` or ``.onnx`` checkpoint."""
    host: Text
    """Address to listen at; 127.0.0.1 = this machine alone, 0.0.0.0 = all networks."""
    port: Annotated[int, Field(ge=0, le=65_535)]
    """0 = any that is free."""
    batch_size: Count
    """Most texts that are computed together, where texts wait for each other."""
    max_texts: Count
    """Most texts of a request."""
    max_characters: Count
    """Most characters of a text."""
    max_body_mb: Annotated[float, Field(gt=0)]
    """Most bytes of a request, in 1e6."""
    max_waiting: Count
    """Most texts that wait; a request that would exceed it is answered with 429 at once."""
    patience_seconds: Seconds
    """How long a client may take to send a request, from its first byte or the connection."""
    stop_seconds: Seconds
    """How long requests that were taken may still take when the server is told to stop."""
    log_texts: bool
    """Write the texts into the log."""
    accelerator: Accelerator
    fast: bool
    """Let :mod:`emotion.models.fast` replace parts of other libraries: same results up to rounding, in less time."""
