"""Compose a run's config from ``conf/`` and check it."""
