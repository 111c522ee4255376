"""Renderings of an attribution: whatever the text, they show it and its scores."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from matplotlib.patches import FancyBboxPatch

from emotion.errors import UserError
from emotion.evaluation import Attribution, WordScore
from emotion.prediction import ExplainedText, Explanation
from emotion.reporting import (
    Attributions,
    attribution_figure,
    attribution_html,
    is_our_figure,
    print_explanation,
    save_figure,
    write_explanation,
)

NAMES = ("<sad>", "joy", "我", "anger", "fear", "surprise")


def attribution(text: str, *scores: float, read: int | None = None) -> Attribution:
    """One of the first words of ``text``, as many as there are scores."""
    spans = [match.span() for match in re.finditer(r"\S+", text[:read])]
    words = [WordScore(*span, score) for span, score in zip(spans, scores, strict=False)]
    return Attribution(text, 0, 0.75, words, "occlusion", None)


def explanation(*attributions: Attribution, truth: int | None = 1) -> Explanation:
    return Explanation("Mini", NAMES, "occlusion", [ExplainedText(7, truth, each) for each in attributions])


SIMPLE = attribution("so happy, not sad  today", 0.001, 2.0, -1.0, 0.5, 0.0)
ODD = [
    attribution("<b>&\"'$x$ $5 \\frac \x1b[31m \x07 \u202e", 1.0, -1.0, 1.0, 1.0),
    attribution("我爱你 👨\u200d👩\u200d👧 ❤\ufe0f 🙂 \U000f0000 \ud7ff", 1.0, 1.0, -1.0, 0.5),
    attribution(""),
    attribution(" \n "),
    attribution("x" * 3000 + " y", 1.0, -1.0),
    attribution("word " * 5000, *[0.1] * 128),
    attribution("weak words", 1e-9, -1e-12),
]


class Spans(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.spans: list[dict[str, str | None]] = []
        self.label: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ("p", "span")
        if tag == "span":
            self.spans.append(dict(attrs))
        else:
            self.label = dict(attrs)["aria-label"]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("each", [SIMPLE, *ODD])
def test_html_holds_the_text_and_each_score(each: Attribution) -> None:
    page = Spans()
    page.feed(attribution_html(each, NAMES))
    page.close()
    assert page.text == each.text
    assert len(page.spans) == len(each.words)
    for span, word in zip(page.spans, each.words, strict=True):
        score = re.match(r"--score: ([^;]+)", span["style"] or "")
        assert score is not None
        assert float(score[1]) == pytest.approx(word.score, rel=1e-3)
    assert page.label is not None
    assert page.label.startswith("<sad> 75%: ")


def test_html_shades_by_share_and_side() -> None:
    page = Spans()
    page.feed(attribution_html(SIMPLE, NAMES))
    shades = [re.search(r"background: #(..)(..)(..)", span["style"] or "") for span in page.spans]
    assert [shade is not None for shade in shades] == [False, True, True, True, False]
    strong, against, weak = ([int(part, 16) for part in shade.groups()] for shade in shades if shade is not None)
    assert strong[2] > strong[0], "blue speaks for the class"
    assert against[0] > against[2], "orange against it"
    assert sum(weak) > sum(strong)
    assert page.label == "<sad> 75%: so +0.001, happy, +2, not -1, sad +0.5, today +0"


def test_the_console_says_it_without_colour(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    print_explanation(explanation(SIMPLE), "[/out]")
    printed = capsys.readouterr().out
    assert "7: <sad> 75%, labelled joy\n" in printed
    assert "  so happy, not sad today" in printed
    assert "  for: happy, +2, sad +0.5\n  against: not -1\n" in printed
    assert "Scores and picture: [/out]" in printed


def test_the_console_is_coloured_where_it_can_be(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("FORCE_COLOR", "1"), ("COLORTERM", "truecolor"), ("TERM", "xterm-256color")):
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    print_explanation(explanation(SIMPLE))
    assert re.search(r"\x1b\[[\d;]*48;2;106;169;224mhappy,", capsys.readouterr().out)


def test_odd_texts_do_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_explanation(explanation(*ODD, truth=None))
    printed = capsys.readouterr().out
    assert not re.search(r"[\x00-\x09\x0b-\x1f\u202e]", printed)
    assert "\\x1b[31m" in printed
    assert "(no text)" in printed
    assert "👨\u200d👩\u200d👧" in printed
    assert "no word counts by itself" in printed


def test_the_picture_shows_every_word_within_its_width() -> None:
    figure = attribution_figure(explanation(SIMPLE, *ODD))
    (axes,) = figure.axes
    drawn = [text.get_text() for text in axes.texts]
    assert {"so", "happy,", "not", "sad", "today", "(no text)", "<sad>", "row 7"} <= set(drawn)
    assert " 75%, labelled joy" in drawn
    assert "$x$" in "".join(drawn)
    boxes = [patch for patch in axes.patches if isinstance(patch, FancyBboxPatch)]
    figure.canvas.draw()
    right = figure.bbox.width
    for artist in (*axes.texts, *boxes):
        assert artist.get_window_extent().x1 <= right - 0.3 * figure.dpi


def test_the_picture_is_bounded_and_says_so(tmp_path: Path) -> None:
    many = attribution_figure(explanation(*[ODD[6]] * 25)).axes[0]
    assert "The first 20 of 25 texts." in [text.get_text() for text in many.texts]
    assert [text.get_text() for text in many.texts].count("weak") == 20
    long = attribution_figure(explanation(ODD[5]))
    assert "…" in [text.get_text() for text in long.axes[0].texts]
    assert long.get_figheight() < 6
    save_figure(attribution_figure(explanation(SIMPLE)), tmp_path / "explanation.png")
    assert is_our_figure(tmp_path / "explanation.png")


def test_files_are_ours_and_hold_what_was_found(tmp_path: Path) -> None:
    write_explanation(explanation(SIMPLE, *ODD), tmp_path)
    content = Attributions.model_validate_json((tmp_path / "attributions.json").read_text(encoding="utf-8"))
    assert content.labels == list(NAMES)
    assert [each.text for each in content.texts] == [SIMPLE.text, *(each.text for each in ODD)]
    first = content.texts[0]
    assert (first.row, first.label, first.true_label, first.probability) == (7, "<sad>", "joy", 0.75)
    assert [(word.word, word.score) for word in first.words][1] == ("happy,", 2.0)
    write_explanation(explanation(SIMPLE), tmp_path)
    (tmp_path / "attributions.json").write_text("{}")
    with pytest.raises(UserError, match=r"^output: .*attributions\.json was changed or replaced"):
        write_explanation(explanation(SIMPLE), tmp_path)
