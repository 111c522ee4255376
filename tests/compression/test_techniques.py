"""How a technique's name becomes chains of steps, with the overrides applied."""

import shutil
from pathlib import Path

import pytest

from emotion.compression import CompressConfig, techniques
from emotion.compression.techniques import chains
from emotion.config import CONF, compose_config, resolve
from emotion.config import compose as config
from emotion.config import overrides as config_overrides
from emotion.errors import UserError


def chains_of(*overrides: str) -> list[CompressConfig]:
    return chains(resolve(compose_config("compress", list(overrides)), CompressConfig), overrides)


def test_all_means_the_three_classic_techniques_and_is_the_default() -> None:
    expected = [("prune", ["prune"]), ("quantize", ["quantize"]), ("combined", ["prune", "quantize"])]
    for overrides in ((), ("technique=all",)):
        assert [(chain.technique.name, chain.technique.steps) for chain in chains_of(*overrides)] == expected


@pytest.mark.parametrize("technique", ["prune", "quantize", "combined", "half"])
def test_one_technique_is_one_chain(technique: str) -> None:
    (chain,) = chains_of(f"technique={technique}")
    assert chain.technique.name == technique


def test_overrides_apply_to_each_technique_of_a_set() -> None:
    found = chains_of("prune.amount=0.5", "technique=all", "++quantize.threshold=3", "rounds=1")
    assert [(chain.prune.amount, chain.quantize.threshold, chain.rounds) for chain in found] == [(0.5, 3.0, 1)] * 3
    found = chains_of("technique.techniques=[half,prune]", "half.dtype=bfloat16")
    assert [(chain.technique.name, chain.half.dtype) for chain in found] == [
        ("half", "bfloat16"),
        ("prune", "bfloat16"),
    ]


def test_a_custom_chain_needs_no_file() -> None:
    (chain,) = chains_of("technique=prune", "technique.name=prune_half", "technique.steps=[prune,half]")
    assert (chain.technique.name, chain.technique.steps) == ("prune_half", ["prune", "half"])


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["technique=all", "technique.steps=[prune]"], "must have either steps or techniques, found steps=['prune']"),
        (["technique=all", "technique.techniques=[]"], "must have either steps or techniques, found steps=[]"),
        (["technique=prune", "technique.steps=[]"], "must have either steps or techniques, found steps=[]"),
        (["technique=all", "technique.techniques=[prune,nope]"], "found 'nope'"),
        (["technique=all", "technique.techniques=[all]"], "found 'all'"),
        (["technique=all", "technique.techniques=[../train]"], "found '../train'"),
    ],
)
def test_an_impossible_set_is_refused_in_one_line(overrides: list[str], words: str) -> None:
    with pytest.raises(UserError) as caught:
        chains_of(*overrides)
    message = str(caught.value)
    assert message.startswith("technique")
    assert words in message
    assert "\n" not in message
    if "techniques: must be names" in message:
        assert "combined" in message, "the names are listed"


@pytest.fixture
def technique_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of ``conf/technique`` that is read in its place."""
    shutil.copytree(CONF, tmp_path / "conf")
    monkeypatch.setattr(config, "CONF", tmp_path / "conf")
    monkeypatch.setattr(config_overrides, "CONF", tmp_path / "conf")
    monkeypatch.setattr(techniques, "CONF", tmp_path / "conf")
    return tmp_path / "conf" / "technique"


def test_a_technique_of_a_set_must_have_its_files_name(technique_files: Path) -> None:
    (technique_files / "strong.yaml").write_text((technique_files / "prune.yaml").read_text())
    with pytest.raises(UserError, match=r"^technique.name: must be strong, its file's name, found 'prune'"):
        chains_of("technique.techniques=[prune,strong]")


def test_a_set_must_not_have_settings_of_steps(technique_files: Path) -> None:
    text = (technique_files / "all.yaml").read_text()
    (technique_files / "all.yaml").write_text(f"{text}max_drop: 0.1\n")
    assert len(chains_of("technique=all")) == 3
    (technique_files / "all.yaml").write_text(f"{text}prune:\n  amount: 0.5\n")
    with pytest.raises(UserError, match=r"all.yaml: a set must leave settings of steps to .*, found prune"):
        chains_of("technique=all")
