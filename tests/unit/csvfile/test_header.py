"""Headers: what is passed over, which delimiter it is, and what a refusal says."""

from __future__ import annotations

import codecs

import pytest

from csvfile.cutter import Place
from csvfile.errors import CsvFileError
from csvfile.header import HEAD_BYTES, read_header
from runtime.datasets import load_datasets
from schemas.descriptors.datasets import Dataset, parse_dataset
from schemas.names import folded

PEOPLE = load_datasets()["people"]
COLUMNS = PEOPLE.columns
HEADER = ",".join(COLUMNS).encode()
COMMAS = parse_dataset("commas", {"fields": [{"name": "id"}, {"name": "name, first"}, {"name": "city, zip"}]})


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("delimiter", [b",", b";", b"\t"])
@pytest.mark.parametrize("bom", [b"", codecs.BOM_UTF8])
def test_header_variants(line_end: bytes, delimiter: bytes, bom: bytes) -> None:
    head = bom + line_end + delimiter.join(name.encode() for name in COLUMNS)
    header = read_header(head + line_end + b"x", True, PEOPLE)
    assert header.columns == COLUMNS
    assert header.delimiter == delimiter
    assert header.end == Place(len(head + line_end), 2)


def test_header_names_are_stripped_and_may_be_quoted_and_in_any_order() -> None:
    head = b",".join(b'" %b "' % name.encode() for name in reversed(COLUMNS))
    assert read_header(head, True, PEOPLE).columns == tuple(reversed(COLUMNS))


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (b"", "the file is empty"),
        (codecs.BOM_UTF8, "the file is empty"),
        (b"\r\n\n", "only blank lines"),
        (b"name;email\n", "the header does not fit dataset 'people'"),
        (HEADER + b",name\n", "the column 'name' appears twice"),
        (b'name,"email\n', "a quote in it is not closed"),
        (b"n\xe4me\n", "the header is not valid UTF-8"),
        ("name,email".encode("utf-16"), "the file is UTF-16"),
    ],
)
def test_bad_headers(head: bytes, reason: str) -> None:
    with pytest.raises(CsvFileError, match=reason):
        read_header(head, True, PEOPLE)


def test_a_header_that_does_not_end_within_the_head() -> None:
    with pytest.raises(CsvFileError, match="the header does not end"):
        read_header(HEADER, False, PEOPLE)


def refusal(head: bytes, dataset: Dataset = PEOPLE, whole: bool = True) -> str:
    with pytest.raises(CsvFileError) as refused:
        read_header(head, whole, dataset)
    return str(refused.value)


@pytest.mark.parametrize(
    ("head", "words", "others"),
    [
        (b"id;name, first;town\n", "(missing: city, zip; unknown: town)", "name; first"),
        (b"name, first;city, zip\n", "(missing: id)", "unknown"),
        (b"id\tname, first\n", "(missing: city, zip)", "unknown"),
        (b'"id";"name, first"x;town\n', "value 2 is in quotes and has text after its closing quote", "fit"),
        (b'id;name, first;"city\n', "a quote in it is not closed", "fit"),
    ],
)
def test_a_refusal_is_about_the_delimiter_with_which_most_columns_are_known(
    head: bytes, words: str, others: str
) -> None:
    message = refusal(head, COMMAS)
    assert words in message
    assert others not in message


def test_names_may_hold_other_delimiters() -> None:
    assert read_header(b"id;name, first;city, zip\n", True, COMMAS).columns == COMMAS.columns


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (b",", "of the 7 columns in the header column 7 has no name"),
        (b",\xc2\xa0,,", "columns 7, 8, 9 have no name"),
        (b"," * 500, "columns 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 and 490 more have no name"),
    ],
)
def test_columns_without_a_name_are_counted_out(more: bytes, words: str) -> None:
    assert words in refusal(HEADER + more + b"\n")


def test_a_refusal_names_a_few_and_cuts_long_names() -> None:
    message = refusal(HEADER + b"".join(b",more%d" % n for n in range(200)) + b"\n")
    assert "unknown: more0, more1" in message
    assert "more9 and 190 more)" in message
    assert len(refusal(b"x" * 200_000 + b"\n")) < 500
    assert "'email', 'name'" not in refusal(HEADER + b",name,email\n")
    assert "these columns appear twice in the header: email, name;" in refusal(HEADER + b",name,email\n")


@pytest.mark.parametrize(
    "filler", [b",", b";", b'"",', b"a,", b'"', b'""', b'"a', b",\r", b"\n", b"\0", b"\xff", b" ", b"\t", b'a",']
)
@pytest.mark.parametrize("whole", [True, False])
def test_a_head_full_of_anything_is_refused_in_a_sentence(filler: bytes, whole: bool) -> None:
    """A quadratic step in here would take minutes."""
    head = (filler * HEAD_BYTES)[:HEAD_BYTES]
    assert 20 < len(refusal(head, whole=whole)) < 1000


@pytest.mark.timeout(120)
def test_a_name_that_no_field_can_have_is_not_compared_as_people_would() -> None:
    """Unicode's rules sort marks one by one: two hundred thousand of them would take a minute."""
    name = "a" + "\u0300\u0316" * 100_000
    assert folded(name) == name
    assert folded("\ufeffPhone  Number") == "phone_number"
