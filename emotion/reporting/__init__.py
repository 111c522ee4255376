"""The training report: its schema, its writer and merger, its pictures and its table."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
