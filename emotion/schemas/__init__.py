"""Typed schemas of every run, one module a script: types and bounds live here, values in ``conf/``."""
