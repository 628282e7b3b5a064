"""The page's script that reads first rows, run by the node that comes with Playwright, beside what the API and the
workers make of the same bytes."""

from __future__ import annotations

import base64
import re
from typing import Any

import pytest

from api.pages.creation.browser_patterns import browser_pattern
from api.pages.creation.cell_checks import checks_of
from processor.validation.columns import BadValueError, compile_column
from schemas.descriptors.datasets import Dataset, parse_dataset
from tests.support.page_script import asked

FIELDS: list[dict[str, Any]] = [
    {"name": "email", "format": "email", "constraints": {"required": True, "maxLength": 30}},
    {"name": "phone", "format": "phone"},
    {"name": "code", "constraints": {"pattern": r"[A-Z]{2}\d+", "minLength": 3}, "missingValues": ["", "NA"]},
    {"name": "colour", "constraints": {"enum": ["red", "green", "blue"]}},
    {"name": "count", "type": "integer", "constraints": {"minimum": 1, "maximum": 9}},
    {"name": "price", "type": "number", "decimalChar": ",", "groupChar": ".", "bareNumber": False},
    {"name": "share", "type": "number", "constraints": {"maximum": 100}},
    {"name": "member", "type": "boolean", "constraints": {"required": True}},
    {"name": "day", "type": "date", "constraints": {"minimum": "2026-01-01"}},
    {"name": "at", "type": "datetime", "constraints": {"maximum": "2026-12-31T00:00:00Z"}},
    {"name": "born", "type": "date", "format": "%d/%m/%Y"},
]
TEXTS = (
    *("", "NA", "a", "ann@example.org", "ann@example", "a b@example.org", "ann@example.org, bob@example.org", "é@é.nl"),
    *(
        "+31 20 123 4567",
        "12",
        "020-1234567",
        "AB1",
        "AB",
        "Ab1",
        "AB1\n",
        "red",
        "Red",
        "0",
        "5",
        "10",
        "٥",
        "5.5",
        "1e3",
    ),
    *(
        "1.234,50",
        "€ 1.234,50",
        "1,234.50",
        "-3",
        "1e999",
        "true",
        "TRUE",
        "yes",
        "2026-02-29",
        "2024-02-29",
        "2026-13-01",
    ),
    *("2026-01-31", "2025-01-31", "2026-01-31T10:20:30Z", "2027-01-31 10:20", "2026-01-31T25:00:00Z", "31/01/2026"),
    *("x" * 40, "\U0001f600" * 2, "'=1+1", "'+31201234567", "'-3"),
)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return parse_dataset("things", {"fields": FIELDS})


def test_a_cell_is_red_exactly_where_it_would_be_a_row_error(dataset: Dataset) -> None:
    """Of dates in a form of their own the browser knows nothing: they are never red."""
    checks = checks_of(dataset, "create", keeps=True)
    cases = [(field, text) for field in dataset.fields for text in TEXTS]
    found = asked(*[("checkCell", checks[field.name], text, True) for field, text in cases])
    for (field, text), told in zip(cases, found, strict=True):
        wanted = ""
        try:
            compile_column(field).explain(text)
        except BadValueError as error:
            wanted = str(error)
        if field.name != "born" or not text:
            assert told == wanted, (field.name, text)
        else:
            assert told == "", (field.name, text)


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ("1,a\n", "The first row fits the dataset. Nothing has been sent yet but the header."),
        ("1,a\n2,b\n", "The first 2 rows fit the dataset. Nothing has been sent yet but the header."),
        ("1\n", "The first row does not fit. It would be a row error; the others are stored."),
        ("1\n2,b\n", "1 of the first 2 rows does not fit. It would be a row error; the others are stored."),
        ("1\n2\n", "2 of the first 2 rows do not fit. They would be row errors; the others are stored."),
        (
            '1,a\n2,"b\n3,c\n',
            "1 of the first 2 rows does not fit. A quote is not closed, so the job would fail there: correct the file "
            "first.",
        ),
    ],
)
def test_the_sentence_above_the_first_rows_says_what_would_come_of_them(rows: str, sentence: str) -> None:
    (read,) = asked(("rowsFrom", rows, 0, {"delimiter": ","}, True, 100))
    told = {"names": ["id", "note"], "fields": ["id", "note"], "dataset": ["id", "note"], "checks": {}}
    (checked,) = asked(("checkRows", read, told, False))
    bad = [row for row in checked if row["reason"]]
    assert asked(("sentenceOf", checked, bad, [])) == [sentence]


def test_an_apostrophe_before_a_formula_is_none_of_the_value(dataset: Dataset) -> None:
    phone = checks_of(dataset, "create", keeps=True)["phone"]
    assert asked(("checkCell", phone, "'+31201234567", False), ("checkCell", phone, "'+31201234567", True)) == [
        "",
        "is not a phone number",
    ]


def test_in_a_mode_that_keeps_values_an_empty_cell_of_the_key_alone_is_red() -> None:
    fields = [{"name": name, "constraints": {"required": True}} for name in ("id", "note")]
    keyed = {"fields": fields, "primaryKey": "id", "sluice": {"key_scope": "organisation"}}
    people = parse_dataset("people", keyed)
    merged = checks_of(people, "upsert", keeps=True)
    cleared = checks_of(people, "upsert", keeps=False)
    assert asked(
        *[("checkCell", rules[name], "", False) for rules in (merged, cleared) for name in ("id", "note")]
    ) == [
        "is required, but empty",
        "",
        "is required, but empty",
        "is required, but empty",
    ]
    assert list(checks_of(people, "delete", keeps=True)) == ["id"]


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        (r"[^\s@]+\.\w{2,}", "Jürgen.éé", "a b.cd"),
        (r"(?P<a>[ab])(?P=a)\Z", "aa", "ab"),
        (r"\A[\w.-]++\$", "é-.$", "é $"),
        (r"[]\-^&]{1,2}+", "]^", "a"),
        (r"a{,2}b{x}", "aab{x}", "aaab{x}"),
        (r"(?>ab|a)c\-\"\/}", 'abc-"/}', "ac"),
        (r"\x41\u00e9\U0001F600.", "Aé\U0001f600\r", "Aé\U0001f600\n"),
    ],
)
def test_a_pattern_means_the_same_in_the_browser(pattern: str, good: str, bad: str) -> None:
    compiled = re.compile(pattern)
    assert compiled.fullmatch(good) and not compiled.fullmatch(bad)
    source = browser_pattern(compiled)
    rules = checks_of(
        parse_dataset("a", {"fields": [{"name": "a", "constraints": {"pattern": pattern}}]}), "create", keeps=True
    )["a"]
    assert source is not None and rules["patterns"]
    assert [bool(told) for told in asked(("checkCell", rules, good, True), ("checkCell", rules, bad, True))] == [
        False,
        True,
    ]


@pytest.mark.parametrize("pattern", [r"(?i)a", r"(?i:a)b", r"a\b", r"(a)?(?(1)b|c)", "(?#a)b", r"a\0"])
def test_a_pattern_that_browsers_do_not_know_is_left_to_the_api(pattern: str) -> None:
    assert browser_pattern(re.compile(pattern)) is None


@pytest.mark.parametrize(
    ("text", "layout", "header", "rows"),
    [
        ("a,b\n1,2\n3,4\n5,", {}, "a,b\n", [["1", "2"], ["3", "4"]]),
        ('a;b\r\n"x;""y""\r\nz";2\r\n\r\n3;4\r\n', {"delimiter": ";"}, "a;b\r\n", [['x;"y"\r\nz', "2"], ["3", "4"]]),
        ('"sep=;";;\na;b\n1;2\n', {"delimiter": ";"}, '"sep=;";;\na;b\n', [["1", "2"]]),
        ("sep=;\n#x\na;b\n1;2\n", {"delimiter": ";", "comment": "#"}, "sep=;\na;b\n", [["1", "2"]]),
        ("\n \nsep=|\na|b\n1|2\n", {"delimiter": "|"}, "sep=|\na|b\n", [["1", "2"]]),
        ("Title\n#x\n\na,b\r1,2\r", {"skipLines": 1, "comment": "#"}, "a,b\r", [["1", "2"]]),
        ("a,b\n'1,\\'',2\n", {"quote": "'", "escape": "\\"}, "a,b\n", [["1,'", "2"]]),
        ('a,b\n"1,\\x"\n', {"quote": "", "escape": "\\"}, "a,b\n", [['"1', '\\x"']]),
        ('"a\nb",c\n1,2\n', {}, '"a\nb",c\n', [["1", "2"]]),
        ('a,b\n5" wide,2\n', {}, "a,b\n", [['5" wide', "2"]]),
    ],
)
def test_rows_are_those_that_the_api_reads(
    text: str, layout: dict[str, Any], header: str, rows: list[list[str]]
) -> None:
    (found,) = asked(("headerOf", text, layout, False))
    assert found["text"] == header
    (read,) = asked(("rowsFrom", text, found["end"], {"delimiter": ",", **layout}, False, 100))
    assert [row["values"] for row in read] == rows


def test_the_last_row_of_a_whole_file_needs_no_line_end_and_of_a_part_it_is_left_out() -> None:
    part, whole = asked(*(("rowsFrom", "1,2\n3,4", 0, {"delimiter": ","}, complete, 100) for complete in (False, True)))
    assert ([row["values"] for row in part], [row["values"] for row in whole]) == (
        [["1", "2"]],
        [["1", "2"], ["3", "4"]],
    )


def test_rows_that_do_not_fit_the_header_say_why() -> None:
    told = {"fields": ["a", "b"], "checks": {}}
    (rows,) = asked(("rowsFrom", '1,2\n1\n1,2,3\n"1"x,2\n', 0, {"delimiter": ","}, True, 100))
    (found,) = asked(("checkRows", rows, told, False))
    assert [row["reason"] for row in found] == [
        "",
        "has too few values: 1 instead of 2",
        "has too many values: 3 instead of 2",
        "can't be read: a value goes on behind its closing \"",
    ]


@pytest.mark.parametrize(
    ("data", "encoding", "wanted"),
    [
        ("Jürgen".encode(), "", "Jürgen"),
        ("Jürgen".encode("utf-8-sig"), "", "Jürgen"),
        ("Jürgen".encode("utf-16"), "", "Jürgen"),
        ("Jürgen €".encode("cp1252"), "cp1252", "Jürgen €"),
        ("Jürgen".encode("cp1252"), "Windows-1252", "Jürgen"),
        ("Jürgen €".encode("iso8859-15"), "iso8859_15", "Jürgen €"),
        ("Jürgen".encode("mac-roman"), "mac_roman", "Jürgen"),
        ("Jürgen".encode("utf-16-le"), "utf_16_le", "Jürgen"),
        ("Jürgen".encode()[:2], "", "J"),
    ],
)
def test_bytes_become_text(data: bytes, encoding: str, wanted: str) -> None:
    assert asked(("decodeHead", base64.b64encode(data).decode(), encoding)) == [{"text": wanted}]


@pytest.mark.parametrize(
    ("data", "encoding", "key", "words"),
    [
        ("Jürgen".encode("cp1252"), "", "problem", "The file is not UTF-8; name its encoding"),
        (b"name", "cp850", "unread", "cp850"),
        (b"name", "utf-16", "unread", "utf-16"),
        ("名前".encode("shift_jis"), "shift_jis", "unread", "shift_jis"),
        (b"x\x81", "cp1252", "problem", "The file is not cp1252"),
        (b"x\x81", "latin-1", "unread", "latin-1"),
        ("name".encode("utf-16"), "cp1252", "problem", "byte order mark of UTF-16LE, so it is not cp1252"),
        ("name".encode("utf-32"), "", "unread", "utf-32"),
    ],
)
def test_bytes_that_are_no_text_say_what_to_do(data: bytes, encoding: str, key: str, words: str) -> None:
    (found,) = asked(("decodeHead", base64.b64encode(data).decode(), encoding))
    assert words in found[key]


def test_nul_is_a_character_of_a_row_and_none_of_a_header() -> None:
    texts = ["a,b\n1,\0\n", "name".encode("utf-16-le").decode("ascii")]
    heads = asked(*(("headerOf", text, {}, True) for text in texts))
    problems = asked(*(("headerProblem", {"text": text}, head, "") for text, head in zip(texts, heads, strict=True)))
    assert problems[0] == "" and "utf-16-le in many cases" in problems[1]
