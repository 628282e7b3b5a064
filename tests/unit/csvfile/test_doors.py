"""One file, one outcome: whichever door it comes in by, and however large it is.

The doors: an upload by multipart, a file in an import folder, the check of a retry file, and the reader. A new
disagreement is one more line in `CASES`. Each is tried as it stands, with many rows behind it, and with many rows
between its header and its own rows, so that these lie beyond the head and beyond the first block.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.jobs.creation.retry_file import RowSet, corrected_header, rows_problem
from csvfile.cutter import Limits
from csvfile.errors import CsvFileError
from csvfile.header import HEAD_BYTES
from ingest.blocks.files import Roots
from ingest.errors import SourceError
from ingest.sources import SourceContext, block_source
from schemas.descriptors.datasets import parse_dataset
from schemas.job import FORMAT_OPTIONS, Input, Options, Source
from schemas.messages.blocks import RowBlock
from schemas.messages.codec import decode, encode
from schemas.messages.commands import CreateJob
from schemas.messages.plans import ReadFile
from tests.support.api.stub import CATALOG, StubLog, make_job, stub
from tests.support.places import ROOT

PLAIN = parse_dataset("plain", {"fields": [{"name": "id"}, {"name": "text"}]})
NAMED = parse_dataset(
    "named",
    {
        "fields": [
            {"name": "id", "title": "Number"},
            {"name": "text", "sluice": {"aliases": ["what it says"]}},
            {"name": "text_2", "sluice": {"default": "none"}},
            {"name": "TEXT-2", "sluice": {"default": "none"}},
        ]
    },
)
COMMAS = parse_dataset("commas", {"fields": [{"name": "id"}, {"name": "text, long"}]})
LIMITS = Limits(500, 64 * 1024)
HEADER = b"sluice_row,id,text\n"
OLE = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(500)
"""How documents of Office began until 2007."""
PAD_ROWS = 3_000
PAD_TEXT = b"text" * 25
"""Of few long rows, which take less time than many short ones: together they are more than a head and six blocks."""
FIRST_PAD_ROW = 1000
Row = tuple[list[str], str | None]


def as_it_is(data: bytes) -> bytes:
    return data


@dataclass(frozen=True)
class Case:
    """A file, and what becomes of it everywhere."""

    header: bytes
    rows: bytes = b"1,a,b\n"
    refused: str = ""
    """Words with which the header is refused."""
    fails: str = ""
    """Words in the error of the code that reads the rows."""
    found: list[Row] = field(default_factory=lambda: [(["1", "a", "b"], None)])
    """Values of each row, and words of the reason why it is a row error."""
    dataset: str = "plain"
    options: dict[str, Any] = field(default_factory=dict)
    """What the job says of its columns."""
    corrected: str = ""
    """Words with which a file of corrected rows is refused, whose columns are not mapped; -: it is taken; ?: that
    depends on its other rows."""
    sent: Callable[[bytes], bytes] = as_it_is
    """Makes the file that is sent of the text."""
    delimiter: bytes = b","
    line_end: bytes = b"\n"
    taken_in: bool = True
    """Whether a reader would refuse the file, too; if not, it makes row errors of the rows in question."""
    status: int = 400

    @property
    def plain(self) -> bool:
        """Whether nothing is recorded of how it is written."""
        layout = {name for name in FORMAT_OPTIONS if self.options.get(name) not in (None, "utf-8")}
        return self.sent is as_it_is and self.delimiter == b"," and not layout

    def sizes(self) -> Iterator[bytes]:
        """The file, small and large."""
        row = self.delimiter.join([b"%d", b"pad", PAD_TEXT]) + self.line_end
        pad = b"".join(row % number for number in range(FIRST_PAD_ROW, FIRST_PAD_ROW + PAD_ROWS))
        assert len(pad) > HEAD_BYTES
        yield self.sent(self.header + self.rows)
        if not self.refused:
            yield self.sent(self.header + pad + self.rows)
        if self.rows.endswith((b"\n", b"\r")):
            yield self.sent(self.header + self.rows + pad)


def zipped(*names: str) -> Callable[[bytes], bytes]:
    """A zip archive with the text under each of these names."""

    def pack(data: bytes) -> bytes:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in names:
                archive.writestr(name, b"" if name.endswith("/") else data)
        return file.getvalue()

    return pack


def two_members(data: bytes) -> bytes:
    half = len(data) // 2
    return gzip.compress(data[:half]) + gzip.compress(data[half:])


def with_zeros(data: bytes) -> bytes:
    half = len(data) // 2
    return gzip.compress(data[:half]) + bytes(700) + gzip.compress(data[half:]) + bytes(300)


def tarred(data: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        entry = tarfile.TarInfo("a.csv")
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    return file.getvalue()


def encoded(encoding: str) -> Callable[[bytes], bytes]:
    return lambda data: data.decode().encode(encoding)


ONE_ROW: list[Row] = [(["1", "a", "b"], None)]
CLOSING = "has text after its closing quote"
CASES: dict[str, Case] = {
    "plain": Case(HEADER),
    "columns in another order": Case(b"sluice_row,text,id\n"),
    "a byte order mark": Case(b"\xef\xbb\xbf" + HEADER),
    "a byte order mark before quotes": Case(b'\xef\xbb\xbf"sluice_row","id","text"\n'),
    "blank lines first": Case(b"\r\n\n\r" + HEADER),
    "blank lines after a byte order mark": Case(b"\xef\xbb\xbf\r\n\r\n" + HEADER),
    "lines of spaces first": Case(b"  \n\t\n" + HEADER),
    "spaces around names": Case(b"sluice_row, id , text\n"),
    "spaces within quotes": Case(b'" sluice_row","id ","text"\n'),
    "no-break and wide spaces": Case("sluice_row,\xa0id,text\u2003\u3000\n".encode()),
    "semicolons": Case(b"sluice_row;id;text\n", b"1;a;b\n", delimiter=b";"),
    "tabs": Case(b"sluice_row\tid\ttext\n", b"1\ta\tb\n", delimiter=b"\t"),
    "semicolons and names with commas": Case(
        b"sluice_row;id;text, long\n", b"1;a;b\n", delimiter=b";", dataset="commas"
    ),
    "commas and names with commas": Case(b'sluice_row,id,"text, long"\n', dataset="commas"),
    "a quoted name over two lines": Case(b'sluice_row,id,"text\nmore"\n', refused="missing: text"),
    "line ends CRLF": Case(b"sluice_row,id,text\r\n", b"1,a,b\r\n", line_end=b"\r\n"),
    "line ends CR": Case(b"sluice_row,id,text\r", b"1,a,b\r", line_end=b"\r"),
    "line ends of all kinds": Case(
        b"sluice_row,id,text\r", b"1,a,b\r\n2,a,b\n3,a,b\r", found=[([n, "a", "b"], None) for n in "123"]
    ),
    "no line end at the end": Case(HEADER, b"1,a,b"),
    "blank lines between rows": Case(HEADER, b"\n\r\n1,a,b\n\n\n"),
    "an empty file": Case(b"", b"", refused="the file is empty"),
    "a byte order mark alone": Case(b"\xef\xbb\xbf", b"", refused="the file is empty"),
    "a blank line alone": Case(b"\r\n", b"", refused="only blank lines"),
    "very many blank lines": Case(b"\n" * (HEAD_BYTES + 1), b"", refused="only blank lines"),
    "gzip": Case(HEADER, sent=gzip.compress),
    "gzip of several members": Case(HEADER, sent=two_members),
    "gzip with zeros between its members": Case(HEADER, sent=with_zeros),
    "gzip that breaks off": Case(
        HEADER, sent=lambda data: gzip.compress(data)[:-9], refused="the gzip file breaks off before its end"
    ),
    "gzip that is damaged": Case(
        HEADER, sent=lambda data: gzip.compress(data)[:-8] + b"12345678", refused="the gzip file is damaged"
    ),
    "gzip that unpacks to very much": Case(
        HEADER,
        sent=lambda data: gzip.compress(data + bytes(4 * 10**7)),
        refused="unpacks to more than 200 times its size",
        status=413,
    ),
    "zip": Case(HEADER, sent=zipped("data/people.csv")),
    "zip with folders, and what a Mac adds": Case(HEADER, sent=zipped("data/", "data/a.csv", "__MACOSX/data/._a.csv")),
    "zip with several files": Case(HEADER, sent=zipped("a.csv", "b.csv"), refused="has 2 files in it (a.csv, b.csv)"),
    "zip without a file": Case(HEADER, sent=zipped(), refused="the zip file has no file in it"),
    "zip that is damaged": Case(
        HEADER, sent=lambda data: zipped("a.csv")(data)[:-30], refused="the zip file can't be unpacked"
    ),
    "zip within gzip": Case(
        HEADER,
        sent=lambda data: gzip.compress(zipped("a.csv")(data)),
        refused="the file is a zip archive within another compression; unpack it",
    ),
    "gzip within zip": Case(
        HEADER, sent=lambda data: zipped("a.csv.gz")(gzip.compress(data)), refused="the file is gzip within another"
    ),
    "a tar archive in gzip": Case(HEADER, sent=tarred, refused="the file is a tar archive; unpack it"),
    "another compression": Case(HEADER, sent=bz2.compress, refused="the file is compressed with bzip2; unpack it"),
    "a workbook": Case(
        HEADER, sent=zipped("[Content_Types].xml", "xl/workbook.xml"), refused="(.xlsx, say); save the sheet as CSV"
    ),
    "a workbook of old": Case(HEADER, sent=lambda data: OLE + data, refused="of an old Office; save it as CSV"),
    "HTML": Case(b"\n<html><table><tr><td>id\n", refused="the file is HTML; open it in a spreadsheet"),
    "JSON": Case(b'[\n {"id": "1", "text": "a"}]\n', refused="the file is JSON; write it as CSV"),
    "UTF-16": Case(HEADER, "1,\xe4,\u20ac\n".encode(), sent=encoded("utf-16"), found=[(["1", "\xe4", "\u20ac"], None)]),
    "UTF-16 that breaks off": Case(
        HEADER, sent=lambda data: data.decode().encode("utf-16")[:-1], refused="the file is not valid utf-16"
    ),
    "UTF-16 without a mark": Case(
        HEADER, sent=encoded("utf-16-le"), refused="it may be utf-16-le: send it with --encoding utf-16-le"
    ),
    "UTF-16 in gzip": Case(HEADER, sent=lambda data: gzip.compress(data.decode().encode("utf-16"))),
    "another encoding, by name": Case(
        HEADER,
        "1,\xe4,\u20ac\n".encode(),
        sent=encoded("cp1252"),
        options={"encoding": "Windows-1252"},
        found=[(["1", "\xe4", "\u20ac"], None)],
    ),
    "an encoding of mainframes": Case(
        HEADER,
        "1,\xe4,b\n2,a,b\n".encode(),
        sent=lambda data: data.decode().replace("\n", "\x85").encode("cp500"),
        options={"encoding": "IBM500"},
        found=[(["1", "\xe4", "b"], None), (["2", "a", "b"], None)],
    ),
    "the other UTF-16 than the one named": Case(
        HEADER,
        sent=lambda data: codecs.BOM_UTF16_LE + data.decode().encode("utf-16-le"),
        options={"encoding": "utf-16-be"},
        refused="begins with the byte order mark of UTF-16-LE, so it is not utf-16-be",
    ),
    "another encoding, in zip": Case(
        HEADER,
        "1,\xe4,\u20ac\n".encode(),
        sent=lambda data: zipped("a.csv")(encoded("cp1252")(data)),
        options={"encoding": "cp1252"},
        found=[(["1", "\xe4", "\u20ac"], None)],
    ),
    "another encoding than the one named": Case(
        HEADER,
        "1,\u2321,b\n".encode(),
        options={"encoding": "cp1252"},
        sent=lambda data: data.replace("\u2321".encode(), b"\x81"),
        refused="the file is not valid cp1252: byte 0x81 on line 2 (offset 21) is no text in it",
    ),
    "UTF-8, and another encoding named": Case(
        HEADER,
        "1,\u0141,b\n".encode(),
        options={"encoding": "cp1252"},
        refused="byte 0x81 on line 2 (offset 22) is no text in it; it seems to be UTF-8: leave the encoding out",
    ),
    "a byte order mark, and another encoding named": Case(
        b"\xef\xbb\xbf" + HEADER, options={"encoding": "cp1252"}, refused="begins with the byte order mark of UTF-8"
    ),
    "NUL in the header": Case(b"sluice_row,id,te\0xt\n", refused="the header has NUL bytes"),
    "a bad byte in the header": Case(
        "sluice_row,id,text,stra\xdfe\n".encode("cp1252"),
        refused="the header is not valid UTF-8: byte 0xDF on line 1 (offset 23); it may be cp1252",
    ),
    "another encoding that is not named": Case(
        HEADER,
        "1,Ren\xe9e,b\n".encode("cp1252"),
        refused="the file is not valid UTF-8: byte 0xE9 on line 2 (offset 24); it may be cp1252: send it with",
        corrected="byte 0xE9 on line 2 (offset 24); save it as UTF-8 (CSV UTF-8",
        taken_in=False,
    ),
    "an encoding of other letters that is not named": Case(
        HEADER,
        "".join(f"{n},\u0418\u0432\u0430\u043d,b\n" for n in range(1, 20)).encode("cp1251"),
        refused="byte 0xC8 on line 2 (offset 21); save the file as UTF-8, or name its encoding",
        corrected="byte 0xC8 on line 2 (offset 21); save it as UTF-8",
        taken_in=False,
    ),
    "quotes of another encoding that is not named": Case(
        HEADER,
        "1,O\u2019Neil,b\n".encode("cp1252"),
        refused="byte 0x92 on line 2 (offset 22); it may be cp1252",
        corrected="byte 0x92 on line 2 (offset 22); save it as UTF-8",
        taken_in=False,
    ),
    "a few letters of another encoding that is not named": Case(
        HEADER,
        "1,\u0141ukasz \u017b\u00f3\u0142\u0107,b\n".encode("cp1250"),
        refused="the file is not valid UTF-8: byte 0xA3 on line 2",
        taken_in=False,
    ),
    "bad bytes, and UTF-8 named": Case(
        HEADER,
        "1,Ren\xe9e,b\n".encode("cp1252"),
        options={"encoding": "utf-8"},
        corrected="?",
        found=[(["1", "Ren\ufffde", "b"], "not valid UTF-8 (value 2)")],
    ),
    "bad bytes beside good ones": Case(
        HEADER,
        b"1,Ren\xe9e,b\n2,Ren\xc3\xa9e,b\n",
        found=[(["1", "Ren\ufffde", "b"], "not valid UTF-8 (value 2)"), (["2", "Ren\xe9e", "b"], None)],
    ),
    "pipes": Case(b"sluice_row|id|text\n", b"1|a|b\n", delimiter=b"|"),
    "a delimiter that the job names": Case(
        b"sluice_row^id^text\n", b"1^a^b\n", delimiter=b"^", options={"delimiter": "^"}, corrected="missing"
    ),
    "a delimiter by its name": Case(
        b"sluice_row\tid\ttext\n", b"1\ta\tb\n", delimiter=b"\t", options={"delimiter": "tab"}
    ),
    "another delimiter than the one named": Case(
        HEADER, options={"delimiter": ";"}, refused="unknown: sluice_row,id,text", corrected="-"
    ),
    "a line sep=": Case(b"sep=^\r\nsluice_row^id^text\n", b"1^a^b\n", delimiter=b"^"),
    "a line sep= after a byte order mark": Case(
        b"\xef\xbb\xbfsep=;\n\nsluice_row;id;text\n", b"1;a;b\n", delimiter=b";"
    ),
    "a line sep= in quotes": Case(b'"sep=;";;\r\nsluice_row;id;text\n', b"1;a;b\n", delimiter=b";"),
    "comments behind a line sep=": Case(
        b"sep=;\n# made by x\n" + HEADER.replace(b",", b";"),
        b"1;a;b\n",
        delimiter=b";",
        options={"comment": "#"},
        corrected="unknown",
    ),
    "lines in front that the job skips": Case(
        b'Report "x\r\n\nof May\n' + HEADER, options={"skip_lines": 3}, corrected="unknown"
    ),
    "as many lines as the job skips": Case(
        HEADER,
        b"1,a,b",
        options={"skip_lines": 900},
        refused="no header, only lines that are passed over",
        corrected="-",
    ),
    "other quotes, by name": Case(
        b"sluice_row,'id',text\n",
        b"1,'a''b, c','\"'\n2,a''b,5\" x\n3,'','d\ne'\n4,a,b\n",
        options={"quote": "single"},
        found=[
            *((["1", "a'b, c", '"'], None), (["2", "a''b", '5" x'], None)),
            *((["3", "", "d\ne"], None), (["4", "a", "b"], None)),
        ],
    ),
    "no quotes": Case(
        HEADER, b'1,"a,b"\n2,",\n', options={"quote": "none"}, found=[(["1", '"a', 'b"'], None), (["2", '"', ""], None)]
    ),
    "an escape character, by name": Case(
        HEADER,
        b'1,a\\,b,"c\\"d"\n2,C:\\temp,a\\\nb\n3,a\\\\,b\n',
        options={"escape": "backslash"},
        found=[(["1", "a,b", 'c"d'], None), (["2", "C:\\temp", "a\nb"], None), (["3", "a\\", "b"], None)],
    ),
    "text behind a closing quote of another kind": Case(
        HEADER, b"1,'a'x,b\n", options={"quote": "'"}, found=[(["1", "ax", "b"], f"value 2 is in quotes and {CLOSING}")]
    ),
    "another quote left open": Case(
        HEADER, b"1,'a,b\n", options={"quote": "'"}, refused="the value that begins on line 2 does not end"
    ),
    "comments in front that the job names": Case(
        b'# made by "x\n\n#\n' + HEADER,
        b"1,a,b\n#,a,b\n",
        options={"comment": "#"},
        corrected="unknown",
        found=[(["1", "a", "b"], None), (["#", "a", "b"], None)],
    ),
    "a column without a name": Case(
        b"sluice_row,id,text,\n", refused="of the 4 columns in the header column 4 has no name"
    ),
    "columns without a name, and ignore_extra": Case(
        b"sluice_row,id,,text,\n",
        b"1,a,x,b,\n",
        options={"ignore_extra": True},
        found=[(["1", "a", "x", "b", ""], None)],
    ),
    "a column twice, and ignore_extra": Case(
        b"sluice_row,id,more,text,more\n",
        b"1,a,x,b,y\n",
        options={"ignore_extra": True},
        found=[(["1", "a", "x", "b", "y"], None)],
    ),
    "a column too many": Case(b"sluice_row,id,text,more\n", refused="(unknown: more)"),
    "very many columns": Case(
        b"sluice_row,id,text" + b"".join(b",c%d" % n for n in range(2000)) + b"\n", refused="2,003 columns are too many"
    ),
    "a column missing": Case(b"sluice_row,id\n", refused="(missing: text)"),
    "a column twice": Case(b"sluice_row,id,text,id\n", refused="the column 'id' appears twice in the header"),
    "a title": Case(b"sluice_row,Number,text\n", dataset="named"),
    "an alias": Case(b"sluice_row,id,what it says\n", dataset="named"),
    "letters of another case": Case(b"sluice_row,ID,Text\n", dataset="named"),
    "spaces, _ and - within names": Case(b"sluice_row,id,What-it__says\n", dataset="named"),
    "wide letters and invisible signs": Case("sluice_row,\uff29\uff24,te\u00adxt\u200b\n".encode(), dataset="named"),
    "a byte order mark within quotes": Case(b'\xef\xbb\xbf"\xef\xbb\xbfsluice_row",id,text\n'),
    "an exact name beside one like it": Case(
        b"sluice_row,id,text,text_2,TEXT-2\n",
        b"1,a,b,c,d\n",
        dataset="named",
        found=[(["1", "a", "b", "c", "d"], None)],
    ),
    "a name that two fields are like": Case(
        b"sluice_row,id,text,Text 2\n", dataset="named", refused="the column 'Text 2' could be text_2 or TEXT-2"
    ),
    "two columns for one field": Case(
        b"sluice_row,id,text,Number\n", dataset="named", refused="the columns id and Number would both be id"
    ),
    "a column missing that has a default": Case(b"sluice_row,id,text\n", dataset="named"),
    "a column that the job maps": Case(
        b"sluice_row,id,more\n", options={"columns": {"More": "text"}}, corrected="unknown: more"
    ),
    "a column that the job passes over": Case(
        b"sluice_row,id,text,more\n",
        b"1,a,b,c\n",
        options={"columns": {"more": None}},
        found=[(["1", "a", "b", "c"], None)],
        corrected="unknown: more",
    ),
    "a mapped column that is not there": Case(
        HEADER, options={"columns": {"more": "text"}}, refused="the job maps a column 'more'", corrected="-"
    ),
    "a column too many, and ignore_extra": Case(
        b"sluice_row,id,text,more\n", b"1,a,b,c\n", options={"ignore_extra": True}, found=[(["1", "a", "b", "c"], None)]
    ),
    "a column missing that the job sets": Case(
        b"sluice_row,id\n", b"1,a\n", options={"set": {"text": "b"}}, found=[(["1", "a"], None)]
    ),
    "a column that the job sets as well": Case(
        HEADER, options={"set": {"text": "b"}}, refused="the column 'text' would be text, which is set for every row"
    ),
    "text behind a closing quote in the header": Case(
        b'sluice_row,"id"x,text\n', refused=f"value 2 is in quotes and {CLOSING}"
    ),
    "a quote left open in the header": Case(b'sluice_row,id,"text\n', refused="a quote in it is not closed"),
    "a header that is too long": Case(
        b"sluice_row,id,text" + b" " * HEAD_BYTES + b"\n", refused="it takes more than 256 KiB"
    ),
    "a bad byte in a row": Case(
        HEADER,
        b"1,a,\xff\n2,a,b\n",
        found=[(["1", "a", "\ufffd"], "not valid UTF-8 (value 3)"), (["2", "a", "b"], None)],
    ),
    "NUL in a row": Case(HEADER, b"1,a\0,b\n", found=[(["1", "a\0", "b"], None)]),
    "line ends of other kinds": Case(
        HEADER, "1,a\x0b\x0c\x85\u2028,b\n".encode(), found=[(["1", "a\x0b\x0c\x85\u2028", "b"], None)]
    ),
    "a row of empty values": Case(HEADER, b"1,a,b\n,,\n", found=[*ONE_ROW, (["", "", ""], None)], corrected="?"),
    "a sign of the file's end, as in DOS": Case(
        HEADER, b"1,a,b\n\x1a", found=[*ONE_ROW, (["\x1a"], None)], corrected="?"
    ),
    "no rows": Case(HEADER, b"", found=[], corrected="?"),
    "too few values": Case(HEADER, b"1,a\n", found=[(["1", "a"], None)]),
    "a quote inside an unquoted value": Case(HEADER, b'1,5" pipe,b"\n', found=[(["1", '5" pipe', 'b"'], None)]),
    "doubled quotes": Case(HEADER, b'1,"5"" pipe",""""\n', found=[(["1", '5" pipe', '"'], None)]),
    "text behind a closing quote": Case(
        HEADER, b'1,"a"x,b\n', found=[(["1", "ax", "b"], f"value 2 is in quotes and {CLOSING}")]
    ),
    "a space behind a closing quote": Case(
        HEADER, b'1,a,"b" \n', found=[(["1", "a", "b "], f"value 3 is in quotes and {CLOSING}")]
    ),
    "a quote inside that is not doubled": Case(HEADER, b'1,"5" pipe",b\n', found=[(["1", '5 pipe"', "b"], CLOSING)]),
    "text behind the first value's quote": Case(HEADER, b'"1"x,a,b\n', fails="", found=[(["1x", "a", "b"], CLOSING)]),
    "text behind a quote, over lines": Case(
        HEADER, b'1,"a\nb"x,c\n2,a,b\n', found=[(["1", "a\nbx", "c"], "within these 2 lines"), (["2", "a", "b"], None)]
    ),
    "a quote left open in a row": Case(HEADER, b'1,a,"b\n', fails="is not closed: the file ends within it"),
    "a long value": Case(HEADER, b"1," + b"x" * 50_000 + b",b\n", found=[(["1", "x" * 50_000, "b"], None)]),
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, StubLog, Path]]:
    folder = tmp_path_factory.mktemp("doors")
    (folder / "import").mkdir()
    known = {"plain": PLAIN, "commas": COMMAS, "named": NAMED}
    with pytest.MonkeyPatch.context() as patch:
        for name, dataset in known.items():
            patch.setitem(CATALOG.datasets, name, dataset)  # type: ignore[arg-type]
        app, log = stub(folder / "home", import_folders=str(folder / "import"))
        with TestClient(app) as client:
            yield client, log, folder


def read(source: Source, dataset: str, folder: Path) -> tuple[str, list[Row]]:
    """What the reader says of a job's file: why it gave up, and the rows that are not padding."""
    plan = ReadFile(job_id="j", epoch=0, command_offset=0, partitions=8, dataset=dataset, source=source)
    around = SourceContext(
        {"plain": PLAIN, "commas": COMMAS, "named": NAMED}, Roots(folder / "home/storage", (folder / "import",)), LIMITS
    )
    found: list[Row] = []
    try:
        for step in block_source(plan, Input(), around):
            if not step:
                continue
            block = decode(encode(step.block), RowBlock)  # type: ignore[union-attr]
            found += [(row, block.unreadable.get(index)) for index, row in enumerate(block.rows) if "pad" not in row]
    except SourceError as error:
        return str(error), found
    return "", found


def stored_files(folder: Path) -> list[Path]:
    return sorted((folder / "home").rglob("*.*"))


def corrections_problem(file: Path, dataset: str, options: dict[str, Any]) -> str:
    """What the check of a retry file says."""
    rows = RowSet()
    for number in (*range(1, 10), *range(FIRST_PAD_ROW, FIRST_PAD_ROW + PAD_ROWS)):
        rows.add(number)
    known = {"plain": PLAIN, "commas": COMMAS, "named": NAMED}
    try:
        header = corrected_header(file, known[dataset], Options(**options))
    except CsvFileError as error:
        return str(error)
    return rows_problem(file, header, rows, LIMITS) or ""


@pytest.mark.parametrize("name", CASES)
def test_every_door_comes_to_the_same_outcome(name: str, served: tuple[TestClient, StubLog, Path]) -> None:
    case, (client, log, folder) = CASES[name], served
    for data in case.sizes():
        file, before = folder / "import/file.csv", stored_files(folder)
        file.write_bytes(data)
        options = {"dataset": case.dataset, "options": {"dry_run": True, **case.options}}
        sent = make_job(client, data, **options)
        named = client.post("/v1/jobs", json={"operation": "upload", "file": str(file), **options})
        if case.refused:
            said = {answer.json()["error"]["message"] for answer in (sent, named)}
            assert (sent.status_code, named.status_code, len(said)) == (case.status, case.status, 1), said
            assert case.refused in said.pop()
            assert stored_files(folder) == before, "nothing is left of it"
            if case.sent is not as_it_is or {"encoding", "quote"} & case.options.keys():
                continue  # the others never see such a file
            checked = corrections_problem(file, case.dataset, case.options)
            if case.corrected:
                assert checked == "" if case.corrected == "-" else case.corrected in checked
            else:
                assert case.refused in checked
            assert (
                case.options
                or not case.taken_in
                or case.refused in read(Source(path=str(file)), case.dataset, folder)[0]
            )
            continue
        assert (sent.status_code, named.status_code) == (201, 201), (sent.text, named.text)
        sources = [command.source for command in log.sent[-2:] if isinstance(command, CreateJob)]
        checked = corrections_problem(folder / "home/storage" / str(sources[0].path), case.dataset, case.options)
        if case.corrected not in ("", "?"):
            assert checked == "" if case.corrected == "-" else case.corrected in checked
        views = [answer.json()["source"] for answer in (sent, named)]
        for view in views:
            assert (view["bytes"], view["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
        assert views[0]["columns"] == views[1]["columns"] and views[0]["format"] == views[1]["format"]
        assert (views[0]["format"] is None) == case.plain, views[0]["format"]
        (reason, found), again = (read(source, case.dataset, folder) for source in sources)
        assert (reason, found) == again
        if case.fails:
            assert case.fails in reason
            assert reason == checked
            continue
        assert reason == ""
        assert [values for values, _ in found] == [values for values, _ in case.found]
        for (_, problem), (_, words) in zip(found, case.found, strict=True):
            assert (words in problem) if words and problem else (words == problem)
        numbered = all(row[0].isdigit() for row, _ in case.found if case.header.startswith(b"sluice_row"))
        assert case.corrected or (checked == "" if numbered else "can't be read" in checked)


def test_the_documented_outcomes_are_these() -> None:
    """docs/csv.md names cases of the table above, each in its own row."""
    page = (ROOT / "docs" / "csv.md").read_text(encoding="utf-8")
    named = {line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| ")} - {"in the file"}
    assert named == set(CASES)
