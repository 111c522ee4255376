"""Configs of compressions."""

from emotion.compression import CompressConfig
from emotion.config import compose_config, resolve


def config_of(*overrides: str) -> CompressConfig:
    return resolve(compose_config("compress", ["technique=prune", *overrides]), CompressConfig)
