"""The page says what the report says, shows texts without running them, and stays small."""

import hashlib
import json
import re
from base64 import b64encode
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pytest

from emotion.article import Material, render_page
from emotion.evaluation import Attribution, Interval, MacroF1Difference, WordScore
from emotion.reporting.tables import Table
from support.articles import made_up_material, made_up_model, made_up_rows
from support.compression_reports import compression_report, variant
from support.html_pages import Page
from support.labels import EMOTION6

ATTACK = "<script>alert(1)</script>"
HOSTILE = (ATTACK, "\"'><img src=x onerror=alert(2)>", "</details></main>", "joy & <b>love</b>")
TEXTS = [f"text {number}" for number in range(120)]


@pytest.fixture(scope="module")
def material() -> Material:
    """Two models on validation and a test set, with compressed variants."""
    rows = {"validation": made_up_rows(120, right=0.8), "test": made_up_rows(120, seed=1)}
    best = made_up_model("MiniLM", rows, [*TEXTS[:-1], ATTACK], baseline=True, reads=3)
    second = made_up_model("Cardiff", {"validation": made_up_rows(120, right=0.5, seed=2)}, TEXTS)
    found = made_up_material([best, second], seeds=3, left_out=["The rows of X are left out, as they are gone."])
    told = MacroF1Difference(-0.03, Interval(-0.05, -0.01), 0.01)
    same = MacroF1Difference(-0.002, Interval(-0.01, 0.006), 0.004)
    variants = {
        "tiny": variant(9.0, 6.0, 0.87).model_copy(update={"difference": told, "mcnemar_holm_p": 0.0123}),
        "int8": variant(23.0, 2.0, 0.898).model_copy(update={"difference": same}),
        "pruned": variant(80.0, 1.0, 0.895),
    }
    variants["tiny"].evaluations = {"test": best.entry.evaluations["test"]}
    return replace(found, compression=compression_report(variants, failed={"half": "no GPU"}))


@pytest.fixture(scope="module")
def html(material: Material) -> str:
    return render_page(material)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_its_structure_is_what_assistive_technology_needs(page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [link["href"] for link in page.all("a")]
    assert {link[1:] for link in links if link.startswith("#")} <= set(ids)
    named = [
        attributes["aria-labelledby"].split() for _, attributes in page.elements if "aria-labelledby" in attributes
    ]
    assert {name for names in named for name in names} <= set(ids)
    headings = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    headings = headings[:-1]  # the dialog's, which is apart from the page
    assert headings.count(1) == 1
    assert all(deeper <= higher + 1 for higher, deeper in pairwise(headings))
    assert len(page.all("caption")) == len(page.all("table")) > 10
    pictures = [svg for svg in page.all("svg") if svg.get("role") == "img"]
    assert len(pictures) == len(page.all("desc")) == len(page.all("figure")) == 9
    assert all(svg.get("aria-hidden") == "true" for svg in page.all("svg") if svg not in pictures)
    assert page.all("html")[0]["lang"] == "en"


def test_it_asks_for_nothing_and_admits_no_script_but_its_own(html: str, page: Page) -> None:
    for _, attributes in page.elements:
        for name in {"src", "href", "action", "data", "srcset", "poster"} & attributes.keys():
            assert attributes[name].startswith(("#", "data:")), attributes
    (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    assert "url(" not in style
    assert "@import" not in style
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv")]
    assert policy == (f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; img-src data:")


def test_the_results_come_first_and_in_words(material: Material, page: Page) -> None:
    entry = material.best.entry
    interval, svm = entry.intervals.macro_f1, entry.baselines["tfidf_svm"]
    test = entry.evaluations["test"]
    told = "is better than" if material.report.comparisons[0].is_distinguishable else "cannot be told from"
    for words in (
        f"MiniLM reaches a macro F1 of {entry.macro_f1:.4f} on 6 validation rows:",
        f"95 % interval {interval.low:.4f} to {interval.high:.4f}; accuracy {entry.accuracy:.4f}",
        f"MiniLM {told} Cardiff on validation:",
        "MiniLM beats TF-IDF with a linear SVM on the same rows:",
        f"macro F1 {entry.macro_f1:.4f} against {svm.macro_f1:.4f}",
        f"On test, which chose nothing, MiniLM reaches a macro F1 of {test.macro_f1:.4f}:",
        "120 rows, read 3 times",
        f"expected calibration error {entry.calibration.ece_after:.3f}",
        "MiniLM was trained with 3 seeds:",
        "The smallest compressed MiniLM is tiny: 9.0 MB (10% of the original)",
        "The rows of X are left out, as they are gone.",
    ):
        assert 0 < page.visible.find(words) < page.visible.index("Macro F1 on validation"), words


def test_the_page_is_the_same_for_the_same_material(material: Material, html: str) -> None:
    assert render_page(material) == html


@dataclass(frozen=True)
class Cell:
    rows: int
    anchor: str


def cells(html: str, number: int) -> list[list[Cell]]:
    """The cells of the confusion matrix with this number, by their markup."""
    table = re.findall(r'<table class="confusion.*?</table>', html, re.DOTALL)[number]
    body = table.partition("<tbody>")[2]
    return [
        [
            Cell(int(re.sub("<[^>]*>", "", cell)), (re.findall(r'href="#([^"]*)"', cell) or [""])[0])
            for cell in re.findall(r"<td[^>]*>(.*?)</td>", row)
        ]
        for row in re.findall("<tr>(.*?)</tr>", body, re.DOTALL)
    ]


@pytest.mark.parametrize(("number", "data"), [(0, "validation"), (1, "test")])
def test_a_cell_counts_its_rows_and_leads_to_its_most_confident_texts(
    material: Material, html: str, number: int, data: str
) -> None:
    scored = material.best.scored[data]
    predicted, confidence = scored.rows.probabilities.argmax(axis=1), scored.rows.probabilities.max(axis=1)
    found = cells(html, number)
    for label in range(6):
        for prediction in range(6):
            rows = np.flatnonzero((scored.rows.labels == label) & (predicted == prediction))
            cell = found[label][prediction]
            assert cell.rows == len(rows)
            assert bool(cell.anchor) == (len(rows) > 0)
            if len(rows):
                by_confidence = sorted(rows.tolist(), key=lambda row: -confidence[row])[:20]
                _, _, after = html.partition(f'<ol id="{cell.anchor}">')
                listed = after.partition("</ol>")[0]
                assert [int(row) - 2 for row in re.findall(r"row (\d+)<", listed)] == by_confidence
                numbers = [f"{confidence[row]:.1%}" for row in by_confidence]
                assert re.findall(r"(\d+\.\d%)", listed) == numbers


def test_mistakes_pairs_and_lengths_are_those_of_the_best_model(material: Material, page: Page) -> None:
    rows = material.best.scored["validation"].rows
    predicted, confidence = rows.probabilities.argmax(axis=1), rows.probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != rows.labels)
    worst = max(wrong, key=lambda row: confidence[row])
    names = EMOTION6.names
    start = page.visible.index("Most confident mistakes of MiniLM on validation row label predicted confidence text")
    expected = f"{worst + 2} {names[rows.labels[worst]]} {names[predicted[worst]]} {confidence[worst]:.1%} text {worst}"
    assert expected in page.visible[start : start + 160]
    counts = np.zeros((6, 6), dtype=int)
    np.add.at(counts, (rows.labels[wrong], predicted[wrong]), 1)
    label, prediction = np.unravel_index(counts.argmax(), counts.shape)
    start = page.visible.index("Most frequent confusions of MiniLM on validation")
    share = counts.max() / (rows.labels == label).sum()
    found = re.search(r"example (\w+) (\w+) (\d+) (\S+)", page.visible[start:])
    assert found is not None
    assert int(found[3]) == counts.max()
    if (counts == counts.max()).sum() == 1:
        assert found.groups() == (names[label], names[prediction], str(counts.max()), f"{share:.1%}")
    assert "words rows accuracy macro F1" in page.visible


def test_compressed_models_show_their_scores_on_evaluation_sets(material: Material, page: Page) -> None:
    scores = material.best.entry.evaluations["test"]
    _, _, found = page.visible.partition("MiniLM compressed, on test, which chose nothing")
    assert f"tiny 120 {scores.accuracy:.4f} {scores.macro_f1:.4f}" in " ".join(found.split())


def test_compressed_models_show_whether_they_can_be_told_apart(html: str, page: Page) -> None:
    marks = re.findall(r'<circle class="variant (\w+)" cx="([\d.]+)" cy="([\d.]+)" r="8"', html)
    assert [kind for kind, _, _ in marks] == ["told", "same", "untested", "original"] * 2
    across = [float(x) for _, x, _ in marks[:4]]
    assert across == sorted(across)  # by size
    assert "tiny 9.0 10% 6.00 12.00 0.8700 -3.00 -5.00 to -1.00 0.012 99.0%" in page.visible
    assert "int8 23.0 26% 2.00 4.00 0.8980 -0.20 -1.00 to +0.60 99.0%" in page.visible
    assert "half failed: no GPU" in page.visible


def test_bars_and_whiskers_are_as_long_as_the_scores(material: Material, html: str) -> None:
    entry = material.best.entry
    chart = html.partition("<figure>")[2].partition("</figure>")[0]
    tick = r'<text class="mid" x="([\d.]+)" y="[\d.]+">{}</text>'
    zero, one = (float(re.search(tick.format(value), chart)[1]) for value in (0, 1))
    width = float(re.search(r'class="bar best" x="[\d.]+" y="[\d.]+" width="([\d.]+)"', chart)[1])
    assert width / (one - zero) == pytest.approx(entry.macro_f1, abs=0.002)
    low, high = map(float, re.search(r'class="whisker" d="M([\d.]+) [\d.]+L([\d.]+) ', chart).groups())
    assert (low - zero) / (one - zero) == pytest.approx(entry.intervals.macro_f1.low, abs=0.002)
    assert (high - zero) / (one - zero) == pytest.approx(entry.intervals.macro_f1.high, abs=0.002)


def test_texts_and_names_are_shown_and_never_run() -> None:
    names = (*HOSTILE[1:], "悲伤", "end of <!-- ", "${x}")
    texts = [*HOSTILE * 29, "", "a\x00b\x1b[31m", "line\u2028end \u202egnp.exe", "{{ 7 * 7 }}"]
    model = made_up_model("M<i>", {"validation": made_up_rows(120, names)}, texts, scored=False)
    model.entry.config = {"x": ATTACK}
    made = replace(made_up_material([model], left_out=[ATTACK]), compression=None)
    html = render_page(made, audit=[Table(ATTACK, ("a", "b"), [(ATTACK, ATTACK)])])
    page = Page(html)
    kinds = {tag for tag, _ in page.elements}
    assert not kinds & {"img", "b", "i", "iframe", "object"}
    assert len(page.all("script")) == 1
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    for shown in (*HOSTILE, "悲伤", "${x}", "M<i>", "(empty)", "a�b�[31m", "{{ 7 * 7 }}"):
        assert shown in page.visible, shown
    assert json.dumps(ATTACK) in "".join(text for within, text in page.texts if "pre" in within)


NUMBERLESS = re.compile(r"(?<!-)\b(nan|NaN|inf|None|undefined)\b")


def test_a_report_of_an_earlier_version_is_shown_without_what_it_lacks() -> None:
    model = made_up_model("MiniLM", {"validation": made_up_rows(30)}, None, scored=False)
    page = Page(render_page(made_up_material([model])))
    for words in (
        "this report has no interval",
        "It is the only model: there is no second to compare it with.",
        "No baseline was trained",
        "There is no evaluation set",
        "Calibration is unknown",
        "Seeds are unknown",
        "No texts are shown",
    ):
        assert words in page.visible
    assert not NUMBERLESS.findall(page.visible)
    assert [link["href"] for link in page.all("a")] == [
        *("#results", "#results", "#training", "#classes", "#mistakes", "#provenance")
    ]


def test_one_row_one_seed_and_a_class_without_rows() -> None:
    rows = made_up_rows(1)
    model = made_up_model("MiniLM", {"validation": rows}, ["only text"])
    model.entry.history = []
    page = Page(render_page(made_up_material([model], seeds=1)))
    absent = next(name for place, name in enumerate(EMOTION6.names) if place not in rows.labels)
    assert "MiniLM was trained with one seed: how much it owes to chance is unknown." in page.visible
    assert f"{absent} 0.000 0.000 0.000 0.000-0.000 0" in page.visible
    assert not NUMBERLESS.findall(page.visible)


def test_a_model_without_mistakes_says_so() -> None:
    model = made_up_model("MiniLM", {"validation": made_up_rows(20, right=1.0)}, TEXTS[:20], scored=False)
    assert "MiniLM makes no mistake on validation." in Page(render_page(made_up_material([model]))).visible


def test_a_usual_page_is_below_a_megabyte() -> None:
    texts = [f"{number} " + "A sentence of about as many letters as posts have. " * 3 for number in range(2_000)]
    models = [
        made_up_model(
            name, {data: made_up_rows(2_000, seed=seed) for data in ("validation", "test")}, texts, scored=False
        )
        for seed, name in enumerate(["MiniLM", "BERTweet", "Cardiff"])
    ]
    html = render_page(made_up_material(models))
    assert 100_000 < len(html.encode()) < 1_000_000
    assert html.count('<table class="confusion') == 6


def test_a_page_of_many_rows_and_classes_is_below_two_megabytes_and_says_what_it_leaves_out() -> None:
    names = [f"情绪{number}" for number in range(28)]
    texts = ["很长的文字&" * 60 for _ in range(20_000)]
    model = made_up_model("M", {"validation": made_up_rows(20_000, names, right=0.3)}, texts, scored=False)
    models = [replace(model, name=f"M{number}") for number in range(10)]
    html = render_page(made_up_material(models))
    assert len(html.encode()) < 2_000_000
    page = Page(html)
    assert "3 of 10 confusion matrices are left out, to keep the page small." in page.visible
    assert "In 7 confusion matrices, some cells show fewer examples or none, to keep the page small." in page.visible
    assert "情绪27" in page.visible


def test_audits_are_shown_as_tables(material: Material) -> None:
    page = Page(render_page(material, audit=[Table("Duplicates", ("split", "rows"), [("train", "12")])]))
    assert "Duplicates split rows train 12" in page.visible
    assert {"href": "#audit"} in page.all("a")


def test_explained_texts_are_shown_and_limited(material: Material) -> None:
    words = [WordScore(start=0, end=8, score=0.5)]
    made = Attribution(ATTACK, label=1, probability=0.8, words=words, method="occlusion", convergence_gap=None)
    page = Page(render_page(material, {"MiniLM": [made]}))
    assert "joy, 80% (occlusion)" in page.visible
    assert len(page.all("script")) == 1
    many = Page(render_page(material, {"MiniLM": [replace(made, text="long " * 1_000)] * 100}))
    assert re.search(r"Of 100 explained texts, \d+ are shown", many.visible)
