"""The cores that this process computes on."""


def allowed_cores() -> int:
    """Return how many cores this process may use, >= 1: affinity and the quota of a container may allow few of many."""
    from joblib import cpu_count  # takes a sixth of a second

    cores: int = cpu_count()
    return cores
