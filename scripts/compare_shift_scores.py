"""Compare scores that tell text unlike the training text: the checkpoint's distance, and simple statistics of the text.

python scripts/compare_shift_scores.py home=best_MiniLM.pt,train.csv,validation.csv,other.csv [NAME=...] output=FILE

Each NAME is a model: its checkpoint, its training and validation CSVs, and a labelled CSV of other text. ``output`` is
the JSON file with the AUROC of each score: for telling other text from validation, as written and with both
sides lower-cased, reduced to letters and without placeholders, so that no score wins by how a corpus was
prepared; and for telling the wrong labels within the other text.
"""

import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from emotion.checkpoint import load
from emotion.data import LabelledTexts
from emotion.evaluation import auroc
from emotion.models import Familiarity, Predictor

PLACEHOLDER = re.compile(r"\[(?:NAME|RELIGION)\]|https?://\S+|\bhttp\b|[@#]\w+|\bu/\w+", re.IGNORECASE)
Score = Callable[[Sequence[str]], np.ndarray]


def normalised(text: str) -> str:
    """Lower-case a text, keep its letters and spaces alone, and leave out placeholders."""
    letters = re.sub(r"[^a-z ]+", " ", PLACEHOLDER.sub(" ", text).lower().replace("'", ""))
    return " ".join(letters.split())


def simple_scores(training: Sequence[str]) -> dict[str, Score]:
    """Return statistics of a text that need no model; higher = less like ``training``."""
    words = Counter(word for text in training for word in text.split())
    pairs = Counter(pair for text in training for pair in _pairs(text))
    total, seen = sum(words.values()), len(words)

    def word_surprise(text: str) -> float:
        return float(np.mean([-np.log((words[word] + 1) / (total + seen)) for word in text.split()] or [0]))

    def unseen_pairs(text: str) -> float:
        return float(np.mean([pair not in pairs for pair in _pairs(text)] or [True]))

    return {
        "no “feel” in the text": _each(lambda text: float("feel" not in text.lower())),
        "a character outside a-z": _each(lambda text: float(bool(re.search(r"[^a-z ]", text)))),
        "few words": _each(lambda text: -float(len(text.split()))),
        "rare words": _each(word_surprise),
        "unseen pairs of words": _each(unseen_pairs),
    }


def study(
    model: Predictor, training: LabelledTexts, validation: LabelledTexts, other: LabelledTexts
) -> list[dict[str, Any]]:
    """Measure the scores of one model."""
    views: dict[str, Callable[[str], str]] = {"as_written": str, "normalised": normalised}
    confidences = {"low confidence": model, "low confidence, without the distance": replace(model, familiarity=None)}
    found: dict[str, dict[str, float]] = {}
    known = np.array(other.labels)
    wrong = np.array(model.predict(other.texts)) != known
    for view, change in views.items():
        home, away, learned = ([change(text) for text in each.texts] for each in (validation, other, training))
        is_away = np.repeat([False, True], [len(home), len(away)])
        scores = {name: (score(home), score(away)) for name, score in simple_scores(learned).items()}
        for name, each in confidences.items():
            near, far = (-each.predict_proba(texts).numpy().max(axis=1) for texts in (home, away))
            scores[name] = near, far
        fitted = Familiarity.fit(model.features(home), np.array(validation.labels))  # type: ignore[arg-type]
        assert fitted is not None
        scores["distance"] = fitted[1], fitted[0].distances(model.features(away))  # type: ignore[arg-type]
        for name, (near, far) in scores.items():
            found.setdefault(name, {})[view] = auroc(np.concatenate([near, far]), is_away)
            if view == "as_written":
                found[name]["wrong"] = auroc(far, wrong)
    return [{"score": name, **each} for name, each in found.items()]


def _each(score: Callable[[str], float]) -> Score:
    return lambda texts: np.array([score(text) for text in texts])


def _pairs(text: str) -> list[tuple[str, str]]:
    words = text.split()
    return list(pairwise(words))


def main() -> None:
    """Read the command line."""
    given = dict(argument.split("=", 1) for argument in sys.argv[1:])
    output = given.pop("output", None)
    if output is None or not given:
        sys.exit(__doc__)
    found = {}
    for name, files in given.items():
        weights, *csvs = files.split(",")
        model = load(weights)
        found[name] = study(model, *(LabelledTexts.read(csv, "text", "label", model.labels, "csv") for csv in csvs))
    Path(output).parent.mkdir(parents=True, exist_ok=True)
    Path(output).write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
