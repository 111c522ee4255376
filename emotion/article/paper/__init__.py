"""Write the tables and figures of an output folder as an article takes them: LaTeX, PDF and PNG."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
