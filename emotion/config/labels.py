"""The label sets of ``conf/labels``."""

from omegaconf import OmegaConf

from emotion.config.folders import CONF
from emotion.labels import LabelSet

_BEFORE_LABEL_SETS = "emotion6"


def load_label_set(name: str) -> LabelSet:
    """Read ``conf/labels/<name>.yaml``."""
    content = OmegaConf.load(CONF / "labels" / f"{name}.yaml")
    return LabelSet.coloured(content.names, content.colours)


def earlier_label_set() -> LabelSet:
    """Return the label set of checkpoints that were written before they stored one."""
    return load_label_set(_BEFORE_LABEL_SETS)
