"""The same results in less time."""
