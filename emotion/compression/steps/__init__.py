"""The steps of compression, one module each; :mod:`~emotion.compression.steps.registry` names them."""
