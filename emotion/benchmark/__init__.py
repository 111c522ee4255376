"""Compare speed with the tools that people would use instead, on the same work."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
