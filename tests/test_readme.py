"""The commands of the README run; those of the README and the docs that cannot run here at least compose."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from emotion.config import PROJECT, compose_config
from support.files import sample_rows, write_csv

README = (PROJECT / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"(<!-- not run: (?P<reason>[^>]+) -->\n)?```(?P<language>bash|python)\n(?P<body>.*?)```", re.DOTALL)
BLOCKS = list(BLOCK.finditer(README))
DOCS = sorted((PROJECT / "docs").glob("*.md"))
SHORTER = {
    "scripts/train.py": ["trainer.max_epochs=1", "trainer.limit_train_batches=2", "trainer.limit_val_batches=1"],
    "scripts/compress.py": ["rounds=1"],
}


def commands(block: re.Match[str]) -> list[list[str]]:
    return [shlex.split(line) for line in block["body"].splitlines() if line.strip()]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder in which the README's relative paths exist."""
    for name in ("scripts", "data", "emotion_classifier.py"):
        (tmp_path / name).symlink_to(PROJECT / name)
    for name, split in (("train", "train"), ("validation", "validation"), ("test", "test")):
        write_csv(tmp_path / f"{name}.csv", sample_rows(split, 12))
    return tmp_path


def execute(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}\n{done.stderr}"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_commands_of_the_readme_run_in_their_order(checkout: Path) -> None:
    """Trainings are shortened by appended overrides; nothing else is changed.

    The training of the first command runs first, without its installation, as the package is installed already.
    """
    execute([sys.executable, "scripts/train.py", *SHORTER["scripts/train.py"]], checkout)
    ran = 0
    for block in BLOCKS:
        if block["reason"]:
            continue
        if block["language"] == "python":
            execute([sys.executable, "-c", block["body"]], checkout)
            ran += 1
            continue
        for program, *arguments in commands(block):
            assert program == "python"
            shorter = [override for argument in arguments for override in SHORTER.get(argument, [])]
            execute([sys.executable, *arguments, *shorter], checkout)
            ran += 1
    assert ran >= 7
    assert (checkout / "outputs" / "best_MiniLM.pt").is_file()
    assert (checkout / "predictions.csv").is_file()
    assert (checkout / "test_predictions.csv").is_file()


@pytest.mark.parametrize("page", [PROJECT / "README.md", *DOCS], ids=lambda page: page.name)
def test_commands_that_are_not_run_compose(page: Path) -> None:
    for block in BLOCK.finditer(page.read_text(encoding="utf-8")):
        if not block["reason"] or block["language"] != "bash":
            continue
        for program, *arguments in commands(block):
            if program == "python" and (PROJECT / "conf" / f"{Path(arguments[0]).stem}.yaml").is_file():
                overrides = [argument for argument in arguments[1:] if argument != "-m"]
                first_choices = [re.sub(r"^([^=]+)=([^=,\[{]+),.*", r"\1=\2", override) for override in overrides]
                compose_config(Path(arguments[0]).stem, first_choices)


@pytest.mark.parametrize(
    "page", [PROJECT / "README.md", *DOCS, PROJECT / "CONTRIBUTING.md"], ids=lambda page: page.name
)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_paths_that_the_docs_name_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:emotion|conf|scripts|tests)/[\w./]+\w)`", text))
    assert [path for path in sorted(named) if not (PROJECT / path).exists()] == []


def test_the_two_promised_commands_are_there() -> None:
    assert 'pip install -e ".[offline]" && python scripts/train.py' in README
    assert 'pip install -e ".[dev]" && pytest' in README
