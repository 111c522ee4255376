"""Whatever overrides and flags a command is given, it takes them as the table says, or refuses them in one line."""

import signal
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from support.campaigns import Campaign
from support.command_server import Commands, Finished
from support.overrides import COMMANDS, REFUSED, VALUES, Command, random_override

FLAGS: dict[tuple[str, ...], str] = {
    ("--cfg", "job"): "shown",
    ("--cfg", "hydra"): "shown",
    ("--info", "defaults"): "shown",
    ("--help",): "shown",
    ("--hydra-help",): "shown",
    ("--version",): "shown",
    ("--bogus",): "usage",
    ("--cfg", "nope"): "usage",
    ("--info", "nope"): "usage",
    ("--config-name",): "usage",
    ("-z",): "usage",
    ("--resolve",): "--resolve",
    ("--package", "data"): "--package",
    ("--config-name", "nope"): "nope",
    ("--config-path", "/nope"): "/nope",
    ("--config-dir", "/nope"): "/nope",
    ("--experimental-rerun", "job.pickle"): "--experimental-rerun",
    ("--run", "--cfg", "job"): "--run",
    ("--shell-completion",): "subcommand",
}
"""Flags, and how they end: with output, with the usage, or with an error that names a word."""

HYDRA = {
    "hydra.run.dir=elsewhere": None,
    "hydra.run.dir='a b'": None,
    "hydra.job.chdir=true": None,
    "hydra.verbose=true": None,
    "hydra.mode=RUN": None,
    "hydra.output_subdir=null": None,
    "+hydra.job.env_set.X=1": None,
    "hydra.run.dir=null": "hydra.run.dir",
    "hydra.run.dir=${missing}": "missing",
    "hydra.run.dir=[1]": "hydra.run.dir",
    "hydra.verbose=[1]": "hydra",
    "hydra.nope=1": "nope",
    "hydra.mode=nope": "hydra.mode",
    "hydra.searchpath=1": "hydra.searchpath",
    "hydra/launcher=nope": "hydra/launcher",
    "hydra.job_logging.version=7": "hydra",
    "hydra.job_logging=word": "hydra",
    "hydra.job_logging.root.level=LOUD": "hydra",
    "hydra.sweep=null": "hydra.sweep",
    "~hydra": "hydra",
}
"""Hydra's own settings, and the word that an error must name; None = they are taken."""


def test_overrides(campaign: Campaign, commands: Commands, tmp_path: Path) -> None:
    campaign.run(lambda random, _: Case(random, commands, tmp_path).outcome(), few=16, every=2000)


class Case:
    """One command line.

    Args:
        random: Draws it.
        commands: Run it.
        folder: In which it runs, in a folder of its own.
    """

    def __init__(self, random: Random, commands: Commands, folder: Path) -> None:
        self.random, self.commands, self.folder = random, commands, folder
        self.name = random.choice(list(COMMANDS))
        self.command: Command = COMMANDS[self.name]
        self.arguments: list[str] = []

    def outcome(self) -> str:
        """Run the command; return how it ended in a word, which was right."""
        kind = self.random.random()
        check = (
            self._flags if kind < 0.08 else self._hydra if kind < 0.14 else self._sweep if kind < 0.24 else self._job
        )
        try:
            return check()
        except AssertionError as error:
            raise AssertionError(f"{self.name} {self.arguments!r:.300}: {error}") from error

    def _run(self, *arguments: str) -> Finished:
        self.arguments = list(arguments)
        with TemporaryDirectory(dir=self.folder) as place:
            done = self.commands.run(self.name, Path(place), *self.arguments)
        assert done.code != -signal.SIGALRM, "it hangs"
        assert "Traceback" not in done.out + done.err, (done.out + done.err)[-600:]
        assert done.err.replace("\n", "").isprintable(), repr(done.err[:600])
        return done

    def _job(self) -> str:
        drawn = [random_override(self.random, self.command) for _ in range(self.random.randint(1, 3))]
        different = {text.lstrip("+~").partition("=")[0].partition(".")[0]: (text, *rest) for text, *rest in drawn}
        overrides = list(different.values())
        done = self._run(*self.command.inputs, *(text for text, _, _ in overrides))
        return self._taken_or_refused(done, [word for _, word, taken in overrides if not taken])

    def _hydra(self) -> str:
        text, word = self.random.choice(list(HYDRA.items()))
        return self._taken_or_refused(self._run(*self.command.inputs, text), [] if word is None else [word])

    def _taken_or_refused(self, done: Finished, wrong: list[str]) -> str:
        """Check that it ended because its inputs do not exist, or in one line with one of the words."""
        (line,) = self._lines(done)
        assert done.code == 1, done.code
        assert line.startswith("error: "), line
        if not wrong:
            assert line == f"error: {self.command.ends_with}", line[:600]
            return "taken"
        assert line != f"error: {self.command.ends_with}", f"taken in spite of {wrong}"
        assert any(word in line for word in wrong), (wrong, line[:600])
        return "refused"

    def _flags(self) -> str:
        flags, expected = self.random.choice(list(FLAGS.items()))
        done = self._run(*flags)
        lines = self._lines(done)
        if expected == "shown":
            assert (done.code, lines) == (0, []), (done.code, lines)
            assert done.out
            return "shown"
        if expected == "usage":
            assert done.code == 2, done.code
            assert len(lines) == 2, lines
            assert lines[0].startswith("usage: "), lines
            assert ": error: " in lines[1], lines
            return "refused with usage"
        assert done.code == 1, done.code
        assert len(lines) == 1, lines
        assert lines[0].startswith("error: "), lines
        assert expected in lines[0], lines
        return "refused"

    def _sweep(self) -> str:
        key = self.random.choice([key for key in self.command.keys if key != "trainer.devices"])  # one in a sweep
        takes = self.command.keys[key]
        simple = [value for value in ("1", "0.5", "word", "true", "null", "cpu", "64") if VALUES[value] is not REFUSED]
        values = self.random.sample(simple, 2)
        taken = all(takes(VALUES[value]) for value in values)
        forms: list[tuple[str, bool]] = [(f"{values[0]},{values[1]}", taken)] * 4
        forms += [(f"choice({values[0]},{values[1]})", taken)]
        forms += [("range(1,3)", takes(1) and takes(2)), ("shuffle(range(1,3))", takes(1) and takes(2))]
        nothing = ("range(3,1)", "range(1,3,0)", "range(1,1000000000)", "shuffle(range(1,1000000000))", "interval(0,1)")
        forms += [(form, False) for form in (*nothing, "range(0,inf)", "glob(*)", "choice()", "1,", "range(0,1,1e-9)")]
        form, taken = self.random.choice(forms)
        override = f"{key}={form}"
        if self.command.groups and self.random.random() < 0.2:
            key, files = self.random.choice(list(self.command.groups.items()))
            override, taken = self.random.choice([(f"{key}=glob({files[0]}*)", True), (f"{key}=glob(zz*)", False)])
        done = self._run("-m", *self.command.inputs, override)
        assert done.code == 1, done.code
        lines = [line for line in self._lines(done) if not line.startswith("Error executing job with overrides: ")]
        assert len(lines) == 1, lines
        if taken:
            assert lines == [f"error: {self.command.ends_with}"], lines
            return "swept"
        assert key in lines[0], lines
        assert "Launching" not in done.out, done.out
        return "sweep refused"

    @staticmethod
    def _lines(done: Finished) -> list[str]:
        return done.err.splitlines()
