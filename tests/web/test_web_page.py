"""The page in a real browser: it answers as Python does, asks nobody for anything, and survives any CSV."""

import base64
import csv
import io
import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from emotion.checkpoint import load, save
from emotion.compression.steps.factorize_embeddings import factorize_embeddings_
from emotion.compression.steps.onnx import export_onnx
from emotion.compression.steps.onnx_int8 import export_onnx_int8
from emotion.compression.steps.registry import FactorizeEmbeddingsConfig, OnnxConfig
from emotion.data import open_csv
from emotion.errors import UserError
from emotion.evaluation import occlusion
from emotion.evaluation.words import split_words
from emotion.models import Predictor
from emotion.prediction import predict_csv
from emotion.scoring import calibrate_
from emotion.web import ExportPageConfig, description, export_page, server_page
from emotion.web.runtime import PACKAGES, read_files
from support.csv_cases import CsvCase, csv_cases
from support.files import TEXTS, sample_rows
from support.labels import EMOTION6
from support.prediction import predict_config
from support.predictors import untrained
from support.serving import serving, wait_until
from support.unfamiliar import labelled, made_of

CHROMIUM = shutil.which("chromium")
ODD_TEXTS = [
    *(
        "",
        " ",
        "\t\n",
        "a",
        "é",
        "É́́",
        "naïve café",
        "ﬁn",
        "ⅷ",
        "İstanbul",
        "ẞ",
        "\u200b",
        "\ufeffa",
        "a\u00a0b",
        "\x00x",
    ),
    *(
        "😡",
        "👩‍👩‍👧",
        "🇩🇪",
        "so 😀😀 happy",
        "@you http://x.y #tag",
        "don\u2019t",
        "日本語 です",
        "한국어",
        "ไทย",
        "العربية",
    ),
    *(
        "<script>alert(1)</script>",
        "a&amp;b",
        "word " * 300,
        "x" * 500,
        "...!!!???",
        "C++ / C#",
        "1,000.5 €",
        "\ud7ff\ue000",
    ),
]


@dataclass
class Visit:
    """A page that is open, and what it complained of or asked for."""

    page: Any
    predictor: Predictor = field(repr=False)
    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def _npm() -> None:
    """The packages that the page runs on, in the cache."""
    try:
        read_files(None)
    except UserError as error:
        pytest.skip(f"needs npm's packages once: {error}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("needs a browser: apt-get install chromium")
    sync_playwright = pytest.importorskip("playwright.sync_api").sync_playwright
    with sync_playwright() as playwright:
        # A container has no user namespaces for the browser's sandbox; the page is our own.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opened(
    browser: Any, address: str, predictor: Predictor, script: str | None = None, **options: Any
) -> Iterator[Visit]:
    """Open a page, and wait until it is ready unless ``script`` changes the browser before."""
    page = browser.new_page(**{"viewport": {"width": 1280, "height": 900}, **options})
    visit = Visit(page, predictor)
    page.on("console", lambda message: visit.messages.append(message.text))
    page.on("pageerror", lambda error: visit.messages.append(str(error)))
    page.on("request", lambda request: visit.requests.append(request.url))
    page.set_default_timeout(30_000)
    if script:
        page.add_init_script(script)
    page.goto(address)
    if not script:
        page.wait_for_selector("[data-ready]")
    yield visit
    page.close()


def exported(kind: str, backbone: Path, folder: Path) -> Predictor:
    """Write a calibrated ONNX checkpoint and its page."""
    return written(export_onnx(untrained(kind, backbone)), folder)


def written(predictor: Predictor, folder: Path) -> Predictor:
    """Calibrate an ONNX model, and write its checkpoint and its page."""
    calibrate_(predictor, labelled(made_of("abcdefgh", 150, seed=0), EMOTION6))
    predictor.temperature = 1.3
    save(predictor, folder / "model.onnx")
    export_page(ExportPageConfig(weights=str(folder / "model.onnx"), output=str(folder / "page.html"), runtime=None))
    return load(folder / "model.onnx")


@pytest.fixture(scope="module")
def minilm(_npm: None, backbones: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Predictor, str]:
    """A model, and the address of its page."""
    folder = tmp_path_factory.mktemp("minilm")
    predictor = exported("minilm", backbones["minilm"], folder)
    return predictor, (folder / "page.html").as_uri()


@pytest.fixture(scope="module")
def visit(browser: Any, minilm: tuple[Predictor, str]) -> Iterator[Visit]:
    predictor, address = minilm
    with opened(browser, address, predictor) as visit:
        yield visit


def all_texts() -> list[str]:
    return [*(text for text, _ in sample_rows("train")), *ODD_TEXTS]


@pytest.mark.usefixtures("_npm")
@pytest.mark.parametrize("kind", ["minilm", "cardiff", "modernbert"])
def test_ids_and_probabilities_are_pythons(kind: str, browser: Any, backbones: dict[str, Path], tmp_path: Path) -> None:
    predictor = exported(kind, backbones[kind], tmp_path)
    texts = all_texts()
    with opened(browser, (tmp_path / "page.html").as_uri(), predictor) as visit:
        ids = visit.page.evaluate("texts => texts.map(backend.ids)", texts)
        other = [
            text
            for text, mine, row in zip(texts, ids, predictor.encoder.encode(texts), strict=True)
            if mine != list(row)
        ]
        assert other == []
        answers = visit.page.evaluate("texts => backend.answer(texts)", texts)
        found = predictor.predict_texts(texts)
        np.testing.assert_allclose([each["probabilities"] for each in answers], found.probabilities, atol=1e-4)
        assert [each["truncated"] for each in answers] == found.truncated.tolist()
        far = predictor.is_unfamiliar(found)
        assert far is not None
        assert predictor.familiarity is not None
        clear = np.abs(found.distances / predictor.familiarity.limit - 1) > 1e-3
        assert np.array([each["unfamiliar"] for each in answers])[clear].tolist() == far[clear].tolist()


@pytest.mark.usefixtures("_npm")
def test_a_small_students_answers_are_pythons(browser: Any, backbones: dict[str, Path], tmp_path: Path) -> None:
    """INT8 products with 7-bit weights are the same whole numbers everywhere; INT4 embeddings are looked up."""
    student = untrained("minilm", backbones["minilm"])
    texts = all_texts()
    factorize_embeddings_(student, FactorizeEmbeddingsConfig(rank=0.5), texts[:400])
    config = OnnxConfig(per_channel=True, reduce_range=True, embedding_bits=4)
    predictor = written(export_onnx_int8(student, config, texts[:400]), tmp_path)
    assert (tmp_path / "page.html").stat().st_size <= 25e6
    with opened(browser, (tmp_path / "page.html").as_uri(), predictor) as visit:
        answers = visit.page.evaluate("texts => backend.answer(texts)", texts)
    found, expected = np.array([each["probabilities"] for each in answers]), predictor.predict_proba(texts).numpy()
    # Sums in another order round other activations to the next of 256 steps, which random weights make much of.
    assert np.abs(found - expected).mean() < 5e-3
    assert (found.argmax(1) == expected.argmax(1)).mean() > 0.98


def test_it_asks_nobody_and_complains_of_nothing(visit: Visit) -> None:
    visit.page.evaluate("texts => backend.answer(texts)", TEXTS)
    assert [url for url in visit.requests if not url.startswith(("file:", "blob:"))] == []
    assert len([url for url in visit.requests if url.startswith("file:")]) == 1
    assert visit.messages == []
    blocked = "() => fetch('https://example.org').then(() => 'sent', () => 'blocked')"
    assert visit.page.evaluate(blocked) == "blocked"
    visit.messages.clear()


WORDS_TEXTS = [
    *(
        *TEXTS[:4],
        *(text for text in ODD_TEXTS if len(text) < 400),
        "今日は とても嬉しい です。",
        "ฉันมีความสุขมาก so happy",
    ),
    *("so happy \x1c\x85 and\ufeffsad  too ", "か\u3099き\u0301\u0301x", "so 中文 happy中文 " * 40, "word " * 300),
    " ".join(f"w{number}" for number in range(60)),
]


def test_words_are_split_as_python_does(visit: Visit) -> None:
    rng = np.random.default_rng(0)
    ends = (
        "\u0dff\u0e00\u0eff\u0f00\u0fff\u1000\u109f\u10a0\u177f\u1780\u17ff\u1800\u3004\u3005\u3007\u3008\u303f\u3040"
    )
    ends += (
        "\u30ff\u3100\u31ef\u31f0\u31ff\u3200\u33ff\u3400\u4dbf\u4dc0\u4dff\u4e00\u9fff\ua000\uf8ff\uf900\ufaff\ufb00"
    )
    letters = [*ends, *"\U0001ffff\U00020000\U0003ffff\U00040000 ab ก็日かー \t\n\x1c\x85\u00a0\ufeff\u0301\u3099😀𠀋"]
    texts = [*all_texts(), *("".join(rng.choice(letters, size=12)) for _ in range(4000))]
    found = visit.page.evaluate("texts => texts.map(text => splitWords(text).map(span => text.slice(...span)))", texts)
    assert found == [[text[start:end] for start, end in split_words(text)] for text in texts]


@pytest.mark.usefixtures("_npm")
@pytest.mark.parametrize("kind", ["minilm", "cardiff", "modernbert"])
def test_words_are_scored_as_python_does(kind: str, browser: Any, backbones: dict[str, Path], tmp_path: Path) -> None:
    predictor = exported(kind, backbones[kind], tmp_path)
    expected = occlusion(predictor, WORDS_TEXTS, [1] * len(WORDS_TEXTS))
    ask = """async texts => {
      const found = [];
      for (const text of texts) {
        const { groups, scores } = await scoreWords(text, 1, () => true);
        found.push(groups.map((span, place) => [text.slice(...span), scores[place]]));
      }
      return found;
    }"""
    with opened(browser, (tmp_path / "page.html").as_uri(), predictor) as visit:
        for text, mine, theirs in zip(WORDS_TEXTS, visit.page.evaluate(ask, WORDS_TEXTS), expected, strict=True):
            words = [text[word.start : word.end] for word in theirs.words]
            assert [word for word, _ in mine][: len(words)] == words, text
            # Behind the last token there may be words without any, such as a control character.
            assert all(abs(score) < 0.01 for _, score in mine[len(words) :]), text
            scores = [score for _, score in mine][: len(words)]
            np.testing.assert_allclose(scores, [word.score for word in theirs.words], atol=0.02)


@pytest.mark.usefixtures("_npm")
def test_many_words_are_scored_in_groups_as_python_does(
    browser: Any, backbones: dict[str, Path], tmp_path: Path
) -> None:
    predictor = replace(untrained("cardiff", backbones["cardiff"]), max_length=250)
    predictor = written(export_onnx(predictor), tmp_path)
    text = " ".join(np.random.default_rng(0).choice(["so", "happy", "sad", "was", "angry", "never"], 300))
    (expected,) = occlusion(predictor, [text], [1])
    assert len(expected.words) == 128
    with opened(browser, (tmp_path / "page.html").as_uri(), predictor) as visit:
        found = visit.page.evaluate("text => scoreWords(text, 1, () => true)", text)
        assert found["groups"] == [[word.start, word.end] for word in expected.words]
        np.testing.assert_allclose(found["scores"], [word.score for word in expected.words], atol=0.02)
        visit.page.locator("#text").fill(text)
        note = f"does not read the last {300 - found['read']} words, so nothing is said of them."
        note += f" {found['read']} words are scored in 128 groups of neighbours."
        visit.page.locator("#words-note", has_text=note).wait_for()


def test_words_that_are_not_read_are_told(visit: Visit) -> None:
    page, text = visit.page, " ".join(["so", "sad"] * 50)
    page.locator("#text").fill(text)
    (expected,) = occlusion(visit.predictor, [text])
    left = 100 - len(expected.words)
    assert left > 0
    page.locator("#words-note", has_text=f"The model does not read the last {left} words").wait_for()
    page.locator("#text").fill("so sad")
    page.locator("#words-note", has_text=re.compile("^$")).wait_for(state="attached")


def explain(page: Any, text: str) -> None:
    """Type a text, and wait until its words are scored."""
    page.locator("#text").fill(text)
    shown = """() => {
      const words = document.getElementById("words").cloneNode(true);
      words.querySelectorAll(".hidden").forEach((part) => part.remove());
      return words.ariaBusy === "false" ? words.textContent : null;
    }"""
    wait_until(lambda: page.evaluate(shown) == text)


def test_screen_readers_hear_what_speaks_for_and_against(visit: Visit) -> None:
    page, text = visit.page, "my aunt was so rude about it"
    explain(page, text)
    (expected,) = occlusion(visit.predictor, [text])
    largest = max(abs(word.score) for word in expected.words)
    heard = page.locator("#words").aria_snapshot()
    for word in expected.words:
        written = text[word.start : word.end]
        share = abs(word.score) / largest
        if share > 0.12:
            assert f"{written} ({'for' if word.score > 0 else 'against'})" in heard
        elif share < 0.08:
            assert f"{written} (" not in heard


def test_a_typed_text_gets_its_emotion_bars_and_words(visit: Visit) -> None:
    page, text = visit.page, "my aunt was so rude about it"
    explain(page, text)
    probabilities = visit.predictor.predict_proba([text])[0]
    names = visit.predictor.labels.names
    page.locator("#label", has_text=names[int(probabilities.argmax())]).wait_for()
    order = [names[place] for place in probabilities.argsort(descending=True)]
    assert page.locator("#bars button").all_text_contents() == order
    (expected,) = occlusion(visit.predictor, [text])
    assert _word_scores(page) == pytest.approx(
        {text[word.start : word.end]: word.score for word in expected.words if abs(word.score) > 0.2}, abs=0.02
    )
    second = page.locator("#bars button").nth(1)
    second.focus()
    page.keyboard.press("Enter")
    page.locator("#words-title", has_text=f"Which words speak for {order[1]}").wait_for()
    assert page.evaluate("document.activeElement.textContent") == order[1]
    assert page.locator("#bars button[aria-pressed=true]").text_content() == order[1]
    page.locator("#text").fill("  ")
    page.locator("#answer").wait_for(state="hidden")


def _word_scores(page: Any) -> dict[str, float]:
    """Scores of the words that are marked, above what all would have by chance."""
    titles = page.locator("#words span[title]").evaluate_all(
        "spans => spans.map(span => [span.firstChild.textContent, span.title])"
    )
    scores = {word: float(title.split()[1]) * (1 if title.startswith("for") else -1) for word, title in titles}
    return {word: score for word, score in scores.items() if abs(score) > 0.2}


def test_it_warns_of_text_that_it_cannot_judge(visit: Visit) -> None:
    page = visit.page
    far = next(text for text in TEXTS if visit.predictor.is_unfamiliar(visit.predictor.predict_texts([text]))[0])  # type: ignore[index]
    page.locator("#text").fill(far)
    page.locator("#warning", has_text="unlike those that the model learned from").wait_for()
    page.locator("#text").fill("word " * 100)
    page.locator("#warning", has_text="only its first 48 tokens count").wait_for()
    assert page.locator("[aria-live]").evaluate_all("parts => parts.map(part => part.innerText)") == [
        f"{page.locator('#verdict').inner_text()}\n\n{page.locator('#warning').inner_text()}"
    ]


def choose(page: Any, content: bytes, name: str = "my file.csv") -> None:
    page.locator("#file").set_input_files({"name": name, "mimeType": "text/csv", "buffer": content})


def downloaded(page: Any) -> list[dict[str, str]]:
    page.locator("#csv-answer").wait_for()
    with page.expect_download() as download:
        page.locator("#download").click()
    assert download.value.suggested_filename == "my file_predictions.csv"
    with Path(download.value.path()).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_csv_is_predicted_and_can_be_downloaded(encoding: str, separator: str, visit: Visit) -> None:
    texts = [*TEXTS, 'a "quoted" text', "two\nlines", "a, b; c\td", "<img src=x onerror=alert(1)>", ""]
    content = io.StringIO()
    writer = csv.writer(content, delimiter=separator)
    writer.writerows([["id", "text"], *([place, text] for place, text in enumerate(texts))])
    choose(visit.page, content.getvalue().encode(encoding))
    visit.page.locator("#csv-status", has_text=f"my file.csv: {len(texts)} rows").wait_for()
    rows = downloaded(visit.page)
    assert [row["text"] for row in rows] == texts
    assert [row["id"] for row in rows] == [str(place) for place in range(len(texts))]
    assert [int(row["predicted_label"]) for row in rows] == visit.predictor.predict(texts)
    counts = visit.page.locator("#counts .value").all_text_contents()
    assert sum(map(int, counts)) == len(texts)
    assert visit.page.locator("#preview td").first.text_content() == texts[0]
    assert visit.page.locator("#preview img").count() == 0


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "The CSV must have at least one row."),
        (b"\n  \n", "The CSV must have at least one row."),
        (b"text\n", "it has only a header"),
        (b"a,b\n1,2\n", "The CSV must have a column “text”; it has: a, b."),
        (b"text,text\na,b\n", "The CSV must have one column “text”; it has several."),
        (b"text,confidence\na,b\n", "The CSV must not have a column “confidence” yet"),
        (b"text,id\na,1\nb,c,2\n", "at most 2 cells, as the first row has; found 3 in row 3 (the header is row 1)."),
        (b"text\nso happy, really\n", "at most 1 cell, as the first row has; found 2 in row 2 (the header is row 1)."),
        (
            b"text\nso happy,\nso sad,\n",
            "at most 1 cell, as the first row has; found 2 in row 2 (the header is row 1).",
        ),
        (b"so happy\nso sad, too\n", "at most 1 cell, as the first row has; found 2 in row 2."),
        (b'id,text\n1,"open\n', "every quote must be closed, found an open one in row 2 (the header is row 1)."),
        (b'text\n"a" b\n', "a quote within a quoted cell must be doubled"),
        (b"text\na\0b\n", "The CSV must be text; it has a NUL character."),
        ("text\ncafé\n".encode("latin-1"), "The CSV must be in UTF-8"),
        (b"\x89PNG\r\n\x1a\n\x00\xff", "The CSV must be in UTF-8"),
    ],
)
def test_what_is_no_csv_is_told_in_one_line(content: bytes, reason: str, visit: Visit) -> None:
    choose(visit.page, content)
    visit.page.locator("#csv-status", has_text=reason).wait_for()
    assert visit.page.locator("#csv-answer").is_hidden()


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (b"text,id\nhello\nso sad,2\n", [["hello", ""], ["so sad", "2"]]),
        (b"id,text\n1\n2,so sad\n", [["1", ""], ["2", "so sad"]]),
        (b"text,id\na,1,\n\nb,2,\n", [["a", "1"], ["b", "2"]]),
        (b"text\na; b\n\nc\n", [["a; b"], [""], ["c"]]),
        (b"sep=|\ntext|id\na, b|1\n", [["a, b", "1"]]),
        (b"first, second;text\na;b\n", [["a", "b"]]),
    ],
)
def test_uneven_csvs_are_read_as_python_does(
    content: bytes, rows: list[list[str]], visit: Visit, tmp_path: Path
) -> None:
    (tmp_path / "file.csv").write_bytes(content)
    file = open_csv(tmp_path / "file.csv", ["text"])
    assert [row for frame in file.chunks() for row in frame.to_numpy().tolist()] == rows
    found = read_by_page(visit, content)
    assert (found["names"], found["rows"]) == (list(file.columns), rows)
    choose(visit.page, content)
    lines = downloaded(visit.page)
    assert [[line[name] for name in file.columns] for line in lines] == rows
    assert [int(line["predicted_label"]) for line in lines] == visit.predictor.predict([line["text"] for line in lines])


def read_by_page(visit: Visit, content: bytes) -> dict[str, Any]:
    """What the page reads, or ``error``."""
    found: dict[str, Any] = visit.page.evaluate(
        """content => {
          try { return readTable(decoded(Uint8Array.from(atob(content), (byte) => byte.charCodeAt(0)).buffer)); }
          catch (error) { return { error: error.message }; }
        }""",
        base64.b64encode(content).decode(),
    )
    return found


def read_by_python(path: Path) -> dict[str, Any]:
    try:
        file = open_csv(path, ["text"])
        rows = [row for frame in file.chunks() for row in frame.to_numpy().tolist()]
        return {"names": list(file.columns), "rows": rows}
    except UserError as error:
        return {"error": str(error)}


# A column in other case, or one column without a name: the page is more lenient. It cannot guess an encoding.
MORE_LENIENT, STRICTER = "must have one column 'text'", "in UTF-8"


@pytest.fixture(scope="module")
def csv_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("csv") / "file.csv"


def row_of(error: str) -> str | None:
    found = re.search(r"in row (\d+)", error)
    return found and found[1]


@settings(max_examples=400, database=None, deadline=None, derandomize=True)
@given(case=csv_cases())
def test_any_csv_is_read_as_python_does(case: CsvCase, visit: Visit, csv_path: Path) -> None:
    csv_path.write_bytes(case.content)
    expected, found = read_by_python(csv_path), read_by_page(visit, case.content)
    if STRICTER in found.get("error", "") or MORE_LENIENT in expected.get("error", ""):
        return
    if "error" in expected:
        assert row_of(found["error"]) == row_of(expected["error"])
    else:
        assert (found.get("names"), found.get("rows")) == (expected["names"], expected["rows"])


def test_csvs_are_parsed_as_python_does(visit: Visit) -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        pieces = rng.choice(["a", "b c", ",", '"', "\n", "\r\n", "é", "", " "], size=(4, 3, 3))
        rows = [["".join(cell) for cell in row] for row in pieces]
        rows = [["first", "second", "third"], *[row for row in rows if any(row)]]
        content = io.StringIO()
        csv.writer(content).writerows(rows)
        assert visit.page.evaluate("content => [...records(content, ',')]", content.getvalue()) == rows


def paste(page: Any, text: str) -> None:
    """Copy ``text`` elsewhere, and paste it with the keyboard."""
    page.evaluate(
        """text => {
          const source = document.createElement("textarea");
          source.value = text;
          document.body.append(source);
          source.select();
        }""",
        text,
    )
    page.keyboard.press("Control+X")
    page.evaluate("document.activeElement.remove()")
    page.locator("#paste").focus()
    page.keyboard.press("Control+V")


def test_a_long_run_can_be_stopped_and_refuses_another_meanwhile(visit: Visit) -> None:
    page = visit.page
    paste(page, "text\n" + "so happy\n" * 100_000)
    page.locator("#csv-status", has_text="pasted.csv: 100,000 rows to predict").wait_for()
    page.locator("#done", has_text="of 100,000 rows").wait_for()
    choose(page, b"text\nso sad\n", "another.csv")
    page.locator("#csv-note", has_text="another.csv is not read, as another CSV is not done yet").wait_for()
    page.locator("#stop").click()
    page.locator("#csv-status", has_text="stopped before").wait_for()
    assert page.locator("#stop").is_hidden()
    assert page.locator("#csv-note").text_content() == ""
    assert page.locator("#csv-answer").is_visible()


@pytest.mark.parametrize(
    ("pasted", "texts"),
    [
        ("so happy\nso sad", ["so happy", "so sad"]),
        ("so happy\nso sad, too\n", ["so happy", "so sad, too"]),
        ("so happy, really\nso sad", ["so happy, really", "so sad"]),
        ('"how sad" she said\r\n\r\n; so happy', ['"how sad" she said', "", "; so happy"]),
        ("id\ttext\n1\tso sad, too", ["so sad, too"]),
        ('id,text\n1,"so sad, too"', ["so sad, too"]),
        ("text\nso sad", ["so sad"]),
    ],
)
def test_pasted_lines_are_whole_texts_unless_they_are_a_table(pasted: str, texts: list[str], visit: Visit) -> None:
    page = visit.page
    paste(page, pasted)
    page.locator("#csv-status", has_text=f"pasted.csv: {len(texts)} row").wait_for()
    page.locator("#csv-answer").wait_for()
    shown = page.locator("#preview tbody tr").evaluate_all("rows => rows.map(row => row.cells[0].textContent)")
    assert shown == texts
    emotions = page.locator("#preview tbody tr").evaluate_all("rows => rows.map(row => row.cells[1].firstChild.data)")
    names = visit.predictor.labels.names
    assert emotions == [names[label] for label in visit.predictor.predict(texts)]


def test_a_pasted_table_without_texts_is_refused(visit: Visit) -> None:
    paste(visit.page, "id\tcomment\n1\tso sad")
    visit.page.locator("#csv-status", has_text="must have a column “text”; it has: id, comment.").wait_for()


HOLD_THE_RUNTIME = """
  const original = WebAssembly.instantiate;
  const held = new Promise((resolve) => { window.release = resolve; });
  WebAssembly.instantiate = async (...given) => { await held; return original.apply(WebAssembly, given); };
"""


def test_typed_rows_are_predicted_as_pasted_ones(visit: Visit) -> None:
    visit.page.locator("#paste").fill("so happy\nso sad")
    visit.page.locator("#text").focus()
    visit.page.locator("#csv-status", has_text="pasted.csv: 2 rows.").wait_for()
    assert visit.page.locator("#paste").input_value() == ""


def test_a_file_that_is_dropped_anywhere_is_predicted(visit: Visit) -> None:
    stopped = visit.page.evaluate(
        """() => {
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File(["text\\nso happy\\n"], "dropped.csv"));
          const event = (kind) => new DragEvent(kind, { dataTransfer, bubbles: true, cancelable: true });
          return ["dragover", "drop"].map((kind) => !document.querySelector("h1").dispatchEvent(event(kind)));
        }"""
    )
    assert stopped == [True, True]  # or the browser would leave the page for the file
    visit.page.locator("#csv-status", has_text="dropped.csv: 1 row.").wait_for()


def test_empty_long_and_unfamiliar_rows_are_marked_as_python_does(visit: Visit, tmp_path: Path) -> None:
    content = b"text\nso happy\n  \n" + b"word " * 100 + b"\n"
    choose(visit.page, content)
    visit.page.locator("#csv-status", has_text="1 row has no text.").wait_for()
    visit.page.locator("#csv-status", has_text="1 row has more than 48 tokens, of which only the first").wait_for()
    rows = downloaded(visit.page)
    (tmp_path / "texts.csv").write_bytes(content)
    save(visit.predictor, tmp_path / "model.onnx")
    output = tmp_path / "predictions.csv"
    predict_csv(predict_config(weights=tmp_path / "model.onnx", csv=tmp_path / "texts.csv", output=output))
    with output.open(encoding="utf-8", newline="") as file:
        expected = list(csv.DictReader(file))
    assert list(rows[0]) == list(expected[0])
    columns = ("predicted_label", "predicted_emotion", "empty_text", "truncated_text", "unfamiliar")
    assert [[row[name] for name in columns] for row in rows] == [[row[name] for name in columns] for row in expected]
    notes = visit.page.locator("#preview tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.querySelectorAll('small')].map(note => note.textContent))"
    )
    names = {"empty_text": "empty", "truncated_text": "cut off", "unfamiliar": "unfamiliar"}
    assert notes == [[names[key] for key in names if row[key] == "True"] for row in expected]


def test_a_csv_is_predicted_in_a_tab_whose_timers_sleep(browser: Any, minilm: tuple[Predictor, str]) -> None:
    predictor, address = minilm
    with opened(browser, address, predictor, "window.setTimeout = () => 0;") as visit:
        choose(visit.page, b"text\n" + b"so happy\n" * 100)
        visit.page.locator("#csv-status", has_text="my file.csv: 100 rows.").wait_for()


def test_of_a_very_long_text_only_the_beginning_is_tokenized(visit: Visit) -> None:
    text = "so very happy " * 700_000
    short = visit.page.evaluate("text => backend.ids(text.slice(0, 2000))", text)
    seconds = visit.page.evaluate(
        """text => {
          const start = performance.now();
          for (let turn = 0; turn < 20; turn++) backend.ids(text);
          return (performance.now() - start) / 1000;
        }""",
        text,
    )
    assert visit.page.evaluate("text => backend.ids(text)", text) == short
    assert seconds < 10  # it took minutes
    for spaces in ("x" + " " * 30_000 + "so happy", "x" * 30_000 + " so happy"):
        ids = visit.page.evaluate("text => backend.ids(text)", spaces)
        (expected,) = visit.predictor.encoder.encode([spaces])
        assert ids == expected.tolist()


def test_a_csv_waits_until_the_model_is_loaded(browser: Any, minilm: tuple[Predictor, str]) -> None:
    predictor, address = minilm
    with opened(browser, address, predictor, HOLD_THE_RUNTIME) as visit:
        choose(visit.page, b"text\nso happy\n")
        visit.page.locator("#csv-status", has_text="my file.csv: waiting for the model").wait_for()
        visit.page.evaluate("release()")
        visit.page.locator("#csv-status", has_text="my file.csv: 1 row.").wait_for()
        assert [int(row["predicted_label"]) for row in downloaded(visit.page)] == predictor.predict(["so happy"])
        assert visit.messages == []


def test_a_browser_that_cannot_run_the_model_is_told_in_one_line(browser: Any, minilm: tuple[Predictor, str]) -> None:
    predictor, address = minilm
    problem = "The model cannot run in this browser: DecompressionStream is not defined"
    with opened(browser, address, predictor, "delete window.DecompressionStream") as visit:
        visit.page.locator("#status", has_text=problem).wait_for()
        choose(visit.page, b"text\nso happy\n")
        visit.page.locator("#csv-status", has_text=problem).wait_for()
        paste(visit.page, "so happy")
        visit.page.locator("#csv-status", has_text=problem).wait_for()
        assert visit.page.locator("#text").is_disabled()
        assert visit.messages == []


@pytest.mark.usefixtures("_npm")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(scheme: str, browser: Any, backbones: dict[str, Path], tmp_path: Path) -> None:
    predictor = exported("minilm", backbones["minilm"], tmp_path)
    size = {"width": 390, "height": 844}
    with opened(browser, (tmp_path / "page.html").as_uri(), predictor, viewport=size, color_scheme=scheme) as visit:
        visit.page.locator("#text").fill("x" * 400 + " my aunt was so rude")
        visit.page.locator("#answer").wait_for()
        choose(visit.page, ("text,more\n" + f"{'y' * 300},{'z' * 300}\n" * 3).encode())
        visit.page.locator("#csv-answer").wait_for()
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390
        background = visit.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert background == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(22, 23, 25)")


def test_a_servers_page_asks_its_server(originals: dict[str, Path], browser: Any) -> None:
    predictor = load(originals["bertweet"])
    with (
        serving(predictor, token="secret") as client,
        opened(browser, f"http://127.0.0.1:{client.port}/", predictor) as visit,
    ):
        answers, questions = iter(["wrong", "no header holds \u20ac", "secret"]), list[str]()

        def answer(dialog: Any) -> None:
            questions.append(dialog.message)
            dialog.accept(next(answers))

        visit.page.on("dialog", answer)
        visit.page.locator("#text").fill(TEXTS[0])
        label = visit.predictor.labels.names[visit.predictor.predict([TEXTS[0]])[0]]
        visit.page.locator("#label", has_text=label).wait_for()
        choose(visit.page, ("text\n" + "\n".join(f'"{number} {TEXTS[1]}"' for number in range(100))).encode())
        rows = downloaded(visit.page)
        assert [int(row["predicted_label"]) for row in rows] == predictor.predict([row["text"] for row in rows])
        assert {url.split("/")[2] for url in visit.requests if url.startswith("http")} == {f"127.0.0.1:{client.port}"}
        refused = "The server refuses this token. Its token:"
        assert questions == ["This server asks for its token. Its token:", refused, refused]


def test_who_does_not_give_the_token_is_asked_once(originals: dict[str, Path], browser: Any) -> None:
    predictor = load(originals["minilm"])
    with (
        serving(predictor, token="secret") as client,
        opened(browser, f"http://127.0.0.1:{client.port}/", predictor) as visit,
    ):
        questions = list[str]()

        def decline(dialog: Any) -> None:
            questions.append(dialog.message)
            dialog.dismiss()

        visit.page.on("dialog", decline)
        for text in ("so happy", "so sad"):
            visit.page.locator("#text").fill(text)
            visit.page.locator("#status", has_text="the server asks for its token: load this page again").wait_for()
            visit.page.locator("#text").fill("")
            visit.page.locator("#status:empty").wait_for(state="attached")
        assert len(questions) == 1


def test_a_servers_page_tells_its_errors_and_goes_on(originals: dict[str, Path], browser: Any) -> None:
    predictor = load(originals["minilm"])
    names = predictor.labels.names
    with (
        serving(predictor, "max_characters=60", "batch_size=8") as client,
        opened(browser, f"http://127.0.0.1:{client.port}/", predictor) as visit,
    ):
        page = visit.page
        page.locator("#text").fill("so happy")
        page.locator("#label", has_text=names[predictor.predict(["so happy"])[0]]).wait_for()
        page.locator("#text").fill("x" * 61)
        page.locator("#status", has_text="the text must have at most 60 characters, found 61").wait_for()
        assert page.locator("#answer").is_hidden()
        texts = [*(f"so sad {number}" for number in range(20)), "y" * 61, "so happy", "z" * 70, "so"]
        choose(page, ("text\n" + "\n".join(texts)).encode())
        problem = (
            "24 rows. 2 rows without a prediction, the first is row 22 (the header is row 1): the text must have at"
        )
        page.locator("#csv-status", has_text=problem).wait_for()
        rows = downloaded(page)
        assert [row["text"] for row in rows] == texts
        expected = [
            str(label) if len(text) <= 60 else "" for text, label in zip(texts, predictor.predict(texts), strict=True)
        ]
        assert [row["predicted_label"] for row in rows] == expected
        assert sum(map(int, page.locator("#counts .value").all_text_contents())) == 22


def test_a_server_that_is_gone_leaves_what_is_done(originals: dict[str, Path], browser: Any) -> None:
    predictor = load(originals["minilm"])
    with ExitStack() as stack:
        with serving(predictor, "batch_size=2") as client:
            visit = stack.enter_context(opened(browser, f"http://127.0.0.1:{client.port}/", predictor))
            page = visit.page
            explain(page, "so happy")
            choose(page, b"text\n" + b"".join(b"so sad %d\n" % number for number in range(20_000)))
            page.locator("#done", has_text="of 20,000 rows").wait_for()
        page.locator("#csv-status", has_text=re.compile("rows, failed before .* more: the server cannot be")).wait_for()
        rows = downloaded(page)
        assert 0 < len(rows) < 20_000
        assert [int(row["predicted_label"]) for row in rows] == predictor.predict([row["text"] for row in rows])
        page.locator("#bars button").nth(1).click()
        page.locator("#status", has_text="the server cannot be reached").wait_for()
        assert page.locator("#answer").is_visible()
        assert [message for message in visit.messages if "ERR_CONNECTION" not in message] == []


def test_a_servers_page_holds_no_distances(originals: dict[str, Path]) -> None:
    predictor = export_onnx(load(originals["minilm"], fast=False))
    calibrate_(predictor, labelled(made_of("abcdefgh", 150, seed=0), EMOTION6))
    assert predictor.familiarity is not None
    page = server_page(description(predictor) | {"atOnce": 8})
    found = re.search(r'id="model-description">(.*?)</script>', page)
    assert found
    assert json.loads(found[1]) == {
        "name": predictor.model_name,
        "labels": list(EMOTION6.names),
        "maxLength": 48,
        "atOnce": 8,
    }


def _page(folder: Path, **settings: Any) -> None:
    given = {"weights": str(folder / "model.onnx"), "output": str(folder / "page.html"), "runtime": None, **settings}
    export_page(ExportPageConfig(**given))


@pytest.mark.parametrize(
    ("settings", "prepare", "problem"),
    [
        ({"output": "page.txt"}, None, r"output: must end in \.html, found page\.txt"),
        ({"runtime": "empty"}, None, r"runtime: must be a folder with onnxruntime-web-1\.30\.0\.tgz, found empty"),
        ({}, lambda folder: (folder / "page.html").write_text("mine"), "output: .* was not written by this program"),
    ],
)
def test_mistakes_are_told_and_nothing_is_written(
    settings: dict[str, Any],
    prepare: Callable[[Path], object] | None,
    problem: str,
    backbones: dict[str, Path],
    tmp_path: Path,
) -> None:
    save(export_onnx(untrained("minilm", backbones["minilm"])), tmp_path / "model.onnx")
    if prepare is not None:
        prepare(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(UserError, match=problem):
        _page(tmp_path, **settings)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_models_that_browsers_cannot_run_are_refused(originals: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"weights: must be an \.onnx checkpoint, found .*\.pt"):
        _page(tmp_path, weights=str(originals["minilm"]))
    save(export_onnx(load(originals["bertweet"], fast=False)), tmp_path / "model.onnx")
    with pytest.raises(UserError, match="exists in JavaScript, found BertweetTokenizer; serve the model"):
        _page(tmp_path)


def test_packages_of_other_content_are_refused(tmp_path: Path) -> None:
    (tmp_path / PACKAGES[0].archive).write_bytes(b"something else")
    with pytest.raises(UserError, match="must have the SHA-512 q0y"):
        read_files(str(tmp_path))


@pytest.mark.usefixtures("_npm")
def test_a_model_without_distances_says_nothing_of_unfamiliar_text(
    browser: Any, backbones: dict[str, Path], tmp_path: Path
) -> None:
    plain = replace(export_onnx(untrained("minilm", backbones["minilm"])), familiarity=None)
    save(plain, tmp_path / "model.onnx")
    _page(tmp_path)
    with opened(browser, (tmp_path / "page.html").as_uri(), plain) as visit:
        answers = visit.page.evaluate("texts => backend.answer(texts)", TEXTS)
        np.testing.assert_allclose([each["probabilities"] for each in answers], plain.predict_proba(TEXTS), atol=1e-4)
        assert {each["unfamiliar"] for each in answers} == {None}
