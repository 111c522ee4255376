"""The tables and figures of an article, from made-up materials."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from emotion.article import Material
from emotion.article.paper import Cell, Column, LatexTable, paper_tables, to_latex, write_paper
from emotion.errors import UserError
from emotion.evaluation import Interval, MacroF1Difference
from emotion.reporting import VALIDATION, is_our_figure
from support.articles import made_up_material, made_up_model, made_up_rows
from support.compression_reports import compression_report, variant
from support.files import files_in

ROWS = {VALIDATION: made_up_rows(200), "test_set": made_up_rows(120, seed=1)}
CHINESE = ("悲伤", "快乐", "50 % & more", "a_b {x} \\y", "<script>", '$#^~|"`')


@pytest.fixture(scope="module")
def material() -> Material:
    """Two models on validation and a test set, with seeds, baselines and compressed variants."""
    second = {data: made_up_rows(len(each.labels), right=0.6, seed=2) for data, each in ROWS.items()}
    models = [made_up_model("MiniLM", ROWS, None, baseline=True, reads=3), made_up_model("BERTweet", second, None)]
    small = variant(9.0, 4.0, 0.88)
    small.difference = MacroF1Difference(-0.02, Interval(-0.04, 0.001), 0.01)
    small.evaluations = {"test_set": models[0].entry.evaluations["test_set"]}
    small.mcnemar_holm_p = 0.00001
    return replace(made_up_material(models, seeds=3), compression=compression_report({"small": small}))


def table_of(material: Material, name: str) -> LatexTable:
    return next(table for table in paper_tables(material) if table.name == name)


def test_a_table_has_a_caption_a_label_and_the_best_in_bold() -> None:
    rows = [
        [Cell("a_b"), Cell("0.91", 0.9098, "[0.90, 0.92]"), Cell("12 %", 12), Cell("-0.40", -0.4)],
        [Cell("c"), Cell("0.91", 0.9102), Cell("7 %", 7), Cell("+0.10", 0.1, "[-0.20, -0.10]")],
        [Cell("d"), Cell("0.89", 0.89), Cell(""), Cell("")],
    ]
    columns = [Column("model"), Column("macro F1", "higher"), Column("size", "lower"), Column("points")]
    assert to_latex(LatexTable("t", "Half & half.", columns, rows, groups=[2])).splitlines() == [
        r"\begin{table}[htbp]",
        r"\centering",
        r"\small",
        r"\caption{Half \& half.}",
        r"\label{tab:t}",
        r"\begin{tabular}{@{}lrrr@{}}",
        r"\toprule",
        r"model & macro F1 & size & points \\",
        r"\midrule",
        r"a\_b & \textbf{0.91} {\scriptsize [0.90, 0.92]} & 12 \% & $-$0.40 \\",
        r"c & \textbf{0.91} & \textbf{7 \%} & +0.10 {\scriptsize [$-$0.20, $-$0.10]} \\",
        r"\addlinespace",
        r"d & 0.89 &  &  \\",
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]


def test_a_column_of_one_figure_has_no_best_and_a_short_row_is_refused() -> None:
    columns = [Column("model"), Column("F1", "higher")]
    assert "textbf" not in to_latex(LatexTable("t", "c", columns, [[Cell("a"), Cell("0.9", 0.9)]]))
    with pytest.raises(ValueError, match="each row must have 2 cells"):
        LatexTable("t", "c", columns, [[Cell("a")]])


def test_tables_hold_the_figures_of_the_report(material: Material) -> None:
    entry = material.best.entry
    table = table_of(material, "results-validation")
    assert [row[0].text for row in table.rows] == ["MiniLM", "BERTweet", "TF-IDF + SVM"]
    assert table.rows[0][2].text == f"{entry.macro_f1:.4f}"
    assert entry.intervals is not None
    assert table.rows[0][2].detail == f"[{entry.intervals.macro_f1.low:.3f}, {entry.intervals.macro_f1.high:.3f}]"
    on_test = table_of(material, "results-test_set")
    assert on_test.rows[0][1].text == f"{entry.evaluations['test_set'].accuracy:.4f}"
    assert "read up to 3 times" in on_test.caption
    (comparison,) = material.report.comparisons
    (pair,) = table_of(material, "differences-validation").rows
    assert pair[1].text == f"{100 * comparison.difference.difference:+.2f}"
    seeds = table_of(material, "seeds-validation")
    assert [cell.text for cell in seeds.rows[0][:3]] == ["MiniLM", "3", f"{entry.macro_f1 - 0.01:.4f}"]
    original, small = table_of(material, "compression").rows
    assert [cell.text for cell in (original[4], small[4], small[5], small[6])] == [
        "0.9000",
        "0.8800",
        "-2.00",
        "< 0.0001",
    ]
    assert small[5].detail == "[-4.00, +0.10]"
    assert table_of(material, "compression-test_set").rows[0][0].text == "small"


def test_a_report_without_intervals_one_seed_and_one_row_gives_no_nan() -> None:
    old = made_up_material([made_up_model("MiniLM", {VALIDATION: made_up_rows(1)}, None, scored=False)], seeds=1)
    for material in (old, made_up_material([made_up_model("MiniLM", {VALIDATION: made_up_rows(1)}, None)], seeds=1)):
        text = "".join(map(to_latex, paper_tables(material)))
        assert "nan" not in text
        assert "None" not in text


def test_files_are_written_again_and_those_of_another_report_removed(material: Material, tmp_path: Path) -> None:
    folder = tmp_path / "article"
    written = write_paper(material, folder)
    first = files_in(folder)
    figures = [path for path in written if path.suffix in (".pdf", ".png")]
    assert len(figures) >= 16
    assert all(is_our_figure(path) for path in figures)
    assert not any(b"/Type3" in path.read_bytes() for path in figures), "journals refuse fonts of Type 3"
    write_paper(material, folder)
    assert files_in(folder) == first, "the same material gives the same files"
    write_paper(replace(material, compression=None), folder)
    assert not [name for name in files_in(folder) if "compression" in name or "pareto" in name]


def test_a_table_that_was_edited_is_not_replaced(material: Material, tmp_path: Path) -> None:
    (path, *_) = write_paper(material, tmp_path)
    path.write_text(path.read_text() + "% mine\n")
    before = files_in(tmp_path)
    with pytest.raises(UserError, match=r"data\.tex was changed or replaced since"):
        write_paper(material, tmp_path)
    assert files_in(tmp_path) == before


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
@pytest.mark.parametrize("names", [None, CHINESE], ids=["plain", "hostile names"])
def test_the_document_compiles(material: Material, names: tuple[str, ...] | None, tmp_path: Path) -> None:
    if names is not None:
        rows = {VALIDATION: made_up_rows(60, names), "test_set": made_up_rows(60, names, seed=1)}
        material = made_up_material([made_up_model("MiniLM", rows, None), made_up_model("B_2", rows, None)], seeds=2)
    *_, document = write_paper(material, tmp_path)
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", document.name]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull \\hbox" not in done.stdout, "a table is wider than the page"
    assert document.with_suffix(".pdf").stat().st_size > 50_000
