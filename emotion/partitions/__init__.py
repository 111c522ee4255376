"""Predict many files: what is done is not done again, and several processes share the work."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
