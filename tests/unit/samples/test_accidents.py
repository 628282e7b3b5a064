"""The accident files: the committed ones are what the code makes, and validation against the schemas refuses each."""

import csv
import io

import pytest

from sample_csv.accidents import cut_off, shift_down, swap_columns
from sample_csv.ready import FILES, ready_files
from tests.support.places import ROOT

GOOD = b'id,one,two\n1,a,x\n2,"b, ""B""",y\n3,\xc3\xa9,z\n'
COMMITTED = sorted(path.name for path in FILES.glob("*.csv"))
SCHEMAS = ROOT / "schemas" / "datasets"


def rows_in(name: str) -> list[dict[str | None, str | None]]:
    return list(csv.DictReader(io.StringIO((FILES / name).read_bytes().decode(), newline="")))


@pytest.fixture(scope="module")
def made() -> dict[str, bytes]:
    return dict(ready_files())


@pytest.mark.parametrize("name", COMMITTED)
def test_a_committed_file_is_what_the_code_makes(made: dict[str, bytes], name: str) -> None:
    assert (FILES / name).read_bytes() == made[name]


def test_no_other_file_is_committed(made: dict[str, bytes]) -> None:
    assert set(COMMITTED) == set(made)


def test_swapping_columns_keeps_the_header() -> None:
    swapped = swap_columns(GOOD, "one", "two")
    assert swapped == b'id,one,two\n1,x,a\n2,y,"b, ""B"""\n3,z,\xc3\xa9\n'
    assert swap_columns(swapped, "two", "one") == GOOD


def test_shifting_a_column_empties_its_first_cell_and_loses_the_last() -> None:
    assert shift_down(GOOD, "one") == b'id,one,two\n1,,x\n2,a,y\n3,"b, ""B""",z\n'


@pytest.mark.parametrize("whole_rows", [0, 1, 2])
def test_cutting_off_ends_inside_a_row(whole_rows: int) -> None:
    cut = cut_off(GOOD, whole_rows)
    assert GOOD.startswith(cut)
    assert cut.count(b"\n") == whole_rows + 1
    assert not cut.endswith(b"\n")


def test_cutting_off_behind_the_end_is_refused() -> None:
    with pytest.raises(ValueError, match="the file has 3"):
        cut_off(GOOD, 3)


def test_every_swapped_row_is_refused() -> None:
    rows = rows_in("people-swapped-columns.csv")
    assert len(rows) == 1_000
    for row in rows:
        assert "@" not in (row["email"] or "")
        assert "@" in (row["phone"] or "")


def test_the_first_shifted_row_is_refused() -> None:
    first, *others = rows_in("teams-shifted-phones.csv")
    assert first["manager_phone"] == ""
    assert [row["manager_phone"] for row in others] == [row["manager_phone"] for row in rows_in("teams-small.csv")][:-1]


def test_the_last_row_of_the_truncated_file_is_refused() -> None:
    *whole, last = rows_in("people-truncated.csv")
    assert whole == rows_in("people-small.csv")[: len(whole)]
    assert last["created_at"] is None
