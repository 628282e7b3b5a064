"""Whatever stands in a record of the inbox: one bad row is one row error, and what can be told of the rest is told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.inbox.records import RowMaker, read_record
from schemas.bounds import MOST_ROWS
from schemas.messages.blocks import RowBlock
from schemas.messages.codec import UndecodableError, decode, encode
from schemas.messages.inbox import MOST_LIST

COLUMNS = ("name", "size")
GOOD = '{"name": "Ada", "size": 3}'
MOST = 8192

BAD = {
    # fragment of JSON in place of a row's values -> what its row error says
    r'{"name": "\ud800"}': "half of a surrogate pair",
    r'{"name": "x\udc00y", "size": 1}': "half of a surrogate pair",
    r'{"na\ud800me": "x"}': "no column",
    '{"size": NaN}': "NaN, which is no number in JSON",
    '{"size": -Infinity}': "-Infinity, which is no number",
    '{"size": 1e400}': "out of range",
    '{"size": %s}' % ("9" * 5000): "thousands of digits",
    '{"name": {"first": "Ada"}}': "column 'name' holds an object",
    '{"name": ["Ada"]}': "column 'name' holds an array",
    '{"name": "Ada", "name": "Bob"}': "column 'name' comes twice",
    '{"name" : "Ada", "size": "a:b", "name"\t: "Ada"}': "column 'name' comes twice",
    '{"name": ' + "[" * 2000 + "]" * 2000 + "}": "nested",
    '{"name": Ada}': "can't be read",
    "{'name': 1}": "can't be read",
    '{"name": "a\nb"}': "can't be read",
    '{"name": 007}': "can't be read",
    '{"name" "Ada"}': "can't be read",
    '"Ada"': "not an object",
    "null": "not an object",
    "17": "not an object",
    '["Ada", 3]': "not an object",
    '{"nmae": "Ada"}': "no column 'nmae'",
    '{"name": "%s"}' % ("x" * 9000): "more than 8192 bytes",
}
ODD = {
    # fragment -> the texts that it is as good as
    '{"name": "Ada", "size": null}': ("Ada", ""),
    '{"name": "say \\": 1", "size": true}': ('say ": 1', "true"),
    '{"name": "\\ud83d\\ude00"}': ("\U0001f600", ""),
    '{"name": "a \\" : {[", "size": -0.5}': ('a " : {[', "-0.5"),
    '{"size": %s}' % ("9" * 400): ("", "9" * 400),
    "{}": ("", ""),
}


def record(values: str, row: object = 7, more: str = "") -> bytes:
    return f'{{"job_id": "j1", "row": {row}, "values": {values}{more}}}'.encode()


def rows_of(value: bytes, job_id: str | None = "j1") -> list[tuple[int, tuple[str, ...], str | None]]:
    """Number, texts and problem of each row, as they come out of a block."""
    arrival, maker = read_record(value, MOST), RowMaker(COLUMNS)
    assert job_id in (None, arrival.job_id)
    found = []
    for number, values, problem in arrival.rows():
        texts, wrong = maker.texts(values)
        reason = problem or wrong
        block = RowBlock(
            job_id="j1", block=0, first_row=number, columns=list(COLUMNS), rows=[list(texts)],
            unreadable={0: reason} if reason else {},
        )  # fmt: skip
        assert decode(encode(block), RowBlock) == block, "a worker reads what was written"
        found.append((number, tuple(texts), reason))
    return found


@pytest.mark.parametrize("values", BAD)
def test_a_bad_row_is_a_row_error_with_its_number(values: str) -> None:
    ((number, texts, reason),) = rows_of(record(values))
    assert number == 7 and len(texts) == 2
    assert reason is not None and len(reason) < 400
    assert BAD[values] in reason or not values.startswith("{")


@pytest.mark.parametrize("values", BAD)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_bad_row_in_a_list_is_the_only_bad_one(values: str, place: int) -> None:
    rows = [GOOD, GOOD]
    rows.insert(place, values)
    found = rows_of(record(f"[{', '.join(rows)}]"))
    assert [number for number, _, _ in found] == [7, 8, 9]
    for index, (_, texts, reason) in enumerate(found):
        if index == place:
            assert reason is not None and BAD[values] in reason
        else:
            assert (texts, reason) == (("Ada", "3"), None)


def test_bytes_that_are_no_utf_8_are_that_rows_error() -> None:
    for bad in (b"\xff", b"\xed\xa0\x80", b"\xc3"):
        value = record(f'[{GOOD}, {{"name": "a?b"}}, {GOOD}]').replace(b"?", bad)
        found = rows_of(value)
        assert [reason is None for _, _, reason in found] == [True, False, True]
        assert "not UTF-8" in str(found[1][2]) and found[1][1][0].startswith("a\ufffd")


@pytest.mark.parametrize("values", ODD)
@pytest.mark.parametrize("more", ["", ', "sent": {"at": 5, "by": ["x"]}', r', "note": "\ud800"', ', "x": NaN'])
def test_odd_is_not_bad(values: str, more: str) -> None:
    assert rows_of(record(values, more=more)) == [(7, ODD[values], None)]
    assert rows_of(b"\xef\xbb\xbf" + record(f"[{GOOD},{values}]", more=more))[1] == (8, ODD[values], None)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "truncated"),
        (None, "truncated"),
        (b"no json", "malformed"),
        (b"[1]", "Expected `object`"),
        (b'{"row": 1, "values": {}}', "job_id"),
        (b'{"job_id": "j1", "values": {}}', "row"),
        (record("{}", 0), "from 1 to 2,147,483,647"),
        (record("{}", MOST_ROWS + 1), "from 1 to 2,147,483,647"),
        (record("{}", 1.5), "a whole number"),
        (record("{}", '"1"'), "a whole number"),
        (record("{}", "9" * 400), "row"),
        (record("{}", "9" * 5000), ""),
        (record('{"name": NaN}', "1, \"row\": 2"), "'row' twice"),
        (record(GOOD, "1, \"row\": 2"), "'row' twice"),
        (record(GOOD, "1, \"job_id\": \"j2\""), "'job_id' twice"),
        (record("{}")[:-1], "truncated"),
        (record("{}") + b"x", "trailing"),
        (record("[{},,{}]"), "malformed"),
        (record("[{},]"), "malformed"),
        (record("[{}}"), "malformed"),
        (record('{"name": "x}'), "truncated"),
        (record("[{}, {}]", MOST_ROWS), "a row number is at most"),
        (record(f"[{', '.join(['{}'] * (MOST_LIST + 1))}]"), "at most 1,000 rows"),
        (b"[" * 100_000, ""),
        (b'{"job_id": ' + b"[" * 3000 + b"]" * 3000 + b', "row": 1}', ""),
        (rb'{"job_id": "\ud800", "row": 1, "values": {}}', ""),
        (b'{"job_id": "No Job", "row": 1, "values": {}}', "is no job id"),
    ],
)  # fmt: skip
def test_a_record_whose_rows_are_not_known_is_refused(value: bytes | None, reason: str) -> None:
    with pytest.raises(UndecodableError) as refused:
        read_record(value, MOST)
    assert reason in str(refused.value)
    str(refused.value).encode()


def test_values_that_are_none_are_the_rows_error() -> None:
    for value in (record("[]"), record('"x"'), record("null"), b'{"job_id": "j1", "row": 7}'):
        ((number, texts, reason),) = rows_of(value)
        assert (number, texts) == (7, ("", "")) and reason
    ((_, _, reason),) = rows_of(record(GOOD, more=f', "values": {GOOD}'))
    assert "'values' twice" in str(reason)


anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(), max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=300)
@given(st.lists(anything, min_size=1, max_size=5), st.booleans())
def test_any_values_leave_their_neighbours_alone(rows: list[Any], ascii_only: bool) -> None:
    listed = [part for row in rows for part in (row, {"name": "Ada", "size": 3})]
    text = json.dumps({"job_id": "j1", "row": 7, "values": listed}, ensure_ascii=ascii_only)
    found = rows_of(text.encode(errors="surrogatepass"))
    assert [number for number, _, _ in found] == list(range(7, 7 + len(listed)))
    assert all((texts, reason) == (("Ada", "3"), None) for _, texts, reason in found[1::2])
    for row, (_, _, reason) in zip(rows, found[::2], strict=True):
        if not isinstance(row, dict):
            assert reason


PIECES = [b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"\\ud8", b"NaN", b"\xff", b"\n", b" "]


@settings(max_examples=500)
@given(st.data())
def test_any_bytes_are_rows_or_refused(data: st.DataObject) -> None:
    value = bytearray(record(f"[{GOOD}, {GOOD}]"))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(value)))
        value[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3) | st.sampled_from(PIECES))
    try:
        rows_of(bytes(value), job_id=None)
    except UndecodableError as error:
        str(error).encode()
