"""The page in a real browser: sorting, dialogs, phones, dark mode, and no script but its own."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from emotion.article import render_page
from support.articles import made_up_material, made_up_model, made_up_rows

CHROMIUM = shutil.which("chromium")
ATTACK = "<script>document.title = 'run'</script><img src=x onerror=\"document.title = 'run'\">"
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: apt-get install chromium")


@dataclass
class Visit:
    """A page that is open, and what it complained of or asked for."""

    page: Any
    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def visit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visit]:
    sync_playwright = pytest.importorskip("playwright.sync_api").sync_playwright
    rows = {data: made_up_rows(60, seed=seed) for seed, data in enumerate(["validation", "test"])}
    models = [made_up_model("MiniLM", rows, [ATTACK] * 60), made_up_model("Cardiff", rows, [ATTACK] * 60, scored=False)]
    file = tmp_path_factory.mktemp("page") / "report.html"
    file.write_text(render_page(made_up_material(models, seeds=2)), encoding="utf-8")
    with sync_playwright() as playwright:
        # A container has no user namespaces for the browser's sandbox; the page is our own.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme="light")
        visit = Visit(page)
        page.on("console", lambda message: visit.messages.append(message.text))
        page.on("pageerror", lambda error: visit.messages.append(str(error)))
        page.on("request", lambda request: visit.requests.append(request.url))
        page.goto(file.as_uri())
        page.set_default_timeout(5_000)
        yield visit
        browser.close()


def test_headings_sort_by_value_and_say_so(visit: Visit) -> None:
    table = visit.page.locator("table", has_text="Classes of MiniLM on validation")
    heading = table.locator("thead th").nth(3)
    column = "table => [...table.tBodies[0].rows].map(row => parseFloat(row.cells[3].textContent))"
    before = table.evaluate(column)
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "descending"
    assert table.evaluate(column) == sorted(before, reverse=True) != before
    heading.get_by_role("button").press("Enter")
    assert heading.get_attribute("aria-sort") == "ascending"
    assert table.evaluate(column) == sorted(before)
    table.locator("thead th").nth(0).get_by_role("button").click()
    assert heading.get_attribute("aria-sort") is None
    names = table.evaluate("table => [...table.tBodies[0].rows].map(row => row.cells[0].textContent)")
    assert names == sorted(names, reverse=True)


def test_a_cell_opens_its_texts_and_escape_gives_the_focus_back(visit: Visit) -> None:
    cell = visit.page.locator(".confusion button").first
    name = cell.get_attribute("title")
    cell.focus()
    visit.page.keyboard.press("Enter")
    dialog = visit.page.get_by_role("dialog", name=name)
    assert dialog.locator("bdi").first.text_content() == ATTACK
    assert dialog.locator("li").count() == min(int(cell.text_content()), 20)
    visit.page.keyboard.press("Escape")
    assert visit.page.get_by_role("dialog").count() == 0
    assert cell.evaluate("cell => document.activeElement === cell")
    assert cell.evaluate("cell => getComputedStyle(cell).outlineStyle") == "solid"


def test_a_phone_scrolls_tables_and_not_the_page(visit: Visit) -> None:
    visit.page.set_viewport_size({"width": 390, "height": 800})
    visit.page.locator("details").evaluate_all("all => all.forEach(each => { each.open = true; })")
    assert visit.page.evaluate("document.documentElement.scrollWidth") == 390
    scrolled = ".scroll, pre"
    too_wide = f"""[...document.querySelectorAll("main *")].filter(
        each => each.getBoundingClientRect().right > 391 && !each.closest({scrolled!r}) && !each.closest("svg")
    ).map(each => each.outerHTML.slice(0, 80))"""
    assert visit.page.evaluate(too_wide) == []
    visit.page.set_viewport_size({"width": 1280, "height": 900})


def test_dark_mode_has_other_colours_of_enough_contrast(visit: Visit) -> None:
    colours = "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    found = {}
    for scheme in ("light", "dark"):
        visit.page.emulate_media(color_scheme=scheme)
        found[scheme] = visit.page.evaluate(colours)
        assert contrast(*found[scheme]) > 7
        muted = visit.page.locator("figcaption").first.evaluate("each => getComputedStyle(each).color")
        assert contrast(found[scheme][0], muted) > 4.5
    visit.page.emulate_media(color_scheme="light")
    assert found["light"] != found["dark"]


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours ``rgb(r, g, b)``; source: WCAG 2.2."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_nothing_was_asked_for_and_no_text_was_run(visit: Visit) -> None:
    assert visit.page.title() == "MiniLM: report of an emotion classifier"
    assert visit.messages == []
    assert [request for request in visit.requests if not request.startswith("data:")] == [visit.page.url]
