"""The form of JSON that readers write rows in: any JSON decoder reads it, and a split at tabs gives its values."""

from __future__ import annotations

import json

from hypothesis import example, given
from hypothesis import strategies as st

from schemas.messages.packed_rows import BETWEEN_ROWS, JsonColumn, PackedRows, only, packed_row, packed_rows

VALUES = st.text(st.one_of(st.sampled_from('\t\n",[]\\'), st.characters(codec="utf-8")), max_size=6)


def pack(rows: list[list[str]]) -> PackedRows:
    text = b"[%b]" % BETWEEN_ROWS.join(map(packed_row, rows))
    assert json.loads(text) == rows and PackedRows.fit(text) and packed_rows(rows) == text
    return PackedRows(text)


@given(st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(VALUES, min_size=width, max_size=width), min_size=1)))
@example([["\t],\n[\t", '"'], ["],[", ","]])
def test_columns_are_those_of_the_rows(rows: list[list[str]]) -> None:
    found, width = pack(rows), len(rows[0])
    assert len(found) == len(rows) and list(found) == rows and found[-1] == rows[-1]
    columns = found.columns(width)
    assert columns is not None and [list(column) for column in columns] == list(map(list, zip(*rows, strict=True)))
    assert all(json.loads(b"[%b]" % column.text[:-1]) == list(column) for column in columns)
    odd = [list(only(column, range(0, len(rows), 2))) for column in columns]
    assert odd == [list(column)[::2] for column in columns]
    assert isinstance(only(columns[0], [0]), JsonColumn)


@given(st.lists(st.lists(VALUES, min_size=1, max_size=4), min_size=1, max_size=6), st.integers(1, 5))
@example([["a"], ["b", "c", "d"]], 2)
@example([["a", "b", "c"], ["d"]], 2)
@example([["a", "b", "c", "d", "e"]], 2)
@example([["a"], ["b"]], 3)
def test_rows_that_do_not_all_have_the_width_have_no_columns(rows: list[list[str]], width: int) -> None:
    assert (pack(rows).columns(width) is not None) == all(len(row) == width for row in rows)


def test_a_row_that_could_not_be_read_has_no_columns() -> None:
    assert not PackedRows.fit(b"[[]]")
    assert PackedRows(b"[[]]").columns(1) is None
