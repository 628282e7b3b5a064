"""One file, one outcome: whichever door it comes in by, and however large it is.

The doors: an upload by multipart, a file in an import folder, the check of a retry file, and the reader. A new
disagreement is one more line in `CASES`. Each is tried as it stands, with many rows behind it, and with many rows
between its header and its own rows, so that these lie beyond the head and beyond the first block.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.jobs.retry_file import RowSet, corrected_header, rows_problem
from csvfile.cutter import Limits
from csvfile.errors import CsvFileError
from csvfile.header import HEAD_BYTES
from ingest.errors import SourceError
from ingest.files import Roots
from ingest.sources import SourceContext, block_source
from schemas.blocks import RowBlock
from schemas.codec import decode, encode
from schemas.datasets import parse_dataset
from schemas.job import Input, Options, Source
from schemas.plans import ReadFile
from tests.api_stub import CATALOG, make_job, stub

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
PAD_ROWS = 20_000
FIRST_PAD_ROW = 1000
Row = tuple[list[str], str | None]


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
    """Words with which a file of corrected rows is refused, whose columns are not mapped."""
    delimiter: bytes = b","
    line_end: bytes = b"\n"

    def sizes(self) -> Iterator[bytes]:
        """The file, small and large."""
        rows = (self.delimiter.join([b"%d", b"pad", b"text"]) + self.line_end for _ in range(PAD_ROWS))
        pad = b"".join(row % number for number, row in enumerate(rows, start=FIRST_PAD_ROW))
        assert len(pad) > HEAD_BYTES
        yield self.header + self.rows
        if not self.refused:
            yield self.header + pad + self.rows
        if self.rows.endswith((b"\n", b"\r")):
            yield self.header + self.rows + pad


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
    "UTF-16": Case("sluice_row,id,text\n".encode("utf-16"), refused="the file is UTF-16; save it as CSV in UTF-8"),
    "UTF-16 without a mark": Case("sluice_row,id,text\n".encode("utf-16-le"), refused="the header has NUL bytes"),
    "NUL in the header": Case(b"sluice_row,id,te\0xt\n", refused="the header has NUL bytes"),
    "a bad byte in the header": Case(b"sluice_row,id,text\xff\n", refused="the header is not valid UTF-8"),
    "a column without a name": Case(
        b"sluice_row,id,text,\n", refused="of the 4 columns in the header column 4 has no name"
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
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, Path]]:
    folder = tmp_path_factory.mktemp("doors")
    (folder / "import").mkdir()
    known = {"plain": PLAIN, "commas": COMMAS, "named": NAMED}
    with pytest.MonkeyPatch.context() as patch:
        for name, dataset in known.items():
            patch.setitem(CATALOG.datasets, name, dataset)  # type: ignore[arg-type]
        app, _ = stub(folder / "home", import_folders=str(folder / "import"))
        with TestClient(app) as client:
            yield client, folder / "import"


def read(file: Path, dataset: str, columns: dict[str, str | None] | None = None) -> tuple[str, list[Row]]:
    """What the reader says of a file: why it gave up, and the rows that are not padding."""
    source = Source(path=file.name, columns=columns)
    plan = ReadFile(job_id="j", epoch=0, command_offset=0, partitions=8, dataset=dataset, source=source)
    around = SourceContext({"plain": PLAIN, "commas": COMMAS, "named": NAMED}, Roots(file.parent), LIMITS)
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
def test_every_door_comes_to_the_same_outcome(name: str, served: tuple[TestClient, Path]) -> None:
    case, (client, folder) = CASES[name], served
    for data in case.sizes():
        file = folder / "file.csv"
        file.write_bytes(data)
        options = {"dataset": case.dataset, "options": {"dry_run": True, **case.options}}
        sent = make_job(client, data, **options)
        named = client.post("/v1/jobs", json={"operation": "upload", "file": str(file), **options})
        checked = corrections_problem(file, case.dataset, case.options)
        if case.corrected:
            assert checked == "" if case.corrected == "-" else case.corrected in checked
        if case.refused:
            said = {sent.json()["error"]["message"], named.json()["error"]["message"]}
            said |= set() if case.corrected else {checked}
            said |= set() if case.options else {read(file, case.dataset)[0]}
            assert (sent.status_code, named.status_code, len(said)) == (400, 400, 1), said
            assert case.refused in said.pop()
            continue
        assert (sent.status_code, named.status_code) == (201, 201), (sent.text, named.text)
        recorded = sent.json()["source"]["columns"]
        assert recorded == named.json()["source"]["columns"]
        reason, found = read(file, case.dataset, recorded)
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
    page = (Path(__file__).resolve().parents[2] / "docs" / "csv.md").read_text(encoding="utf-8")
    named = {line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| ")} - {"in the file"}
    assert named == set(CASES)
