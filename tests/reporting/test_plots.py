"""Pictures: what they show is read back from the figure."""

from pathlib import Path

import pytest
from matplotlib.colors import to_hex
from PIL import Image

from emotion.reporting import EpochRecord, confusion_matrix_figure, is_our_figure, save_figure, training_curves_figure
from support.labels import EMOTION6

COUNTS = [[row * 6 + column for column in range(6)] for row in range(6)]
COLOURS = [f"#0000{place}0" for place in range(6)]
HISTORY = [
    EpochRecord(epoch=epoch, train_loss=2 / epoch, val_loss=1 / epoch, val_accuracy=0.5, val_macro_f1=f1)
    for epoch, f1 in enumerate((0.2, 0.6, 0.4), start=1)
]


def test_confusion_matrix_shows_counts_and_row_shares() -> None:
    axes = confusion_matrix_figure(COUNTS, EMOTION6.names, "title").axes[0]
    texts = {tuple(map(int, text.get_position())): text.get_text() for text in axes.texts}
    assert len(texts) == 36
    assert texts[0, 0] == "0"
    assert texts[2, 1] == f"8\n{8 / sum(COUNTS[1]):.0%}"  # column 2, row 1
    assert axes.images[0].get_array()[1, 2] == pytest.approx(8 / sum(COUNTS[1]))
    assert [label.get_text() for label in axes.get_xticklabels()] == list(EMOTION6.names)
    assert not axes.patches


def test_confusion_matrix_shows_each_class_in_its_colour() -> None:
    axes = confusion_matrix_figure(COUNTS, EMOTION6.names, "title", COLOURS).axes[0]
    strips = [(to_hex(strip.get_facecolor()), *strip.get_center()) for strip in axes.patches]
    assert len(strips) == 12
    for place, colour in enumerate(COLOURS):
        left, below = [(x, y) for found, x, y in strips if found == colour]
        assert (left[0] < 0, left[1]) == (True, place)
        assert (below[0], below[1] < 0) == (pytest.approx(place), True)


def test_curves_show_the_history_and_the_chosen_epoch() -> None:
    losses, scores = training_curves_figure(HISTORY, 2, "title").axes
    lines = {line.get_label(): list(line.get_ydata()) for line in (*losses.lines, *scores.lines)}
    assert lines["training"] == [2, 1, pytest.approx(2 / 3)]
    assert lines["macro F1"] == [0.2, 0.6, 0.4]
    assert "0.600, epoch 2" in scores.get_title()


def test_drawing_logs_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """fontTools tells of each glyph, which would bury the messages of a command."""
    with caplog.at_level("INFO"):
        save_figure(training_curves_figure(HISTORY, 2, "title"), tmp_path / "curves.pdf")
    assert caplog.text == ""
    assert b"/Type3" not in (tmp_path / "curves.pdf").read_bytes()


def test_a_saved_picture_is_recognised_and_others_are_not(tmp_path: Path) -> None:
    save_figure(training_curves_figure(HISTORY[:1], 1, "one epoch"), tmp_path / "ours.png")
    assert is_our_figure(tmp_path / "ours.png")
    Image.new("RGB", (3, 3)).save(tmp_path / "other.png")
    (tmp_path / "text.png").write_text("x")
    assert not is_our_figure(tmp_path / "other.png")
    assert not is_our_figure(tmp_path / "text.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.png", "ours.png", "text.png"]
