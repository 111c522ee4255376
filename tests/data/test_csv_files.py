"""CSVs of any common form, each given as the bytes that a program or a person would write."""

import codecs
import csv
import gzip
import io
import os
from pathlib import Path
from typing import IO

import pytest

from emotion.data import CsvFile, open_csv, read_labelled
from emotion.data.source import Source
from emotion.errors import UserError
from support.files import sample_rows
from support.labels import EMOTION6


def write(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def rows_of(file: CsvFile, rows: int = 65_536) -> list[list[str]]:
    return [row for frame in file.chunks(rows) for row in frame.to_numpy().tolist()]


def read(tmp_path: Path, content: bytes | str) -> list[list[str]]:
    return rows_of(open_csv(write(tmp_path / "input.csv", content), ("text",)))


def problem(tmp_path: Path, content: bytes | str, columns: tuple[str, ...] = ("text",)) -> str:
    """The message of the error that reading the file raises, without the file's name at its start; it is one line."""
    path = write(tmp_path / "input.csv", content)
    with pytest.raises(UserError) as caught:
        rows_of(open_csv(path, columns))
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


TABLE = [["text", "label", "note"], ["café \u2014 “why”, she asked", "3", ""], ["two\nlines; \t'x'", "joy", 'a "b"']]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("codec", "bom"),
    [
        ("utf-8", b""),
        ("utf-8", codecs.BOM_UTF8),
        ("cp1252", b""),
        ("utf-16-le", codecs.BOM_UTF16_LE),
        ("utf-16-be", codecs.BOM_UTF16_BE),
    ],
)
def test_every_encoding_separator_and_line_end_gives_the_same_cells(
    tmp_path: Path, codec: str, bom: bytes, separator: str, end: str
):
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator, lineterminator=end).writerows(TABLE)
    file = open_csv(write(tmp_path / "input.csv", bom + text.getvalue().encode(codec)), ("text",))
    assert file.columns == ("text", "label", "note")
    assert file.separator == separator
    assert rows_of(file) == TABLE[1:]
    assert file.lines == 4


def test_no_cell_becomes_a_number_or_a_missing_value(tmp_path: Path):
    cells = ["None", "NA", "null", "nan", "NaN", "N/A", "#N/A", "", "True", "007", "1e3", " padded ", "1,5"]
    content = "id,text\n" + "".join(f'{index},"{cell}"\n' for index, cell in enumerate(cells))
    assert read(tmp_path, content) == [[str(index), cell] for index, cell in enumerate(cells)]


@pytest.mark.parametrize("rows", [1, 2, 7, 50, 65_536])
def test_chunks_do_not_change_the_rows(tmp_path: Path, rows: int):
    table = [[f"text {index}\nof two lines" if index % 3 else "", str(index % 6)] for index in range(50)]
    with (tmp_path / "input.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["text", "label"], *table])
    frames = list(open_csv(tmp_path / "input.csv", ("text",)).chunks(rows))
    assert [len(frame) for frame in frames] == [min(rows, 50 - start) for start in range(0, 50, rows)]
    assert [index for frame in frames for index in frame.index] == list(range(50))
    assert [row for frame in frames for row in frame.to_numpy().tolist()] == table


def test_a_chunk_is_read_before_the_rest_is_looked_at(tmp_path: Path):
    file = open_csv(write(tmp_path / "input.csv", "text\n" + "a\n" * 20 + "too,many\n"), ("text",))
    chunks = file.chunks(7)
    assert [len(next(chunks)), len(next(chunks))] == [7, 7]
    with pytest.raises(UserError, match="in row 22 "):
        next(chunks)


def test_repeated_and_nameless_extra_columns_are_kept(tmp_path: Path):
    file = open_csv(write(tmp_path / "input.csv", "id,text,,id,\n1,a,x,2,y\n"), ("text",))
    assert file.columns == ("id", "text", "", "id", "")
    (frame,) = file.chunks()
    assert list(frame.columns) == ["id", "text", "", "id", ""]
    assert file.column(frame, "text") == ["a"]
    assert frame.to_numpy().tolist() == [["1", "a", "x", "2", "y"]]


def test_column_names_are_read_without_surrounding_spaces(tmp_path: Path):
    file = open_csv(write(tmp_path / "input.csv", "id; text ;label\n1;a;2\n"), ("text",))
    assert file.columns == ("id", "text", "label")


def test_the_separator_is_the_one_that_finds_the_required_column(tmp_path: Path):
    file = open_csv(write(tmp_path / "input.csv", "a,b,c,d;text\n1,2;yes, really\n"), ("text",))
    assert (file.separator, rows_of(file)) == (";", [["1,2", "yes, really"]])


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        ("text,label,note\na\nb,2\nc,3,x\n", [["a", "", ""], ["b", "2", ""], ["c", "3", "x"]]),  # short rows
        (
            "text,label\na,1,,\n,,\nb,2,,\n",
            [["a", "1"], ["", ""], ["b", "2"]],
        ),  # separators at the end, with nothing after
        ("text,label\na,1\nb,2", [["a", "1"], ["b", "2"]]),  # no newline at the end
        ("text\na\n\nb\n", [["a"], [""], ["b"]]),  # an empty text
        ('text\na\n""\nb', [["a"], [""], ["b"]]),
        ("text\na\n   \nb\n", [["a"], ["   "], ["b"]]),
        ("text,label\n\na,1\n\n  \nb,2\n\n\n", [["a", "1"], ["b", "2"]]),  # gaps
        ("text,label\n,\na,1\n", [["", ""], ["a", "1"]]),  # a row without any text is a row
        ("\n\r\n  \ntext,label\na,1\n", [["a", "1"]]),  # lines before the header
        (",,\n\ntext,label,note\na,1,\n", [["a", "1", ""]]),
        ("text,label\n", []),
        ("text", []),
        ("text,label\ra,1\rb,2\r", [["a", "1"], ["b", "2"]]),  # CR alone as line end
        ('text,label\n"a\rb",1\n', [["a\rb", "1"]]),
        ('text,label\nhe said "hi",1\n5" nails,2\n', [['he said "hi"', "1"], ['5" nails', "2"]]),
        ('text,label\n"a ""b"" c",1\n', [['a "b" c', "1"]]),
        ("text,label\na\u2028b\x85c\x0cd,1\n", [["a\u2028b\x85c\x0cd", "1"]]),  # line ends only for str.splitlines
        ("text,label\n" + "long " * 60_000 + ",1\n", [["long " * 60_000, "1"]]),  # beyond csv's default limit
        ('text,label\nend"of,1\nend"of\n', [['end"of', "1"], ['end"of', ""]]),
        ('text\nend"of', [['end"of']]),
        ('path,text\n"C:\\","D:\\"\n"E:\\",he said "hi"\n', [["C:\\", "D:\\"], ["E:\\", 'he said "hi"']]),
        ('text,label\n"C:\\",1\n"\\""",2\n"\\\\",3\n"\\",4', [["C:\\", "1"], ['\\"', "2"], ["\\\\", "3"], ["\\", "4"]]),
        ('text,label\na 5\\" nail,1\n', [['a 5\\" nail', "1"]]),
    ],
)
def test_irregular_files_are_read_without_losing_a_row(tmp_path: Path, content: str, rows: list[list[str]]):
    assert read(tmp_path, content) == rows


@pytest.mark.parametrize(
    ("content", "found"),
    [
        # This also holds for the first row of data: a reader must not drop its last cells.
        ("text,label\nwell, hello,1\nb,2\n", "at most 2 cells, as the header has, found 3 in row 2 "),
        ("text,label\na,1,x\nb,2,y\n", "found 3 in row 2 "),
        ("text\nhello, world\n", "at most 1 cells, as the header has, found 2 in row 2 "),
        ('text;label\na;1\n\n"two\nlines";2\n\nb;c;d;e;3\n', "found 5 in row 4 "),
        # A comma in a text shifts the cells, even if nothing stands in the last one.
        ("text,label,note\na,1,x\nwell, hello,2,\n", "found 4 in row 3 "),
        ("text,label,note\nwell, hello,2,\n,,\na,1,x\n", "found 4 in row 2 "),
        ("text,label\n,\nb,1,\nc,2,,\n", "found 4 in row 4 "),
        ("text\nso,\nwell,\n", "at most 1 cells, as the header has, found 2 in row 2 "),
        ("text\nso\n,\n", "found 2 in row 3 "),
    ],
)
def test_a_row_with_more_cells_than_the_header_is_named(tmp_path: Path, content: str, found: str):
    assert f"{found}(the header is row 1); put texts that hold separators between quotes" in problem(tmp_path, content)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ('text,label\n"a,1\nb,2\n', "in row 2 (the header is row 1)"),
        ('text,label\na,1\n\n"two\nlines",2\n"open,3\nc,4', "in row 4 (the header is row 1)"),
        ('text\na\n"', "in row 3 (the header is row 1)"),
        ('text\na\n"b""', "in row 3 (the header is row 1)"),
        ('"text\na\n', "in row 1, the header"),
    ],
)
def test_a_quote_that_is_never_closed_names_its_row(tmp_path: Path, content: str, found: str):
    assert problem(tmp_path, content) == f"every quote must be closed, found an open one {found}"


NOT_DOUBLED = 'a quote within a quoted cell must be doubled (""), found one that is single or escaped (\\")'


@pytest.mark.parametrize(
    "row",
    [
        'he "said,1',
        '"he said "hi", then",1',
        '"a" ,1',
        r'"he said \"hi\", then",1',
        r'"\"hi\"",1',
        r'"hi\"",1' '\n"b",2',
    ],
)
@pytest.mark.parametrize("columns", ["text,label", "text,label,note,more"])
def test_a_quote_within_a_quoted_text_must_be_doubled(row: str, columns: str, tmp_path: Path):
    if row.startswith("he"):  # not a quoted text
        assert read(tmp_path, f"{columns}\n{row}\n")[0][:2] == ['he "said', "1"]
        return
    assert problem(tmp_path, f'{columns}\n"a ""b""",2\n{row}\n') == f"{NOT_DOUBLED} in row 3 (the header is row 1)"


@pytest.mark.parametrize(
    ("rows", "row"),
    [
        (r'"he said \", then",1', 3),
        (r'"\", \", and",1', 3),
        (r'"one \", two' '\nthree",1', 4),  # read as CSV, it is a row of two cells and another
        (r'"six \"",1' '\n", so",2', 3),  # read as CSV, it is one row
    ],
)
def test_a_quote_that_may_be_escaped_by_a_backslash_is_refused(rows: str, row: int, tmp_path: Path):
    found = problem(tmp_path, f"text,label,note\na,1\n{rows}\n")
    assert found == f"{NOT_DOUBLED} in row {row} (the header is row 1)"


@pytest.mark.parametrize("separator", [*",;|\t:^ ", "§"])
@pytest.mark.parametrize("form", ["sep={}", '"sep={}"', 'sep="{}"', "SEP={}"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_the_first_line_of_excel_names_the_separator(
    separator: str, form: str, end: str, encoding: str, tmp_path: Path
):
    lines = [form.format(separator), separator.join(["text", "label"]), separator.join(['"a,;\t|b"', "3"]), ""]
    file = open_csv(write(tmp_path / "input.csv", end.join(lines).encode(encoding)), ("text",))
    assert (file.separator, file.columns, rows_of(file)) == (separator, ("text", "label"), [["a,;\t|b", "3"]])


def test_only_a_first_line_names_a_separator(tmp_path: Path):
    assert read(tmp_path, "text\nsep=;\nb\n") == [["sep=;"], ["b"]]
    assert read(tmp_path, "sep=,\ntext,label\nsep=;,1\n") == [["sep=;", "1"]]
    assert problem(tmp_path, "sep=;\n") == "must have a header and rows, found an empty file"
    assert problem(tmp_path, "sep=;\ntext;label\na;1\nb;c;2\n").startswith("every row must have at most 2 cells")
    assert "found 3 in row 3" in problem(tmp_path, "sep=;\ntext;label\na;1\nb;c;2\n")
    assert problem(tmp_path, "sep=;\ntext,label\na,1\n") == "must have one column 'text', found 'text,label'"
    assert problem(tmp_path, "sep=||\ntext||label\n") == "must have one column 'text', found 'sep=||'"


OTHER_BYTES = {
    "bytes that are no text": b"text,label\n" + b"\xff\x81" * 100,
    "a NUL": b"text,label\n\0,1\n",
    "an open quote": b'text,label\n"a,1\n',
    "an escaped quote": b'text,label\n"a \\" b",1\n',
    "a wide row": b"text,label\na,b,c,1\n",
    "another header": b"tweet,label\na,1\n",
    "nothing": b"",
    "another text": b"text,label\nc,1\nd,2\n",
}


@pytest.mark.parametrize("content", [*OTHER_BYTES.values(), None], ids=[*OTHER_BYTES, "gone"])
@pytest.mark.parametrize("opened", [1, 2, 3, 6])  # for the BOM, the encoding, the first header, the rows
def test_a_file_that_changes_gives_no_other_error(
    content: bytes | None, opened: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = write(tmp_path / "input.csv", "text,label\na,1\nb,2\n")
    times, open_source = 0, Source.open

    def meddling(source: Source) -> IO[bytes]:
        nonlocal times
        times += 1
        if times == opened:
            path.unlink()
            if content is not None:
                path.write_bytes(content)
        return open_source(source)

    monkeypatch.setattr(Source, "open", meddling)
    with pytest.raises(UserError) as caught:
        rows_of(open_csv(path, ("text",)))
    assert str(caught.value) == f"{path}: must stay as it is while it is read, found that it has changed"


def test_an_open_quote_does_not_bring_a_large_file_into_memory(tmp_path: Path):
    content = b'text,label\na,1\n"b,2\n' + b"some more text,3\n" * 700_000
    assert "at most 10,000,000 characters, found a longer one" in problem(tmp_path, content)
    assert problem(tmp_path, content).endswith("in row 3 (the header is row 1)")


def test_a_file_without_line_breaks_is_not_read_whole(tmp_path: Path):
    assert "every line must have less than 50,000,000 characters" in problem(tmp_path, b"text\n" + b"a," * 25_000_000)


NUL = "must be a text CSV, found a NUL character (binary, or UTF-16 without BOM)"
UNKNOWN = "must be encoded in UTF-8, UTF-16 (with BOM) or cp1252, found none of them"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must have a header and rows, found an empty file"),
        (codecs.BOM_UTF8, "must have a header and rows, found an empty file"),
        (b"\n\r\n  \n", "must have a header and rows, found an empty file"),
        (b"Text,label\na,1\n", "must have one column 'text', found 'Text', 'label'"),
        (b"text|label\na|1\n", "must have one column 'text', found 'text|label'"),
        (b'"te\nxt",label\na,1\n', r"must have one column 'text', found 'te\nxt', 'label'"),
        (b"text,label,text\na,1,b\n", "must have one column 'text', found it twice"),
        (b"text\na\0b\n", NUL),
        ("text\nabc\n".encode("utf-16-le"), NUL),
        ("text\nabc\n".encode("utf-32"), NUL),
        (b"text\ncaf\x81 \xff\n", UNKNOWN),
        (codecs.BOM_UTF16_LE + "text\nabc".encode("utf-16-le")[:-1], UNKNOWN),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(tmp_path: Path, content: bytes, message: str):
    assert problem(tmp_path, content) == message


def test_a_character_across_two_blocks_is_one_character(tmp_path: Path):
    head = "text\n"
    body = "x" * ((1 << 20) - len(head) - 1) + "é"  # its second byte is the first of the second block
    assert read(tmp_path, head + body) == [[body]]


def test_only_files_are_opened(tmp_path: Path):
    with pytest.raises(UserError, match=rf"^data\.train: must be a CSV file, found a folder at {tmp_path}$"):
        open_csv(tmp_path, ("text",), "data.train")
    for path in (tmp_path / "nothing.csv", tmp_path / ("x" * 300), "nul\0.csv"):
        with pytest.raises(UserError, match=r"^csv: must be a CSV file, found no file at "):
            open_csv(path, ("text",))


@pytest.mark.skipif(not Path("/proc/self/mem").is_file(), reason="needs a file that exists and cannot be read")
def test_a_file_that_cannot_be_read_says_why():
    with pytest.raises(UserError, match=r"^csv: must be readable, found /proc/self/mem \(.+\)$"):
        open_csv("/proc/self/mem", ("text",))


def test_labels_may_be_numbers_and_names(tmp_path: Path):
    path = write(tmp_path / "input.csv", "id;label;text\n1;3;a\n2; Joy ;\n3;5.0;None\n4;SADNESS;d\n")
    assert read_labelled(path, "text", "label", EMOTION6, "data.train") == (
        ["a", "", "None", "d"],
        [3, 1, 5, 0],
        EMOTION6,
    )


def test_the_columns_of_texts_and_labels_may_have_any_name(tmp_path: Path):
    path = write(tmp_path / "input.csv", "text,label,tweet,mood\nx,9,a,fear\n")
    assert read_labelled(path, "tweet", "mood", EMOTION6, "data.train") == (["a"], [4], EMOTION6)


@pytest.mark.parametrize("cell", ["7", "hapy", "", "nan", "inf", "True", "-1", "2.5"])
def test_a_bad_label_names_cell_and_row(tmp_path: Path, cell: str):
    # A blank line is not a row, and a row of several lines is one row.
    path = write(tmp_path / "input.csv", f'text,label\n"two\nlines",1\n\nb,2\nc,"{cell}"\n')
    with pytest.raises(UserError) as caught:
        read_labelled(path, "text", "label", EMOTION6, "data.train")
    assert str(caught.value) == (
        f"{path}: column 'label' must hold 0-5 or one of sadness, joy, love, anger, fear, surprise,"
        f" found {cell!r} in row 4 (the header is row 1)"
    )


def test_a_bad_label_beyond_the_first_chunk_names_its_row(tmp_path: Path):
    rows = 65_536 + 10
    path = write(tmp_path / "input.csv", "text,label\n" + "a,1\n" * rows + "b,hapy\n")
    with pytest.raises(UserError, match=rf"found 'hapy' in row {rows + 2} \(the header is row 1\)$"):
        read_labelled(path, "text", "label", EMOTION6, "data.train")


def test_a_long_cell_does_not_flood_the_message(tmp_path: Path):
    path = write(tmp_path / "input.csv", "text,label\na," + "no label " * 1000 + "\n")
    with pytest.raises(UserError, match=r"found 'no label .*\.\.\.' in row 2") as caught:
        read_labelled(path, "text", "label", EMOTION6, "data.train")
    assert len(str(caught.value)) < 400 + len(str(path))


def test_a_labelled_csv_needs_rows_and_both_columns(tmp_path: Path):
    with pytest.raises(UserError, match="must have at least one row, found only a header"):
        read_labelled(write(tmp_path / "input.csv", "text,label\n\n"), "text", "label", EMOTION6, "data.train")
    with pytest.raises(UserError, match=r"must have one column 'label', found 'text', 'lable'"):
        read_labelled(write(tmp_path / "input.csv", "text,lable\na,1\n"), "text", "label", EMOTION6, "data.train")
    with pytest.raises(UserError, match=r"^data\.validation: must be a CSV file, found no file at "):
        read_labelled(tmp_path / "nothing.csv", "text", "label", EMOTION6, "data.validation")


def test_a_compressed_csv_is_read(tmp_path: Path):
    rows = [("text", "label"), *sample_rows("train", 50)]
    content = "".join(f'"{text.replace(chr(34), chr(34) * 2)}",{label}\n' for text, label in rows).encode()
    path = tmp_path / "train.csv.gz"
    path.write_bytes(gzip.compress(content))
    file = open_csv(path, ("text", "label"))
    (frame,) = file.chunks()
    assert file.column(frame, "text") == [text for text, _ in rows[1:]]
    path.write_bytes(gzip.compress(content)[:-20])
    with pytest.raises(UserError, match=r"must be readable, found .*train\.csv\.gz \(Compressed file ended"):
        open_csv(path)
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"must be readable, found .*train\.csv\.gz \(Not a gzipped file"):
        open_csv(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_a_pipe_is_called_one(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(UserError, match=r"csv: must be a CSV file, found a pipe at .*pipe\.csv"):
        open_csv(tmp_path / "pipe.csv")
