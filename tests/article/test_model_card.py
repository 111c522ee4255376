"""A model card: the hub's YAML and Markdown, complete, true to the metadata, and safe from names."""

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import EvalResult, ModelCard
from markdown_it import MarkdownIt

from emotion.article import model_card
from emotion.checkpoint import load
from emotion.errors import UserError
from emotion.evaluation import score
from emotion.labels import LabelSet
from emotion.models import Predictor

NAMES = ("joy", "喜び | 悲しみ", 'a "b": c\\', "<b>*x*</b> `y` [z](w) | &amp;", "- yes: {no}", "![i](j) $k$ :smile: #")
DIGEST = "0123456789abcdef" * 4


def scores(seed: int, names: tuple[str, ...] = NAMES) -> dict[str, Any]:
    """Scores of made-up predictions; the last class has no rows."""
    generator = np.random.default_rng(seed)
    probabilities = generator.dirichlet(np.ones(len(names)), 60)
    labels = generator.integers(0, len(names) - 1, 60).tolist()
    found = score(labels, probabilities, names)
    return {**asdict(found.evaluation), "intervals": asdict(found.intervals), "calibration": asdict(found.calibration)}


def data_file(path: str, digest: str, names: tuple[str, ...] = NAMES) -> dict[str, Any]:
    return {"path": path, "sha256": digest * 64, "rows": 60, "label_counts": dict.fromkeys(names, 10)}


def metadata(names: tuple[str, ...] = NAMES) -> dict[str, Any]:
    evaluations = {
        "test": {**scores(1, names), "data": data_file("/home/me/secret/test.csv", "c", names), "reads": 3},
        "reddit": {**scores(2, names), "data": data_file("C:\\me\\secret\\a: b|c.csv", "d", names), "reads": 1},
    }
    config = {
        "seed": 42,
        "output_dir": "/home/me/secret/outputs",
        "model": {"learning_rate": 3e-5, "normalization": "none", "backbone": "/home/me/secret/minilm"},
        "data": {"train": "/home/me/secret/train.csv", "batch_size": 32, "max_length": 48},
        "optimizer": {"weight_decay": 0.01, "class_weights": [1.0, 2.0]},
        "trainer": {"max_epochs": 5, "limit_train_batches": None, "ckpt_path": "/home/me/secret/last.ckpt"},
    }
    return {
        **scores(0, names),
        "evaluations": evaluations,
        "best_epoch": 3,
        "run_id": "/home/me/secret/outputs/2030-01-01",
        "config": config,
        "data": {
            "train": data_file("/home/me/secret/train.csv", "a", names),
            "validation": data_file("/home/me/secret/validation.csv", "b", names),
        },
        "environment": {"versions": {"torch": "2.13.0"}, "hardware": {"cores": 2}, "git_commit": "f00d"},
    }


@pytest.fixture(scope="module")
def bare(originals: dict[str, Path]) -> Predictor:
    return replace(load(originals["minilm"]), metadata={}, labels=LabelSet(NAMES))


@pytest.fixture(scope="module")
def known(bare: Predictor) -> Predictor:
    return replace(
        bare, metadata=metadata(), model_id="owner/minilm", commit="abc123", temperature=1.25, model_name="MiniLM"
    )


@pytest.fixture(scope="module")
def text(known: Predictor) -> str:
    return model_card(known, DIGEST, exported=True)


def parsed(text: str, folder: Path) -> ModelCard:
    path = folder / "README.md"
    path.write_text(text, encoding="utf-8", newline="\n")
    return ModelCard.load(path)


class _Tables(HTMLParser):
    """Collects the cells of the tables in a page, as readers see them, and all tags."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.tags: set[str] = set()
        self._in_cell = False

    def handle_starttag(self, tag: str, _attrs: object) -> None:
        self.tags.add(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag: str) -> None:
        self._in_cell = self._in_cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._in_cell:
            self.tables[-1][-1][-1] += data


def rendered(text: str) -> _Tables:
    page = _Tables()
    page.feed(MarkdownIt("commonmark", {"html": True}).enable("table").render(text))
    return page


def headed(text: str, *headings: str) -> list[list[list[str]]]:
    """The rows of each table of these headings."""
    return [table[1:] for table in rendered(text).tables if table[0] == list(headings)]


def test_the_hub_reads_what_the_model_is(text: str, tmp_path: Path) -> None:
    data = parsed(text, tmp_path).data.to_dict()
    results = data.pop("model-index")
    assert data == {
        "base_model": "owner/minilm",
        "library_name": "transformers",
        "pipeline_tag": "text-classification",
        "tags": ["emotion-classification", "bert"],
        "metrics": ["accuracy", "f1"],
    }
    assert results[0]["name"] == "MiniLM"


def test_each_result_survives_with_all_its_arguments(text: str, known: Predictor, tmp_path: Path) -> None:
    found: list[EvalResult] = parsed(text, tmp_path).data.eval_results
    sets = {"validation": ("validation.csv", "b", known.metadata), **{
        name: (file, digest, known.metadata["evaluations"][name])
        for name, file, digest in (("test", "test.csv", "c"), ("reddit", "a: b|c.csv", "d"))
    }}  # fmt: skip
    assert len(found) == 2 * len(sets)
    expected = []
    for name, (file, digest, record) in sets.items():
        for metric, key, arguments in (("accuracy", "accuracy", {}), ("f1", "macro_f1", {"average": "macro"})):
            interval = record["intervals"][key]
            expected.append(
                EvalResult(
                    task_type="text-classification",
                    dataset_type="csv",
                    dataset_name=file,
                    dataset_split=name,
                    dataset_args={"rows": 60, "sha256": digest * 64},
                    metric_type=metric,
                    metric_name={"accuracy": "Accuracy", "f1": "Macro F1"}[metric],
                    metric_value=record[key],
                    metric_args={**arguments, "confidence_interval_95": [interval["low"], interval["high"]]},
                )
            )
    assert found == expected


def test_an_evaluation_set_of_any_name_leaves_the_training_data_in_the_tables(known: Predictor) -> None:
    extra = known.metadata["evaluations"]["reddit"]
    text = model_card(replace(known, metadata=known.metadata | {"evaluations": {"training": extra}}), DIGEST)
    (files,) = headed(text, "used for", "file", "rows", "SHA-256")
    assert [row[1] for row in files] == ["train.csv", "validation.csv", "a: b|c.csv"]


def test_the_hub_is_told_of_transformers_only_where_it_can_load_the_model(known: Predictor, tmp_path: Path) -> None:
    assert parsed(model_card(known, DIGEST), tmp_path).data.library_name is None


def test_a_class_that_was_not_validated_is_named_as_a_limitation(text: str, known: Predictor) -> None:
    counted = known.metadata["per_class"].values()
    assert [each["support"] == 0 for each in counted] == [False] * 5 + [True]
    limits = MarkdownIt("commonmark").render(text.partition("## Limitations")[2].partition("##")[0])
    unseen = [line for line in limits.splitlines() if "Validation has no row of" in line]
    assert unseen == [f"<li>Validation has no row of {NAMES[5]}: the scores say nothing about it.</li>"]


def test_loading_and_saving_a_card_changes_nothing(text: str, tmp_path: Path) -> None:
    assert str(parsed(text, tmp_path)) == text


def test_tables_show_names_as_they_are(text: str) -> None:
    for table in headed(text, "class", "precision", "recall", "F1", "95 % interval", "rows"):
        assert [row[0] for row in table] == list(NAMES)
    (counts,) = headed(text, "class", "train", "validation", "test", "reddit")
    assert counts == [[name, "10", "10", "10", "10"] for name in NAMES]
    (files,) = headed(text, "used for", "file", "rows", "SHA-256")
    assert [row[1] for row in files] == ["train.csv", "validation.csv", "test.csv", "a: b|c.csv"]
    assert not rendered(text).tags & {"b", "em", "a", "img", "script"}


def test_names_in_sentences_are_not_interpreted(text: str) -> None:
    page = MarkdownIt("commonmark").parse(text.split("---\n", 2)[2])
    sentence = next(token for token in page if token.type == "inline" and "one of 6 labels" in token.content)
    assert sentence.children is not None
    assert {child.type for child in sentence.children} <= {"text", "text_special", "softbreak"}
    shown = "".join(child.content or "\n" for child in sentence.children).partition("\n")[0]
    assert shown == f"A classifier that gives each text one of 6 labels: {', '.join(NAMES)}."


def test_scores_are_those_of_the_metadata(text: str, known: Predictor) -> None:
    (results,) = headed(text, "data", "rows", "read", "accuracy", "95 % interval", "macro F1", "95 % interval")
    for row, (name, reads, record) in zip(
        results,
        [
            ("validation", "", known.metadata),
            ("test", "3", known.metadata["evaluations"]["test"]),
            ("reddit", "1", known.metadata["evaluations"]["reddit"]),
        ],
        strict=True,
    ):
        low, high = (record["intervals"]["macro_f1"][end] for end in ("low", "high"))
        assert row[:4] == [name, "60", reads, f"{record['accuracy']:.4f}"]
        assert row[5:] == [f"{record['macro_f1']:.4f}", f"{low:.3f} to {high:.3f}"]
    by_set = headed(text, "class", "precision", "recall", "F1", "95 % interval", "rows")
    assert len(by_set) == 3
    for table, record in zip(by_set, [known.metadata, *known.metadata["evaluations"].values()], strict=True):
        assert [row[3] for row in table] == [f"{each['f1']:.3f}" for each in record["per_class"].values()]
        assert [row[5] for row in table] == [str(each["support"]) for each in record["per_class"].values()]
    assert by_set[0][-1][5] == "0", "a class without rows is there, too"


def test_settings_and_provenance_are_there_and_no_paths(text: str) -> None:
    (found,) = headed(text, "setting", "value")
    assert dict(found) == {
        "seed": "42",
        "model.learning_rate": "3e-05",
        "model.normalization": "none",
        "data.batch_size": "32",
        "data.max_length": "48",
        "optimizer.weight_decay": "0.01",
        "optimizer.class_weights": "1.0, 2.0",
        "trainer.max_epochs": "5",
        "trainer.limit_train_batches": "none",
    }
    (environment,) = headed(text, "what", "version")
    assert dict(environment) == {"torch": "2.13.0", "cores": "2", "commit of the code": "f00d"}
    for expected in (DIGEST, "Run: 2030-01-01", "epoch 3", "temperature of 1.25", "truncation=True", "revision abc123"):
        assert expected in text
    assert "secret" not in text
    assert "nan" not in text.lower().split()


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _leaves(each)
    else:
        yield value


def test_of_a_checkpoint_without_metadata_the_card_says_what_is_not_known(bare: Predictor, tmp_path: Path) -> None:
    text = model_card(bare, DIGEST)
    card = parsed(text, tmp_path)
    assert card.data.eval_results is None
    assert None not in _leaves(card.data.to_dict())
    assert "base_model" not in card.data.to_dict()
    for heading in ("Training data\n\nNot recorded.", "Results\n\nNot recorded."):
        assert f"## {heading}" in text
    assert "No test set is recorded" in text
    assert "None" not in text


@pytest.mark.parametrize("missing", ["intervals", "calibration", "evaluations", "data", "environment", "config"])
def test_earlier_versions_recorded_less(missing: str, known: Predictor, tmp_path: Path) -> None:
    less = {key: value for key, value in known.metadata.items() if key != missing}
    card = parsed(model_card(replace(known, metadata=less), DIGEST), tmp_path)
    assert card.data.eval_results[0].metric_value == known.metadata["accuracy"]
    assert "None" not in card.content


def test_a_folder_is_not_given_as_the_base_model(known: Predictor, tmp_path: Path) -> None:
    for folder in (replace(known, commit=None), replace(known, model_id="/home/me/secret/minilm")):
        text = model_card(folder, DIGEST)
        assert "base_model" not in parsed(text, tmp_path).data.to_dict()
        assert "secret" not in text


def test_a_compressed_model_does_not_pass_off_the_originals_scores(known: Predictor, tmp_path: Path) -> None:
    made = {"technique": "small", "settings": {"drop_layers": {"keep": 2}, "half": {"dtype": "float16"}}}
    compressed = replace(known, metadata={**known.metadata, "compression": made})
    card = parsed(model_card(compressed, DIGEST), tmp_path)
    assert card.data.eval_results is None
    assert "not this model's own" in card.text
    (*_, steps) = headed(card.text, "setting", "value")
    assert steps == [["drop_layers.keep", "2"], ["half.dtype", "float16"]]
    assert "expected calibration error" not in card.text


def test_28_classes_fit(known: Predictor) -> None:
    names = tuple(f"label {index}" for index in range(28))
    text = model_card(replace(known, labels=LabelSet(names), metadata=metadata(names)), DIGEST)
    assert len(headed(text, "class", "precision", "recall", "F1", "95 % interval", "rows")[0]) == 28


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"accuracy": float("nan")}, "metadata.accuracy"),
        ({"accuracy": "<script>"}, "metadata.accuracy"),
        ({"data": []}, "metadata.data"),
        ({"per_class": {"joy": 1}}, "metadata.per_class.joy"),
    ],
)
def test_metadata_of_strangers_is_refused_in_one_line(change: dict[str, Any], message: str, known: Predictor) -> None:
    with pytest.raises(UserError, match=f"^weights: {message} must be as training records it") as caught:
        model_card(replace(known, metadata=known.metadata | change), DIGEST)
    assert "\n" not in str(caught.value)


def test_metadata_passes_through_json(known: Predictor) -> None:
    again = replace(known, metadata=json.loads(json.dumps(known.metadata)))
    assert model_card(again, DIGEST) == model_card(known, DIGEST)
