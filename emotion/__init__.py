"""Fine-tune, compare, compress and run Transformer emotion classifiers.

Public names are imported on first use, here and in each package, so that ``import emotion`` does not wait for torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

__version__ = "0.2.0"
