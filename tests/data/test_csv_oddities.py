"""CSVs byte for byte as well-known programs write them, and what each holds."""

import codecs
import gzip
from pathlib import Path

import pytest

from emotion.data import open_csv, read_labelled
from emotion.errors import UserError
from support.labels import EMOTION6

BOM16 = codecs.BOM_UTF16_LE
EXCEL_EMPTY_ROWS = b",,\r\n" * 5000

FILES: dict[str, tuple[bytes, list[list[str]]]] = {
    "Excel, with a first line that names the separator": (
        b'sep=;\r\ntext;label\r\n"a;b";1\r\nc, d;2\r\n',
        [["a;b", "1"], ["c, d", "2"]],
    ),
    "Excel, saved as CSV on a Windows of Western Europe": (
        b"text;label\r\n\x93so happy\x94 \x96 it\x92s caf\xe9 \x80 5;joy\r\n",
        [["\u201cso happy\u201d \u2013 it\u2019s café € 5", "joy"]],
    ),
    "Excel, saved as Unicode text": (
        BOM16 + 'text\tlabel\r\n"a ""b"", 😀"\t1\r\n'.encode("utf-16-le"),
        [['a "b", 😀', "1"]],
    ),
    "Excel, saved as CSV UTF-8, with cells of several lines": (
        codecs.BOM_UTF8 + b'text,label\r\n"two\nlines",1\r\n"so ""happy""",2\r\n',
        [["two\nlines", "1"], ['so "happy"', "2"]],
    ),
    "Excel, with cells below the table that were formatted once": (
        b"text,label,\r\na,1,\r\n" + EXCEL_EMPTY_ROWS,
        [["a", "1", ""], *[["", "", ""]] * 5000],
    ),
    "Excel, whose blocks of sixteen rows drop separators at the end": (
        b"text,label,note,\r\na,1,x,\r\nb,2\r\n",
        [["a", "1", "x", ""], ["b", "2", "", ""]],
    ),
    "Excel for Mac, saved as Macintosh CSV": (b"text,label\ra,1\rb,2\r", [["a", "1"], ["b", "2"]]),
    "PowerShell 5, Out-File": (BOM16 + "text,label\r\na é,1\r\n".encode("utf-16-le"), [["a é", "1"]]),
    "Google Sheets": (b'text,label\r\n"two\nlines, so",1\r\nplain,2', [["two\nlines, so", "1"], ["plain", "2"]]),
    "LibreOffice, with all texts between quotes": (b'"text";"label"\n"a;b";1\n"c";2\n', [["a;b", "1"], ["c", "2"]]),
    "PostgreSQL, COPY TO with a header": (
        b'text,label,note\n"so ""happy""",1,\n\\N,2,\\.\n"",3,\n',
        [['so "happy"', "1", ""], ["\\N", "2", "\\."], ["", "3", ""]],
    ),
    "SQLite, .mode csv": (b'text,label\r\n"it\'s",1\r\n', [["it's", "1"]]),
    "R, write.csv with row names": (b'"","text","label"\n"1","a",3\n"2",NA,4\n', [["1", "a", "3"], ["2", "NA", "4"]]),
    "pandas, to_csv with its index": (b",text,label\n0,a,3\n1,,4\n", [["0", "a", "3"], ["1", "", "4"]]),
    "MySQL, INTO OUTFILE, texts without quotes or backslashes": (
        b'"text","label"\n"a\nb",1\n"c, d",\\N\n',
        [["a\nb", "1"], ["c, d", "\\N"]],
    ),
    "a person, with spaces around the names": (b" text , label \na,1\n", [["a", "1"]]),
    "a person, with quotes around the names alone": (b'"text","label"\na,1\n', [["a", "1"]]),
    "two programs, each with its BOM": (codecs.BOM_UTF8 * 2 + b"id,text\n1,a\n", [["1", "a"]]),
    "files that were put together": (
        b"text,label\r\na,1\r\nb,2\ntext,label\nc,3\r\n",
        [["a", "1"], ["b", "2"], ["text", "label"], ["c", "3"]],
    ),
    "paths of Windows": (
        b'path,text\r\n"C:\\","D:\\"\r\n"C:\\a, b\\","so"\r\n',
        [["C:\\", "D:\\"], ["C:\\a, b\\", "so"]],
    ),
    "a table whose rows all end in a separator": (b"text,label\na,1,\nb,2,\n", [["a", "1"], ["b", "2"]]),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_the_cells_of_a_program_are_read(name: str, ending: str, tmp_path: Path) -> None:
    content, rows = FILES[name]
    path = tmp_path / f"input.csv{ending}"
    path.write_bytes(gzip.compress(content) if ending else content)
    file = open_csv(path, ("text",))
    assert [row for frame in file.chunks(1000) for row in frame.to_numpy().tolist()] == rows


NOT_DOUBLED = "a quote within a quoted cell must be doubled"
REFUSED: dict[str, tuple[bytes, str]] = {
    "MySQL, INTO OUTFILE, a quote in a text": (
        b'"text","label","note"\n"a",1,\\N\n"he said \\"hi\\", then",2,\\N\n',
        f"{NOT_DOUBLED} .* in row 3 ",
    ),
    "Spark, a quote before a comma": (b'text,label,note\n"a \\", b",1,\n', f"{NOT_DOUBLED} .* in row 2 "),
    "MySQL, INTO OUTFILE, a comma in a text without quotes": (
        b"text,label,note\na,1,x\nhello\\, world,2,\n",
        "every row must have at most 3 cells, .* found 4 in row 3 ",
    ),
    "a person, who did not double a quote": (b'text,label\n"he said "hi"",1\n', f"{NOT_DOUBLED} .* in row 2 "),
    "a person, who forgot the quotes around a comma": (
        b"text,label,note\nhello, world,1,\na,2,x\n",
        "every row must have at most 3 cells, .* found 4 in row 2 ",
    ),
    "PowerShell 5, Export-Csv with its types": (
        b'#TYPE System.Object\r\n"text","label"\r\n"a","1"\r\n',
        "must have one column 'text', found '#TYPE System.Object'",
    ),
    "Windows, UTF-16 without a BOM": ("text,label\r\na,1\r\n".encode("utf-16-le"), "found a NUL character"),
    "a disk that failed": (b"text,label\na,1\n" + bytes(4096), "found a NUL character"),
    "Excel, a workbook": (b"PK\x03\x04\x14\x00\x06\x00", "found a NUL character"),
    "a download that is a page": (b"<!DOCTYPE html>\n<html>\n", "must have one column 'text', found '<!DOCTYPE html>'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_shift_or_spoil_cells_is_refused(name: str, tmp_path: Path) -> None:
    content, message = REFUSED[name]
    path = tmp_path / "input.csv"
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"^{path}: .*{message}") as caught:
        list(open_csv(path, ("text",)).chunks())
    assert "\n" not in str(caught.value)


def test_names_of_classes_are_labels(tmp_path: Path) -> None:
    path = tmp_path / "input.csv"
    path.write_bytes(b"sep=;\r\ntext;label\r\na;Joy\r\nb; SADNESS \r\nc;4.0\r\n")
    assert read_labelled(path, "text", "label", EMOTION6, "data.train")[:2] == (["a", "b", "c"], [1, 0, 4])
