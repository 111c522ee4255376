"""The page in a real browser: it answers as Python does, asks nobody for anything, and survives any CSV."""

import csv
import io
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emotion.checkpoint import load, save
from emotion.compression.steps.factorize_embeddings import factorize_embeddings_
from emotion.compression.steps.onnx import export_onnx
from emotion.compression.steps.onnx_int8 import export_onnx_int8
from emotion.compression.steps.registry import FactorizeEmbeddingsConfig, OnnxConfig
from emotion.config import SAMPLE
from emotion.errors import UserError
from emotion.evaluation import occlusion
from emotion.models import Predictor
from emotion.scoring import calibrate_
from emotion.web import ExportPageConfig, export_page
from emotion.web.runtime import PACKAGES, read_files
from support.files import TEXTS
from support.labels import EMOTION6
from support.predictors import untrained
from support.serving import serving
from support.unfamiliar import labelled, made_of

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: apt-get install chromium")

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
    predictor: Predictor
    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="module", autouse=True)
def _runtime() -> None:
    """The packages that the page runs on, in the cache."""
    try:
        read_files(None)
    except UserError as error:
        pytest.skip(f"needs npm's packages once: {error}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_playwright = pytest.importorskip("playwright.sync_api").sync_playwright
    with sync_playwright() as playwright:
        # A container has no user namespaces for the browser's sandbox; the page is our own.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opened(browser: Any, address: str, predictor: Predictor, **options: Any) -> Iterator[Visit]:
    page = browser.new_page(**{"viewport": {"width": 1280, "height": 900}, **options})
    visit = Visit(page, predictor)
    page.on("console", lambda message: visit.messages.append(message.text))
    page.on("pageerror", lambda error: visit.messages.append(str(error)))
    page.on("request", lambda request: visit.requests.append(request.url))
    page.set_default_timeout(30_000)
    page.goto(address)
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
def visit(browser: Any, backbones: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visit]:
    folder = tmp_path_factory.mktemp("minilm")
    predictor = exported("minilm", backbones["minilm"], folder)
    with opened(browser, (folder / "page.html").as_uri(), predictor) as visit:
        yield visit


def sample_texts() -> list[str]:
    with (SAMPLE / "train.csv").open(encoding="utf-8", newline="") as file:
        return [row["text"] for row in csv.DictReader(file)][:400]


@pytest.mark.parametrize("kind", ["minilm", "cardiff", "modernbert"])
def test_ids_and_probabilities_are_pythons(kind: str, browser: Any, backbones: dict[str, Path], tmp_path: Path) -> None:
    predictor = exported(kind, backbones[kind], tmp_path)
    texts = [*sample_texts(), *ODD_TEXTS]
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


def test_a_small_students_answers_are_pythons(browser: Any, backbones: dict[str, Path], tmp_path: Path) -> None:
    """INT8 products with 7-bit weights are the same whole numbers everywhere; INT4 embeddings are looked up."""
    student = untrained("minilm", backbones["minilm"])
    factorize_embeddings_(student, FactorizeEmbeddingsConfig(rank=0.5), sample_texts())
    config = OnnxConfig(per_channel=True, reduce_range=True, embedding_bits=4)
    predictor = written(export_onnx_int8(student, config, sample_texts()), tmp_path)
    texts = [*sample_texts(), *ODD_TEXTS]
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


def test_a_typed_text_gets_its_emotion_bars_and_words(visit: Visit) -> None:
    page, text = visit.page, "my aunt was so rude about it"
    page.locator("#text").fill(text)
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
    page.wait_for_timeout(500)
    titles = page.locator("#words span[title]").evaluate_all(
        "spans => spans.map(span => [span.textContent, span.title])"
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
        (b"text\n", "it has only a header"),
        (b"a,b\n1,2\n", "The CSV must have a column “text”; it has: a, b."),
        (b"id,text\n1\n", "row 2 has 1 cells"),
        (b'id,text\n1,"open\n', "one is never closed"),
        ("text\ncafé\n".encode("latin-1"), "The CSV must be in UTF-8"),
        (b"\x89PNG\r\n\x1a\n\x00\xff", "The CSV must be in UTF-8"),
    ],
)
def test_what_is_no_csv_is_told_in_one_line(content: bytes, reason: str, visit: Visit) -> None:
    choose(visit.page, content)
    visit.page.locator("#csv-status", has_text=reason).wait_for()
    assert visit.page.locator("#csv-answer").is_hidden()


def test_csvs_are_parsed_as_python_does(visit: Visit) -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        pieces = rng.choice(["a", "b c", ",", '"', "\n", "\r\n", "é", "", " "], size=(4, 3, 3))
        rows = [["".join(cell) for cell in row] for row in pieces]
        rows = [["first", "second", "third"], *[row for row in rows if any(row)]]
        content = io.StringIO()
        csv.writer(content).writerows(rows)
        assert visit.page.evaluate("content => parseCsv(content)", content.getvalue()) == rows


def test_rows_can_be_pasted_and_a_long_run_can_be_stopped(visit: Visit) -> None:
    paste = """text => {
      const data = new DataTransfer();
      data.setData("text/plain", text);
      document.getElementById("drop").dispatchEvent(new ClipboardEvent("paste", { clipboardData: data }));
    }"""
    visit.page.evaluate(paste, "so happy\nso sad")
    visit.page.locator("#csv-status", has_text="pasted.csv: 2 rows.").wait_for()
    visit.page.evaluate(paste, "text\n" + "so happy\n" * 100_000)
    visit.page.locator("#csv-status", has_text="of 100,000 rows").wait_for()
    visit.page.locator("#stop").click()
    visit.page.locator("#csv-status", has_text="stopped before").wait_for()
    assert visit.page.locator("#stop").is_hidden()


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
        serving(predictor, token="a secret") as client,
        opened(browser, f"http://127.0.0.1:{client.port}/", predictor) as visit,
    ):
        visit.page.on("dialog", lambda dialog: dialog.accept("a secret"))
        visit.page.locator("#text").fill(TEXTS[0])
        label = visit.predictor.labels.names[visit.predictor.predict([TEXTS[0]])[0]]
        visit.page.locator("#label", has_text=label).wait_for()
        choose(visit.page, ("text\n" + "\n".join(f'"{number} {TEXTS[1]}"' for number in range(100))).encode())
        rows = downloaded(visit.page)
        assert [int(row["predicted_label"]) for row in rows] == predictor.predict([row["text"] for row in rows])
        assert {url.split("/")[2] for url in visit.requests if url.startswith("http")} == {f"127.0.0.1:{client.port}"}


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
