"""Render all results of an output folder as one HTML page that needs no other file."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
