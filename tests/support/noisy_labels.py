"""Probabilities and labels with mistakes, and the rows that cleanlab suspects: ``data/cleanlab_suspects.json``.

cleanlab is under the AGPL, so it is no dependency. The file was made in an environment with cleanlab 2.9.0 and numpy:
``cd tests && python -m support.noisy_labels``.
"""

import json
from pathlib import Path

import numpy as np

EXPECTED = Path(__file__).parents[1] / "data" / "cleanlab_suspects.json"
CASES = {
    "two classes": (2, 200, 0.2),
    "six classes": (6, 400, 0.15),
    "a clean corpus": (4, 150, 0.0),
    "mostly wrong": (3, 300, 0.6),
    "28 classes": (28, 900, 0.2),
    "a class of one row": (5, 160, 0.2),
    "a class without rows": (5, 161, 0.2),
}


def noisy(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Make a case of :data:`CASES`: probabilities, (rows, classes), and labels, (rows,)."""
    classes, rows, share = CASES[name]
    random = np.random.RandomState(rows)  # its numbers are the same in every version of numpy
    truth = random.permutation(np.arange(rows) % classes)
    labels = np.where(random.uniform(size=rows) < share, random.randint(classes, size=rows), truth)
    if name.startswith("a class"):
        labels[labels == 2] = 3
    if name == "a class of one row":
        labels[7] = 2
    probabilities = 0.4 * random.dirichlet(np.full(classes, 0.5), rows) + 0.6 * np.eye(classes)[truth]
    guessed = random.uniform(size=rows) < 0.15  # the model errs too
    probabilities[guessed] = random.dirichlet(np.full(classes, 0.5), guessed.sum())
    return probabilities, labels


def by_cleanlab(name: str) -> list[int]:
    """Return the rows of a case that cleanlab suspects, the lowest self-confidence first."""
    from cleanlab.filter import find_label_issues

    probabilities, labels = noisy(name)
    rows = find_label_issues(
        labels, probabilities, filter_by="prune_by_noise_rate", return_indices_ranked_by="self_confidence", n_jobs=1
    )
    found: list[int] = rows.tolist()
    return found


if __name__ == "__main__":
    lines = [f"  {json.dumps(name)}: {json.dumps(by_cleanlab(name))}" for name in CASES]
    EXPECTED.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
