"""The page's script reads a file as an upload of it does: header, rows, encodings, and which rows can't be read.

Texts and bytes are made at random, of pieces that mean something to either of the two.
"""

from __future__ import annotations

import base64
import gzip
import json
import random
from typing import Any

import pytest

from api.errors import ApiError
from api.jobs.reading.row_errors import csv_lines, csv_row
from api.uploads.conversion import beginning
from csvfile.columns import Match, Wanted
from csvfile.cutter import Limits, Place, cut
from csvfile.errors import CsvFileError
from csvfile.grammar import DELIMITERS
from csvfile.header import HEAD_BYTES, Header, look_at_header
from csvfile.layout import SIGNS, layout_by, layout_problem, sign, text_by
from csvfile.refused_rows import still_refused
from csvfile.text import encodings
from csvfile.text.encodings import _names, another_encoding, encoding_named
from csvfile.text.transcoder import Transcoder
from schemas.descriptors.datasets import parse_dataset
from schemas.job import Options
from tests.support.page_script import asked, constants

DATASET = parse_dataset("x", {"fields": [{"name": "a"}, {"name": "b"}]})
ENCODINGS = sorted({found for name in _names().values() if (found := encoding_named(name))})
FRONTS = (
    """
a,b$|a;b^$|$ a , b $|#x$a,b$|sep=;$a;b$|sep=;$#x$a;b$|a,b^|'a',b$|"a",b$|a$
""".strip()
    .replace("^", "\r")
    .replace("$", "\n")
    .split("|")
)
"""What files begin with; `$` is LF, `^` is CR."""
PIECES = [
    *r"""a|b|a,b$|a;b^$|"a",b$|"|"|'|,|,|;|$|^|^$|$| |\|\|#|#c$|sep=;$|"sep=,"$|\^$""".replace("^", "\r")
    .replace("$", "\n")
    .split("|"),
    *("|", "\t", "\ufeff", "\u2028", "\x85", "\x0b", "\u00e9", "\0"),
]
LAYOUTS: tuple[dict[str, Any], ...] = (
    *({}, {}, {}, {"delimiter": ";"}, {"quote": "single"}, {"quote": "none"}, {"escape": "backslash"}, {"quote": "|"}),
    *({"quote": "single", "escape": "backslash", "delimiter": ";"}, {"skip_lines": 1}, {"comment": "#"}),
    *({"comment": "#", "skip_lines": 2}, {"quote": "single", "comment": "#"}, {"delimiter": "'"}),
)
Rows = list[tuple[list[str], bool]]


def test_the_page_has_the_constants_of_the_reader() -> None:
    names = ("MOST_BAD_BYTES", "IN_WORDS", "SEVERAL", "DIFFERENT", "HARDLY_LETTERS")
    found = constants("SIGNS", "DELIMITERS", "LONGEST_HEADER", "TYPED", *names)
    assert found.pop("SIGNS") == SIGNS
    assert [one.encode() for one in found.pop("DELIMITERS")] == list(DELIMITERS)
    assert found.pop("LONGEST_HEADER") == HEAD_BYTES
    assert set(found.pop("TYPED")) == encodings.TYPED
    assert found == {name: getattr(encodings, name) for name in names}


def as_the_page_has_it(options: Options) -> dict[str, Any]:
    """As `formatOf` in columns.js."""
    delimiter = sign(options.delimiter)
    if delimiter is None and (options.quote or options.escape):
        delimiter = ","
    named = {"delimiter": delimiter, "comment": sign(options.comment)}
    signs = {"quote": sign(options.quote or "double"), "escape": sign(options.escape or "none")}
    return {**signs, "skipLines": options.skip_lines, **{name: text for name, text in named.items() if text}}


def looked_at(data: bytes, options: Options) -> tuple[Header, bytes] | str:
    """The header, and what is read of the file; or why it is refused."""
    try:
        found = beginning(data, True, text_by(options))
        header = look_at_header(found.text[:HEAD_BYTES], True, DATASET, Wanted(ignore_extra=True), layout_by(options))
    except CsvFileError as error:
        return str(error)
    except ApiError as error:
        return error.message
    return str(header.match.problem) if header.match.broken else (header, found.text)


def read(header: Header, data: bytes) -> Rows | None:
    """The rows, and whether each can't be read; None: a quote is not closed."""
    rows: Rows = []
    try:
        for block in cut(iter([data[header.end.bytes :]]), header.end, header.delimiter, Limits(100, 10**6)):
            if block:
                rows += [(row, index in block.unreadable) for index, row in enumerate(json.loads(block.rows_json))]
    except CsvFileError:
        return None
    return rows


def shown(rows: list[dict[str, Any]]) -> Rows:
    return [(row["values"], "problem" in row) for row in rows]


@pytest.mark.parametrize("seed", range(6))
def test_header_and_rows_are_those_of_an_upload(seed: int) -> None:
    chance = random.Random(seed)
    files = []
    for _ in range(300):
        text = "".join(chance.choices(PIECES, k=chance.randint(1, 14)))
        text = (chance.choice(FRONTS) if chance.random() < 0.7 else "") + text
        options = Options(**chance.choice(LAYOUTS))
        if layout_problem(options) is None:
            files.append((text.removeprefix("\ufeff"), options))
    heads = asked(*(("headerOf", text, as_the_page_has_it(options), True) for text, options in files))
    calls, wanted = [], []
    for (text, options), head in zip(files, heads, strict=True):
        mine, rest = looked_at(text.encode(), options), None
        its = looked_at(
            head["text"].encode(), Options(delimiter=options.delimiter, quote=options.quote, escape=options.escape)
        )
        if isinstance(mine, str) and "that begins on line" in mine:  # rows and header are written anew in one
            rest, mine = mine, its
        if "\0" in text[head["start"] : head["end"]]:
            continue  # headerProblem says so
        if isinstance(mine, str) or isinstance(its, str):
            assert isinstance(mine, str) and isinstance(its, str), (text, options, head)
            continue
        (header, made), (other, _) = mine, its
        assert (header.match.names, header.delimiter) == (other.match.names, other.delimiter), (text, options, head)
        delimiter = header.delimiter.decode()
        at = head["ends"].get(delimiter, head["end"])
        calls.append(("rowsFrom", text, at, {**as_the_page_has_it(options), "delimiter": delimiter}, True, 100))
        wanted.append((text, options, None if rest else read(header, made)))
    for (text, options, rows), found in zip(wanted, asked(*calls), strict=True):
        if rows is None:
            assert found and found[-1].get("problem") == "a quote in it is not closed", (text, options, found)
        else:
            assert shown(found) == rows, (text, options)
    assert len(wanted) > 100


BYTES = [
    *rb"a|b|x| |,|1,2$|$|^$|".replace(b"^", b"\r").replace(b"$", b"\n").split(b"|"),
    *(b'"', b"\xef\xbb\xbf", b"\0", b"\xc3\xa9", b"\xe2\x82\xac", b"\xe9", b"M\xfcller", b"\xe2\x82", b"\xf0\x9f"),
    *(b"\xff", b"\xc9", b"\x92", b"\x81", b"\xed\xa0\x80", b"\xc0"),
]


@pytest.mark.parametrize("encoding", ["", "utf-8", "ascii"])
@pytest.mark.parametrize("seed", range(3))
def test_damaged_bytes_are_those_of_an_upload(seed: int, encoding: str) -> None:
    chance = random.Random(seed)
    files = []
    for _ in range(300):
        some = chance.choices(BYTES, k=3) if chance.random() < 0.5 else BYTES
        files.append(
            chance.choice([b"a,b\n", b"\xef\xbb\xbfa,b\n", b"a,b\xe9\n"]) + b"".join(chance.choices(some, k=8))
        )
    options = Options(encoding=encoding or None)
    decoded = asked(*(("decodeHead", base64.b64encode(data).decode(), encoding, True) for data in files))
    texts = [one.get("text", "a,b\n") for one in decoded]
    heads = asked(*(("headerOf", text, {}, True) for text in texts))
    calls = [("headerProblem", {"text": "", **one}, head, "") for one, head in zip(decoded, heads, strict=True)]
    problems = asked(*calls)
    rows = asked(
        *(
            ("rowsFrom", text, head["ends"].get(",", head["end"]), {"delimiter": ","}, True, 100, one.get("bad", []))
            for text, head, one in zip(texts, heads, decoded, strict=True)
        )
    )
    taken = 0
    for data, one, problem, found in zip(files, decoded, problems, rows, strict=True):
        mine = looked_at(data, options)
        if not encoding and another_encoding(data, True) is not None:
            mine = "in another encoding"
        assert isinstance(mine, str) == bool(one.get("problem") or problem), (data, one, problem)
        if isinstance(mine, str) or mine[0].delimiter != b",":
            continue
        taken += 1
        wanted = read(*mine)
        assert found[-1]["problem"] == "a quote in it is not closed" if wanted is None else shown(found) == wanted, data
    assert taken > 50


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_an_encoding_is_read_as_by_an_upload_or_offered_to_be_sent(encoding: str) -> None:
    """Node reads some as browsers do not; none of these is read by the script."""
    chance = random.Random(encoding)
    samples = [b"a%c" % byte for byte in range(256)] + [b"a%c%cb" % (*chance.randbytes(2),) for _ in range(300)]
    answers = asked(*(("decodeHead", base64.b64encode(data).decode(), encoding, True) for data in samples))
    for data, answer in zip(samples, answers, strict=True):
        if "unread" in answer or encoding in ("utf-8", "utf-8-sig", "ascii"):
            continue
        transcoder = Transcoder(encoding)
        try:
            text = (transcoder.feed(data) + transcoder.feed(b"", last=True)).decode()
        except CsvFileError:
            text = None
        assert answer.get("text") == text, (data, answer)


@pytest.mark.parametrize("passed_over", [None, "a", "b"])
@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("change", ["nothing", "a cell", "surplus", "all"])
def test_a_refused_row_that_comes_back_as_it_was_is_red(change: str, wide: bool, passed_over: str | None) -> None:
    errors = [
        {"row": 1, "reason": "too few", "columns": ["b", "a"], "values": ["\u00e9=1"], "misfit": True},
        {"row": 2, "reason": "too many", "columns": ["b", "a"], "values": ["=1", "\r\n", "x", ""], "misfit": True},
        {"row": 3, "reason": "a is no number", "column": "a", "columns": ["b", "a"], "values": ["1", "x"]},
    ]
    names = ["b", "a", "sluice_row", "sluice_line", "sluice_column", "sluice_reason"]
    rows = [csv_row(error, names[:2], False) for error in errors]
    if change in ("a cell", "all"):
        rows = [["changed", *row[1:]] for row in rows]
    if change in ("surplus", "all"):
        rows = [row[:6] for row in rows]
    if wide:  # as a spreadsheet writes it
        names = [*names, "", ""]
        rows = [[*row, *[""] * (len(names) - len(row))] for row in rows]
    fields = ["" if name == passed_over else name for name in names]
    told = {
        "names": names,
        "fields": [field if field in DATASET.columns else "" for field in fields],
        "dataset": DATASET.columns,
        "checks": {},
    }
    (found,) = asked(("checkRows", [{"values": row} for row in rows], told, False))
    match = Match(tuple(names), tuple(fields))
    (block,) = still_refused(cut(iter([csv_lines(rows)]), Place(0, 0), b",", Limits(9, 9999)), match, DATASET)
    assert block is not None
    count = "has too many values: 8 instead of 6"  # of which the reader knows nothing yet
    assert [bool(row["reason"] not in ("", count)) for row in found] == [
        index in block.unreadable for index in range(3)
    ]
    unchanged = change in ("nothing", "surplus")
    assert [bool(row["reason"]) for row in found] == [unchanged, change != "all", False]


LONG = b"1,2\n" * 20_000
"""More than the page looks at first."""


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (b"a,b\n" + LONG * 5, "a,b\n"),
        (b"\n" * 100_000 + b"a,b\n", "a,b\n"),
        (b'"a,' + b" " * 100_000 + b'",b', None),
        (b'"a,b\n' + b" " * 300_000, "does not end"),
        (b"a,b\n\xe9a" + LONG, "The file is not UTF-8"),
        (b"a,b\n\xe9a" + LONG + b"\xc3\xa9", "a,b\n"),
        (b"a,b\n1,\0\n\xc3\xa9\xff", "a,b\n"),
        (b"a,b\xff\n\xc3\xa9", "The header is not UTF-8"),
        (b"a,b\0\n", "The header has NUL characters"),
    ],
)
def test_as_much_of_a_file_is_looked_at_as_it_takes(data: bytes, wanted: str | None, packed: bool) -> None:
    layout = {**as_the_page_has_it(Options()), "delimiter": ","}
    sent = gzip.compress(data) if packed else data
    (found,) = asked(("headOf", base64.b64encode(sent).decode(), layout, ""))
    if "problem" in found:
        assert wanted is not None and wanted in found["problem"]
    else:
        assert found["header"]["text"] == (data.decode() if wanted is None else wanted)
