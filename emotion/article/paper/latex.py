"""Write tables and a document in LaTeX, for the packages ``booktabs`` and ``graphicx``."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

_ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "{": r"\{",
        "}": r"\}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        '"': r"\char34{}",
        "`": r"\char96{}",
    }
)


def escaped(text: str) -> str:
    """Write a text so that LaTeX shows it as it is."""
    return text.translate(_ESCAPES)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of figures, or of names."""

    heading: str
    better: Literal["higher", "lower"] | None = None
    """Which figure is the best, and set in bold; None = none."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What a table says in one place."""

    text: str
    value: float | None = None
    """The figure, by which the best of a column is found; cells of the same text are equally good."""
    detail: str = ""
    """Stands behind it in small letters, such as an interval."""


@dataclass(frozen=True, slots=True)
class LatexTable:
    """A table with its caption; all texts are plain, not LaTeX."""

    name: str
    """Of the file and, behind ``tab:``, of the label."""
    caption: str
    columns: Sequence[Column]
    """The first holds names and is aligned to the left."""
    rows: Sequence[Sequence[Cell]]
    """Each as long as ``columns``."""
    groups: Sequence[int] = ()
    """Indices of rows that a thin line goes before."""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"{self.name}: each row must have {len(self.columns)} cells, found {row}")


def to_latex(table: LatexTable) -> str:
    """Render a ``table`` float, the best figure of each column in bold."""
    best = [_best(column, [row[place] for row in table.rows]) for place, column in enumerate(table.columns)]
    lines = [
        r"\begin{table}[htbp]",
        r"\centering",
        r"\small",
        rf"\caption{{{escaped(table.caption)}}}",
        rf"\label{{tab:{table.name}}}",
        rf"\begin{{tabular}}{{@{{}}l{'r' * (len(table.columns) - 1)}@{{}}}}",
        r"\toprule",
        _line(escaped(column.heading) for column in table.columns),
        r"\midrule",
    ]
    for place, row in enumerate(table.rows):
        if place in table.groups:
            lines.append(r"\addlinespace")
        lines.append(_line(_cell(cell, cell.text in texts) for cell, texts in zip(row, best, strict=True)))
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def _best(column: Column, cells: Sequence[Cell]) -> set[str]:
    """Return the texts of the best cells; a column of one figure has no best."""
    values = [cell.value for cell in cells if cell.value is not None]
    if column.better is None or len(values) < 2:
        return set()
    best = max(values) if column.better == "higher" else min(values)
    return {cell.text for cell in cells if cell.value == best}


def _cell(cell: Cell, is_best: bool) -> str:
    text = escaped(cell.text)
    if text[:1] == "-":
        text = f"$-${text[1:]}"
    text = rf"\textbf{{{text}}}" if is_best and text else text
    detail = escaped(cell.detail).replace("[-", "[$-$").replace(" -", " $-$")
    return rf"{text} {{\scriptsize {detail}}}" if detail else text


def _line(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"


def document(title: str, tables: Sequence[LatexTable], figures: Sequence[tuple[str, str]]) -> str:
    """Write a document that shows all tables and figures, to look at and to copy from.

    It compiles with pdfLaTeX, XeLaTeX and LuaLaTeX. pdfLaTeX shows the code of a character that its fonts lack, in a
    frame.

    Args:
        title: Plain text.
        tables: Each is read from ``tables/<name>.tex``.
        figures: Name and caption, plain text; each is read from ``figures/<name>.pdf``.
    """
    shown = "".join([title, *_texts(tables), *(caption for _, caption in figures)])
    letters = sorted({letter for letter in shown if ord(letter) > 127})
    return "\n".join(
        [
            r"\documentclass{article}",
            r"\usepackage[margin=1.5cm]{geometry}",
            r"\usepackage{booktabs,graphicx,iftex}",
            r"\ifPDFTeX",
            r"\usepackage[T1]{fontenc}",
            r"\makeatletter",
            *map(_declared, letters),
            r"\makeatother",
            r"\fi",
            r"\extrafloats{200}",
            r"\newcommand{\fitted}[1]{\sbox0{\includegraphics{#1}}\ifdim\wd0>\linewidth"
            r"\includegraphics[width=\linewidth]{#1}\else\usebox0\fi}",
            rf"\title{{{escaped(title)}}}",
            r"\date{}",
            r"\begin{document}",
            r"\maketitle",
            *(rf"\input{{tables/{table.name}}}" for table in tables),
            *(_figure(name, caption) for name, caption in figures),
            r"\end{document}",
            "",
        ]
    )


def _figure(name: str, caption: str) -> str:
    return "\n".join(
        [
            r"\begin{figure}[htbp]",
            r"\centering",
            rf"\fitted{{figures/{name}.pdf}}",
            rf"\caption{{{escaped(caption)}}}",
            rf"\label{{fig:{name}}}",
            r"\end{figure}",
        ]
    )


def _texts(tables: Sequence[LatexTable]) -> Iterable[str]:
    for table in tables:
        yield table.caption
        yield from (column.heading for column in table.columns)
        yield from (cell.text + cell.detail for row in table.rows for cell in row)


def _declared(letter: str) -> str:
    """Give pdfLaTeX a substitute for a letter, unless it has the letter."""
    code = f"{ord(letter):04X}"
    substitute = rf"\fbox{{\tiny {code}}}"
    return rf"\@ifundefined{{u8:\detokenize{{{letter}}}}}{{\DeclareUnicodeCharacter{{{code}}}{{{substitute}}}}}{{}}"
