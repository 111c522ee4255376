"""Many generated cases of one check."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from time import monotonic

SEED = 0


class Campaign:
    """Runs numbered cases, each with random numbers of its own, so that a case can be tried again alone.

    Args:
        name: What is tried.
        full: Whether all cases are run.
        commit: Of the code that is tried.
        notes: File that remembers finished cases; None = nothing is remembered.
    """

    def __init__(self, name: str, full: bool, commit: str, notes: Path | None) -> None:
        self.name, self.full, self.commit, self.notes = name, full, commit, notes

    def run(self, case: Callable[[Random, int], str], few: int, every: int, only: int | None = None) -> None:
        """Run the cases that an earlier call has not finished, and fail at the end if one of them failed.

        Args:
            case: Called with the case's random numbers and its number from 0; returns what happened, in a few words,
                and raises if that is wrong.
            few: Cases of the default tests.
            every: Cases of the full campaign; the few are the first of them.
            only: The number of the one case to run, to look into a failure.
        """
        done = self._finished()
        started = monotonic()
        numbers = range(every if self.full else few) if only is None else [only]
        for number in numbers:
            if number in done:
                continue
            begun = monotonic()
            try:
                outcome, error = case(Random(f"{SEED} {number}"), number), None
            except Exception as caught:
                outcome, error = "failed", f"case {number}: {type(caught).__name__}: {caught}"
            done[number] = {"case": number, "outcome": outcome, "error": error, "seconds": monotonic() - begun}
            self._note(done[number])
        self._write_figures(done, monotonic() - started)
        failures = [entry["error"] for entry in done.values() if entry["error"]]
        assert not failures, f"{len(failures)} of {len(done)} failed:\n" + "\n".join(failures[:20])

    def _finished(self) -> dict[int, dict]:
        if self.notes is None or not self.notes.exists():
            return {}
        lines = self.notes.read_text(encoding="utf-8").splitlines()
        entries = [json.loads(line) for line in lines if line.endswith("}")]  # a killed process may leave half a line
        return {entry["case"]: entry for entry in entries if not entry["error"]}

    def _note(self, entry: dict) -> None:
        if self.notes is not None:
            with self.notes.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")

    def _write_figures(self, done: dict[int, dict], seconds: float) -> None:
        outcomes = Counter(entry["outcome"] for entry in done.values())
        counts = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
        slowest = max(entry["seconds"] for entry in done.values())
        figures = (
            f"{self.name}: {len(done)} cases at commit {self.commit}, seed {SEED}: {counts};"
            f" {seconds:.0f} s, the slowest case {slowest:.1f} s"
        )
        print(figures)
        if self.notes is not None:
            self.notes.with_suffix(".json").write_text(json.dumps({"figures": figures}), encoding="utf-8")
