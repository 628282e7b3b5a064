"""Which column of a file is which field: what is guessed, what the job says, and what is refused in which words."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from csvfile.columns import Wanted, match_columns
from csvfile.errors import CsvFileError
from csvfile.header import read_header
from runtime.datasets import load_datasets
from schemas.bounds import MOST_COLUMN_TEXT, MOST_COLUMNS
from schemas.descriptors.datasets import Dataset, parse_dataset
from schemas.names import folded

PEOPLE = load_datasets()["people"]
LEGACY = ("Name", "Email", "Favorite Color", "Phone number", "Country")
FIELDS = ("name", "email", "favorite_color", "phone", "country")
ALIKE = parse_dataset("alike", {"fields": [{"name": "a_b"}, {"name": "A-B"}, {"name": "c", "title": "See"}]})
OPTIONAL = parse_dataset("optional", {"fields": [{"name": name, "sluice": {"default": ""}} for name in ("a", "b")]})


def problem(names: tuple[str, ...], wanted: Wanted = Wanted(), dataset: Dataset = PEOPLE) -> str:  # noqa: B008
    return str(match_columns(names, dataset, wanted).problem)


def test_the_file_that_people_have_fits_as_it_is() -> None:
    match = match_columns(LEGACY, PEOPLE, Wanted())
    assert (match.problem, match.fields) == (None, FIELDS)
    assert match.recorded == dict(zip(LEGACY, FIELDS, strict=True))


def test_exact_names_need_no_record() -> None:
    for names in (PEOPLE.columns, PEOPLE.columns[::-1], ("sluice_row", *PEOPLE.columns, "sluice_reason")):
        match = match_columns(names, PEOPLE, Wanted())
        assert (match.problem, match.fields, match.recorded) == (None, names, None)


@pytest.mark.parametrize(
    "written",
    ["PHONE NUMBER", " phone  number ", "Phone_Number", "phone-number", "phone\u2010number", "Phone\u00a0number",
     "Ｐｈｏｎｅ　ｎｕｍｂｅｒ", "\ufeffPhone number", "Pho\u00adne\u2009number\u200b", "Tel", "PHONE"],
)  # fmt: skip
def test_what_does_not_count_in_a_name(written: str) -> None:
    names = ("name", "email", written, "country", "favorite_color")
    match = match_columns(names, PEOPLE, Wanted())
    assert (match.problem, match.fields[2]) == (None, "phone")


def test_folding_twice_is_folding_once() -> None:
    for name in ("İstanbul", "Straße", "ﬁeld No.", "①", "K", "Å", "-- a --", "", "_"):
        assert folded(folded(name)) == folded(name)


def test_the_words_of_the_job_win_over_names_and_guesses() -> None:
    wanted = Wanted({"phone_NUMBER": "phone", "Email": None, "Work": "email"})
    match = match_columns(("name", "Email", "Work", "Phone number", "country", "color"), PEOPLE, wanted)
    assert match.problem is None
    assert match.recorded == {
        "name": "name", "Email": None, "Work": "email", "Phone number": "phone", "country": "country",
        "color": "favorite_color",
    }  # fmt: skip


def test_a_job_that_says_something_of_columns_has_a_record_in_any_case() -> None:
    for wanted in (Wanted({"name": "name"}), Wanted(ignore_extra=True)):
        match = match_columns(PEOPLE.columns, PEOPLE, wanted)
        assert match.recorded == dict(zip(PEOPLE.columns, PEOPLE.columns, strict=True))


def test_what_is_set_need_not_be_in_the_file() -> None:
    match = match_columns(("name", "email", "phone"), PEOPLE, Wanted(constants={"country": "NL", "favorite_color": ""}))
    assert match.problem is None
    assert match.recorded == {"name": "name", "email": "email", "phone": "phone"}


@pytest.mark.parametrize(
    ("names", "wanted", "words"),
    [
        (LEGACY[1:], Wanted(), "(missing: name)"),
        (LEGACY[1:], Wanted(), "--set name=TEXT"),
        ((*LEGACY, "Notes"), Wanted(), "(unknown: Notes)"),
        ((*LEGACY, "Notes"), Wanted(), "--ignore-extra"),
        ((*LEGACY[1:], "Who"), Wanted(), "(missing: name; unknown: Who)"),
        ((*LEGACY[1:], "Who is it"), Wanted(), "--map 'Who is it=name'"),
        ((*LEGACY[1:], "Who is it"), Wanted(ignore_extra=True), "(missing: name)"),
        ((*LEGACY, "Tel"), Wanted(), "the columns Phone number and Tel would both be phone; "),
        ((*LEGACY, "Tel"), Wanted(ignore_extra=True), "--map Tel="),
        ((*LEGACY, "name"), Wanted(), "the columns Name and name would both be name"),
        ((*LEGACY, "Work"), Wanted({"Work": "email"}), "the columns Email and Work would both be email"),
        (LEGACY, Wanted(constants={"country": "NL"}), "the column 'Country' would be country, which is set for every"),
        (
            LEGACY,
            Wanted({"Fone": "phone"}),
            "the job maps a column 'Fone', which the header does not have; it has Name",
        ),
        (LEGACY, Wanted({"EMAIL": "email", "e_mail": "email"}), "the job maps a column 'e_mail'"),
        (LEGACY, Wanted({"EMAIL": "email", "email ": "email"}), "the column 'Email' more than once: EMAIL and email"),
        (("Tel 1", "tel-1"), Wanted({"TEL 1": "phone"}), "could be the columns Tel 1 and tel-1; write its very name"),
        ((*LEGACY, "email", "email"), Wanted(), "'email' appears twice"),
        ((*LEGACY, ""), Wanted(), "column 6 has no name"),
        ((*LEGACY, "", ""), Wanted(), "columns 6, 7 have no name"),
        (LEGACY, Wanted(recorded={"Name": "name"}), "and had Name when the job was made"),
        ((*LEGACY, *map(str, range(MOST_COLUMNS))), Wanted(ignore_extra=True), "2,005 columns are too many"),
        ((*LEGACY, "x" * MOST_COLUMN_TEXT), Wanted(ignore_extra=True), "have more than 65,536 characters together"),
    ],
)
def test_what_does_not_fit_is_named_with_what_to_write(names: tuple[str, ...], wanted: Wanted, words: str) -> None:
    assert words in problem(names, wanted)


def test_a_column_that_could_be_two_fields_is_refused_unless_its_name_is_exact() -> None:
    assert problem(("a_b", "A-B", "see"), dataset=ALIKE) == "None"
    said = problem(("a_b", "A B", "c"), Wanted(ignore_extra=True), ALIKE)
    assert "the column 'A B' could be a_b or A-B; say which it is (options.columns; --map 'A B=a_b')" in said
    assert problem(("a_b", "A B", "c"), Wanted({"A B": "A-B"}), ALIKE) == "None"


def test_a_file_none_of_whose_columns_is_known_is_refused_whatever_has_a_default() -> None:
    assert "it has none of the columns" in problem(("x", "y"), Wanted(ignore_extra=True), OPTIONAL)
    header = read_header(b"x;a;y\n", True, OPTIONAL, Wanted(ignore_extra=True))
    assert (header.delimiter, header.columns) == (b";", ("", "a", "")), "not one column of the name 'x;a;y'"


def test_the_record_decides_whatever_the_dataset_says_by_now() -> None:
    recorded = {"Tel": "name", "Notes": None, "sluice_row": None}
    header = read_header(b"sluice_row;Notes;Tel\n", True, PEOPLE, Wanted(recorded=recorded))
    assert header.columns == ("sluice_row", "", "name")
    with pytest.raises(CsvFileError, match="the file has changed"):
        read_header(b"sluice_row;Notes\n", True, PEOPLE, Wanted(recorded=recorded))


@pytest.mark.parametrize("quoted", ['"\ufeffName"', "\ufeff\ufeffName", '"\ufeff Name "'])
def test_a_mark_within_quotes_is_no_part_of_a_name(quoted: str) -> None:
    head = "\ufeff" + quoted + ",Email,Favorite Color,Phone number,Country\n"
    assert read_header(head.encode(), True, PEOPLE).match.names == LEGACY


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda header: header[1:], "missing: name"),
        (lambda header: (*header, "shoe size"), "unknown: shoe size"),
        (lambda header: ("sluice_day", *header), "unknown: sluice_day"),
        (lambda header: ("sluice_row", *header, "sluice_row"), "'sluice_row' appears twice"),
        (lambda header: (*header, "email"), "'email' appears twice"),
        (lambda header: (";".join(header),), "expected the columns name, email"),
    ],
)
def test_a_header_that_does_not_fit_is_refused_with_what_is_wrong(
    change: Callable[[tuple[str, ...]], tuple[str, ...]], words: str
) -> None:
    assert words in problem(change(PEOPLE.columns))
