"""Settings of an ablation: ``conf/ablate.yaml``."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from emotion.config import Count, Rule, Seed, Text
from emotion.errors import UserError
from emotion.reporting import BASE
from emotion.training import TrainConfig

SwitchName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$")]


class AblationConfig(TrainConfig):
    """Schema of ``conf/ablate.yaml``: the recipe that is changed, as in ``conf/train.yaml``, and its changes."""

    switches: Annotated[
        dict[SwitchName, list[Text]],
        Rule("changes by name, like {cosine: [optimizer.schedule=cosine]}, names of letters, digits, '_' or '-'"),
    ]
    """The settings that each change gives; each is trained by itself, and compared with the recipe as it is."""
    only: Annotated[list[Text] | None, Rule("a list of names of switches, or null")]
    """The changes to train now; null = all."""
    seeds: Annotated[list[Seed], Field(min_length=1), Rule("a list of one or more whole numbers from 0 to 4294967295")]
    rows: Count | None
    """Training rows that are drawn for all trainings, those set apart left out; null = all."""
    apart: Annotated[int, Field(ge=0)]
    """Training rows that are set apart to choose the epoch and to compare on; 0 = compare on ``data.validation``."""

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if BASE in self.switches:
            raise UserError(f"switches: must have other names than {BASE!r}, which is the recipe as it is, found it")
        if len(set(self.seeds)) < len(self.seeds):
            raise UserError(f"seeds: must name each seed once, found {self.seeds}")
        if self.trainer.ckpt_path is not None:
            raise UserError(f"trainer.ckpt_path: must be null in an ablation, found {self.trainer.ckpt_path}")
        if unknown := set(self.only or ()) - set(self.switches):
            raise UserError(f"only: must be of {', '.join(self.switches)}, found {sorted(unknown)[0]}")
        for name in self.chosen:
            self.recipe_of(name)
        return self

    @property
    def chosen(self) -> dict[str, list[str]]:
        """The changes to train now."""
        return {name: each for name, each in self.switches.items() if self.only is None or name in self.only}

    def recipe_of(self, switch: str) -> TrainConfig:
        """Return the settings of a training with a change, or of ``base``, without one.

        Raises:
            UserError: The change gives an unknown key or a wrong value.
        """
        base = self.with_settings([], "switches")
        if switch == BASE:
            return base
        key = f"switches.{switch}"
        found = self.with_settings(self.switches[switch], key)
        if any(getattr(found, name) != getattr(base, name) for name in ("seed", "labels", "output_dir")):
            raise UserError(f"{key}: must leave seed, labels and output_dir as they are, found {self.switches[switch]}")
        return found

    def training(
        self, switch: str, seed: int, csvs: dict[str, str], sets: dict[str, str], names: tuple[str, ...], folder: str
    ) -> TrainConfig:
        """Return the settings of one training; the labels in its CSVs are class indices.

        Args:
            switch: Name of the change.
            seed: Its seed.
            csvs: ``train`` and ``validation``.
            sets: The evaluation sets, by name.
            names: Names of the classes.
            folder: Its ``output_dir``.
        """
        recipe = self.recipe_of(switch)
        return recipe.updated(
            data=recipe.data.updated(**csvs, test=None, extra=sets or None, map=None),
            labels=recipe.labels.updated(names=list(names)),
            seed=seed,
            baselines=False,
            output_dir=folder,
        )
