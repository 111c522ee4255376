"""Write the folder of an article: tables, figures, and a document that shows them."""

from contextlib import ExitStack
from pathlib import Path

from emotion.article.material import Material
from emotion.article.paper.figures import paper_figures
from emotion.article.paper.latex import document, to_latex
from emotion.article.paper.tables import paper_tables
from emotion.files import atomic, marked, remove_marked, require_ours, require_unchanged, require_writable
from emotion.reporting import is_our_figure, save_figure

_DOCUMENT = "preview.tex"


def require_paper_free(folder: Path) -> None:
    """Make the folder, and refuse to replace a file in it that is not ours or was changed.

    Raises:
        UserError: There is such a file, or the folder cannot be written.
    """
    for part in ("tables", "figures"):
        require_writable(folder / part, "output_dir")
    for path in (folder / _DOCUMENT, *_files(folder / "tables", ".tex")):
        require_unchanged(path, "output_dir")
    for path in _files(folder / "figures", ".pdf", ".png"):
        require_ours(path, is_our_figure, "output_dir")


def write_paper(material: Material, folder: Path) -> list[Path]:
    """Write ``tables/*.tex``, ``figures/*.pdf`` and ``.png``, and ``preview.tex``, which shows all of them.

    Tables and figures of an earlier time that the material has no more are removed, so that no article can hold figures
    of another report.

    Raises:
        UserError: As :func:`require_paper_free`.
    """
    require_paper_free(folder)
    tables = paper_tables(material)
    written: list[Path] = []
    for table in tables:
        written.append(folder / "tables" / f"{table.name}.tex")
        _write(written[-1], to_latex(table))
    captions = []
    for each in paper_figures(material):
        captions.append((each.name, each.caption))
        with ExitStack() as pending:
            for suffix in (".pdf", ".png"):
                written.append(folder / "figures" / f"{each.name}{suffix}")
                save_figure(each.figure, pending.enter_context(atomic(written[-1])))
    written.append(folder / _DOCUMENT)
    _write(written[-1], document(f"Emotion classifiers: {', '.join(material.models)}", tables, captions))
    for path in set(_files(folder / "tables", ".tex")) - set(written):
        remove_marked(path)
    for path in set(_files(folder / "figures", ".pdf", ".png")) - set(written):
        path.unlink()
    return written


def _files(folder: Path, *suffixes: str) -> list[Path]:
    return [path for path in sorted(folder.glob("*")) if path.suffix in suffixes and not path.name.startswith(".")]


def _write(path: Path, text: str) -> None:
    with marked(path, "output_dir") as temporary:
        temporary.write_text(text, encoding="utf-8")
