"""Turn the requested technique into the chains of steps to run."""

from collections.abc import Sequence

from omegaconf import OmegaConf

from emotion.compression.config import CompressConfig
from emotion.compression.steps.registry import STEPS
from emotion.config import CONF, choices, compose_config, resolve
from emotion.errors import UserError


def chains(config: CompressConfig, overrides: Sequence[str], within: tuple[str, ...] = ()) -> list[CompressConfig]:
    """Return a config for each chain of steps: ``config`` itself, or one for each technique of its set.

    Args:
        config: The resolved config.
        overrides: Overrides that it was composed with; they hold for each technique of a set, except ``technique=``.
        within: The sets that ``config`` is a part of; none may contain itself.

    Raises:
        UserError: A technique of a set does not exist, or the technique does nothing.
    """
    technique = config.technique
    if technique.steps and not technique.techniques:
        return [config]
    if technique.steps or not technique.techniques:
        raise UserError(
            "technique: must have either steps or techniques,"
            f" found steps={technique.steps} and techniques={technique.techniques}"
        )
    _refuse_settings_of_steps(technique.name)
    within = (*within, technique.name)
    known = known_techniques()
    shared = [override for override in overrides if not override.lstrip("+").startswith(("technique=", "technique."))]
    members: dict[str, CompressConfig] = {}
    for name in technique.techniques:
        if name not in known or name in within:
            raise UserError(f"technique.techniques: must be names among {', '.join(known)}, found {name!r}")
        member = resolve(compose_config("compress", [*shared, f"technique={name}"]), CompressConfig)
        if member.technique.name != name:
            raise UserError(f"technique.name: must be {name}, its file's name, found {member.technique.name!r}")
        members |= {chain.technique.name: chain for chain in chains(member, overrides, within)}
    return list(members.values())


def known_techniques() -> list[str]:
    """List the files of ``conf/technique`` by name."""
    return choices("technique")


def _refuse_settings_of_steps(name: str) -> None:
    """Refuse settings in a set's file: they would do nothing, as each technique of it is composed by itself."""
    path = CONF / "technique" / f"{name}.yaml"
    keys = list(OmegaConf.load(path)) if path.is_file() else []
    sections = {step.key for step in STEPS.values()}
    if found := [key for key in keys if key in sections]:
        raise UserError(f"{path}: a set must leave settings of steps to its techniques, found {', '.join(found)}")
