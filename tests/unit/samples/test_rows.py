"""The generator: the same bytes for the same arguments, and rows that the dataset schemas accept."""

import csv
import hashlib
import io
import json
import re
from collections import Counter
from datetime import UTC, date, datetime
from typing import Any

import pytest

from sample_csv.datasets import COLUMNS, MAX_ROWS, PRESETS, Dataset, rows_of
from sample_csv.pools import make_pools, slug
from sample_csv.rows import MAX_SIZE, MIN_SIZE, ROWS_PER_CHUNK, generate, generate_bytes
from tests.support.places import ROOT

SCHEMAS = ROOT / "schemas" / "datasets"

# They change with Faker's word lists: after a new Faker in requirements/, write these and sample_csv/files/ again.
GOLDEN = {
    Dataset.PEOPLE: "63fb9fb61efcfd9745f21c1be2c0a339dbcfae1ca6ee46815f76bc6da356d779",
    Dataset.TEAMS: "5d85ce23d8b66f02f81bf309ca1ed08e285eab0e90cf9e8f82b8aa96958cde68",
}


def schema(dataset: Dataset) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((SCHEMAS / f"{dataset}.json").read_text(encoding="utf-8"))
    return loaded


def table(data: bytes) -> tuple[list[str], list[list[str]]]:
    header, *rows = csv.reader(io.StringIO(data.decode("utf-8"), newline=""), strict=True)
    return header, rows


def wrong(field: dict[str, Any], value: str) -> bool:
    """Whether a field's type, format and constraints refuse the cell: as much of Table Schema as the two files use."""
    constraints = dict(field["constraints"])
    required = constraints.pop("required", False)
    if value == "":
        return bool(required)
    minimum, maximum = constraints.pop("minimum", None), constraints.pop("maximum", None)
    shortest, longest = constraints.pop("minLength", 0), constraints.pop("maxLength", len(value))
    pattern = constraints.pop("pattern", "")
    assert not constraints, f"this test does not know {constraints}"
    if not shortest <= len(value) <= longest or not re.search(pattern, value):
        return True
    match field["type"], field.get("format", "default"):
        case "string", "default":
            return False
        case "string", "email":
            return not re.fullmatch(r"[a-z0-9.]+@([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}", value)
        case "string", "phone":
            return not re.fullmatch(r"\+[1-9][0-9]{6,14}", value)
        case "integer", "default":
            return not re.fullmatch(r"-?[0-9]+", value) or not minimum <= int(value) <= maximum
        case "datetime", "default":
            try:
                return datetime.fromisoformat(value).tzinfo != UTC
            except ValueError:
                return True
        case other:
            raise AssertionError(f"this test does not know {other}")


def wrong_cells(dataset: Dataset, data: bytes) -> list[tuple[int, str]]:
    """(row number from 1, column) of each refused cell; a row with another number of cells is (number, "row")."""
    fields = schema(dataset)["fields"]
    found: list[tuple[int, str]] = []
    for number, row in enumerate(table(data)[1], 1):
        if len(row) != len(fields):
            found.append((number, "row"))
            continue
        cells = zip(fields, row, strict=True)
        found.extend((number, field["name"]) for field, value in cells if wrong(field, value))
    return found


@pytest.mark.parametrize("dataset", Dataset)
def test_the_same_arguments_give_the_same_bytes_everywhere(dataset: Dataset) -> None:
    data = generate_bytes(dataset, 200, seed=42, start=date(2025, 3, 1))
    assert hashlib.sha256(data).hexdigest() == GOLDEN[dataset]


@pytest.mark.parametrize("dataset", Dataset)
def test_another_seed_gives_other_rows(dataset: Dataset) -> None:
    one, other = (set(generate_bytes(dataset, 100, seed).splitlines()[1:]) for seed in (1, 2))
    assert len(one) == 100
    assert not one & other


@pytest.mark.parametrize("dataset", Dataset)
def test_a_shorter_file_is_the_beginning_of_a_longer_one(dataset: Dataset) -> None:
    longer = generate_bytes(dataset, ROWS_PER_CHUNK + 10)
    for rows in (0, 1, ROWS_PER_CHUNK, ROWS_PER_CHUNK + 1):
        assert generate_bytes(dataset, rows) == b"".join(longer.splitlines(keepends=True)[: rows + 1])


@pytest.mark.parametrize("dataset", Dataset)
def test_chunks_are_whole_lines_and_count_their_rows(dataset: Dataset) -> None:
    header, *chunks = generate(dataset, ROWS_PER_CHUNK + 1)
    assert header == (0, (",".join(COLUMNS[dataset]) + "\n").encode())
    assert [chunk.rows for chunk in chunks] == [ROWS_PER_CHUNK, 1]
    for chunk in chunks:
        assert chunk.data.count(b"\n") == chunk.rows
        assert chunk.data.endswith(b"\n")
        assert b"\r" not in chunk.data


@pytest.mark.parametrize("dataset", Dataset)
def test_the_schema_accepts_every_row(dataset: Dataset) -> None:
    data = generate_bytes(dataset, 2_000)
    assert [field["name"] for field in schema(dataset)["fields"]] == table(data)[0] == list(COLUMNS[dataset])
    assert wrong_cells(dataset, data) == []


def test_what_the_schemas_tell_sluice() -> None:
    people, teams = schema(Dataset.PEOPLE), schema(Dataset.TEAMS)
    assert people["sluice"] == {"date_field": "created_at", "exclusive_key": ["organisation", "dataset"]}
    assert "primaryKey" not in people
    assert teams["sluice"] == {"exclusive_key": ["organisation"], "key_scope": "organisation", "mode": "create"}
    assert teams["primaryKey"] == ["team"]
    sizes = next(field for field in teams["fields"] if field["name"] == "size")["constraints"]
    assert (sizes["minimum"], sizes["maximum"]) == (MIN_SIZE, MAX_SIZE)


@pytest.mark.parametrize(
    ("dataset", "column"), [(Dataset.PEOPLE, "email"), (Dataset.TEAMS, "manager_email"), (Dataset.TEAMS, "team")]
)
def test_keys_are_unique(dataset: Dataset, column: str) -> None:
    _, rows = table(generate_bytes(dataset, 20_000))
    at = COLUMNS[dataset].index(column)
    assert len({row[at] for row in rows}) == 20_000


def test_a_few_names_need_quotes_and_many_are_not_ascii() -> None:
    data = generate_bytes(Dataset.PEOPLE, 20_000)
    names = [row[0] for row in table(data)[1]]
    quoted = sum(line.startswith(b'"') for line in data.splitlines())
    assert 20 <= quoted <= 60  # about one in 512
    assert any("," in name for name in names)
    assert any('"' in name for name in names)
    assert any("'" in name for name in names)
    assert 1_000 < sum(not name.isascii() for name in names) < 10_000


@pytest.mark.parametrize("start", [date(2026, 1, 1), date(2024, 2, 29), date(9998, 12, 31)])
def test_created_at_is_spread_over_a_year_from_the_start(start: date) -> None:
    _, rows = table(generate_bytes(Dataset.PEOPLE, 5_000, start=start))
    days = Counter((datetime.fromisoformat(row[5]).date() - start).days for row in rows)
    assert min(days) == 0
    assert max(days) == 364
    assert len(days) == 365


def test_a_country_goes_with_its_phone_code() -> None:
    _, rows = table(generate_bytes(Dataset.PEOPLE, 2_000))
    codes = {"Germany": "+49", "Japan": "+81", "United States": "+1", "Poland": "+48"}
    seen = {country: {row[2].startswith(code) for row in rows if row[3] == country} for country, code in codes.items()}
    assert seen == {country: {True} for country in codes}


def test_every_name_can_be_in_an_email_address() -> None:
    homes = make_pools(seed=3).homes
    assert len(homes) == 16
    assert all(re.fullmatch("[a-z]{1,20}", name.slug) for home in homes for name in home.given + home.family)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Łucja", "lucja"), ("Sørensen", "sorensen"), ("da Cunha", "dacunha"), ("Häkkinen", "hakkinen"), ("佐藤", "")],
)
def test_slugs(name: str, expected: str) -> None:
    assert slug(name) == expected


@pytest.mark.parametrize(
    ("text", "rows"),
    [("0", 0), ("17", 17), (str(MAX_ROWS), MAX_ROWS), ("small", 1_000), ("Medium", 10_000), (" LARGE ", 100_000)],
)
def test_numbers_of_rows(text: str, rows: int) -> None:
    assert rows_of(text) == rows


@pytest.mark.parametrize(
    "text", ["", "tiny", "-1", "1.5", "1,000", "1_000", "1e3", "٣", str(MAX_ROWS + 1), "9" * 5_000]
)
def test_what_is_no_number_of_rows(text: str) -> None:
    with pytest.raises(ValueError, match="give a whole number") as refusal:
        rows_of(text)
    assert all(preset in str(refusal.value) for preset in PRESETS)
