"""The same work in less time: predictions are the same but for rounding; training draws other random numbers."""
