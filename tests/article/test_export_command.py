"""The command that writes a folder for the hub."""

from pathlib import Path

from huggingface_hub import ModelCard

from emotion.files import sha256
from support.command_server import Commands, Death


def test_the_command_writes_the_folder_and_says_where(
    commands: Commands, originals: dict[str, Path], tmp_path: Path
) -> None:
    done = commands.run("export", tmp_path, f"weights={originals['minilm']}", "output=hub/MiniLM")
    assert (done.code, done.err) == (0, "")
    assert "hub/MiniLM" in done.out
    assert sha256(originals["minilm"]) in ModelCard.load(tmp_path / "hub" / "MiniLM" / "README.md").text


def test_a_mistake_is_one_line(commands: Commands, originals: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").touch()
    for arguments, message in (
        ([f"weights={originals['minilm']}", "output=mine"], "error: output: "),
        ([f"weights={originals['minilm']}"], "error: output: a value is required"),
        (["weights=gone.pt", "output=hub"], "error: weights: must be a checkpoint file"),
    ):
        done = commands.run("export", tmp_path, *arguments)
        assert done.code == 1
        assert done.err.startswith(message)
        assert done.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_command_that_is_killed_between_its_renames_can_be_started_again(
    commands: Commands, originals: dict[str, Path], tmp_path: Path
) -> None:
    def start(kind: str, rename: int = 0) -> int:
        arguments = (f"weights={originals[kind]}", "output=hub")
        return commands.run("export", tmp_path, *arguments, death=Death(rename=rename)).code

    assert start("minilm") == 0
    earlier = sha256(tmp_path / "hub" / "model.safetensors")
    assert start("modernbert", rename=1) < 0
    assert sha256(tmp_path / "hub" / "model.safetensors") == earlier, "the earlier folder is there as it was"
    assert start("modernbert", rename=2) < 0
    assert not (tmp_path / "hub").exists()
    assert start("modernbert") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["hub"]
