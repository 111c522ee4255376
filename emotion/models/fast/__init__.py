"""The same work in less time: the only place that touches the insides of other libraries.

Predictions stay the same up to rounding; training draws other random numbers for dropout. Each change first asks
whether the library is as it expects, and otherwise leaves the plain model and says so in one log line.
``docs/internals.md`` lists them.
"""

from emotion.models.fast.speed_up import speed_up_, speed_up_like_

__all__ = ["speed_up_", "speed_up_like_"]
