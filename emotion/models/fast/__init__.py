"""Do the same work in less time; only this package touches the insides of other libraries.

Predictions stay the same up to rounding; training draws other random numbers for dropout. Each change first checks
whether the library is as it expects, and otherwise leaves the plain model and says so in one log line.
``docs/internals.md`` lists them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
