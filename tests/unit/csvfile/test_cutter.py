"""Cutting CSV into blocks: the same rows as csv.reader's, and the same blocks from wherever one begins."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from csvfile.cutter import Cut, Limits, Place, cut
from csvfile.errors import CsvFileError
from csvfile.grammar import LineCounter
from csvfile.oversized_rows import QUOTE_SPAN_BYTES
from schemas.messages.packed_rows import BETWEEN_ROWS, packed_row

TEXT = st.text(st.sampled_from('ab7 ,;\t"\\\n\r\0\x0b\x1c\x7f\x85é\u2028漢😀'), max_size=8)
TABLES = st.lists(st.lists(TEXT, min_size=1, max_size=4), max_size=30)
QUOTING = st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
LINE_END = st.sampled_from(["\n", "\r\n", "\r"])
TOP = Place(0, 0)
DELIMITER = st.sampled_from([",", ";", "\t"])
SOUP = st.lists(
    st.sampled_from(
        [b"a", b"bc", b",", b",", b'"', b'""', b"\n", b"\n", b"\r\n", b"\r", b"\\", b"\0", b"\xff", "é".encode()]
    ),
    max_size=60,
).map(b"".join)


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def blocks(data: bytes, limits: Limits, start: Place = TOP, piece: int = 1 << 18, delimiter: bytes = b",") -> list[Cut]:
    return [part for part in cut(pieces(data[start.bytes :], piece), start, delimiter, limits) if part is not None]


def rows_of(parts: list[Cut]) -> list[list[str]]:
    return [row for part in parts for row in json.loads(part.rows_json)]


def lines_of(part: Cut) -> list[int]:
    return part.lines or [part.first_line + index for index in range(part.rows)]


def packed(rows: list[list[str]]) -> bytes:
    return b"[%b]" % BETWEEN_ROWS.join(map(packed_row, rows))


def oracle(text: str, delimiter: str = ",") -> list[list[str]]:
    return [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row]


def write(table: list[list[str]], quoting: int, line_end: str, delimiter: str, blank_after: set[int]) -> str:
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=quoting, lineterminator=line_end, delimiter=delimiter)  # type: ignore[arg-type]
    for index, row in enumerate(table):
        writer.writerow(row)
        if index in blank_after:
            out.write(line_end)
    return out.getvalue()


@given(TABLES, QUOTING, LINE_END, DELIMITER, st.sets(st.integers(0, 29)), st.integers(1, 9), st.integers(1, 64))
def test_rows_are_those_of_csv_reader(
    table: list[list[str]], quoting: int, line_end: str, delimiter: str, blank: set[int], rows: int, piece: int
) -> None:
    text = write(table, quoting, line_end, delimiter, blank)
    parts = blocks(text.encode(), Limits(rows, 4096), piece=piece, delimiter=delimiter.encode())
    assert rows_of(parts) == oracle(text, delimiter)
    assert all(part.rows == rows for part in parts[:-1])
    assert all(part.rows_json == packed(json.loads(part.rows_json)) for part in parts), "however a row was read"


@given(
    TABLES, QUOTING, LINE_END, st.sets(st.integers(0, 29)), st.integers(1, 9), st.integers(16, 80), st.integers(1, 99)
)
def test_any_checkpoint_and_any_pieces_give_the_same_blocks(
    table: list[list[str]], quoting: int, line_end: str, blank: set[int], rows: int, size: int, piece: int
) -> None:
    data = write(table, quoting, line_end, ",", blank).encode()
    limits = Limits(rows, size)
    whole = blocks(data, limits)
    assert blocks(data, limits, piece=piece) == whole
    for index, part in enumerate(whole):
        assert blocks(data, limits, part.end, piece) == whole[index + 1 :]


@given(SOUP, st.integers(1, 9), st.integers(8, 80), st.integers(1, 99))
@example(b'"a\n', 1, 8, 1)
@example(b"a\r\nb", 1, 2, 1)
def test_any_bytes_give_the_same_blocks_however_they_arrive(data: bytes, rows: int, size: int, piece: int) -> None:
    limits = Limits(rows, size)

    def attempt(start: Place, piece: int) -> tuple[list[Cut], str]:
        found: list[Cut] = []
        try:
            found.extend(part for part in cut(pieces(data[start.bytes :], piece), start, b",", limits) if part)
        except CsvFileError as error:
            return found, str(error)
        return found, ""

    whole, problem = attempt(TOP, 1 << 18)
    assert attempt(TOP, piece) == (whole, problem)
    for index, part in enumerate(whole):
        assert attempt(part.end, piece) == (whole[index + 1 :], problem)


@given(SOUP, st.integers(1, 9), st.integers(1, 99))
def test_any_bytes_are_read_as_csv_reader_does(data: bytes, rows: int, piece: int) -> None:
    text = data.decode(errors="replace")
    try:
        parts = blocks(data, Limits(rows, 4096), piece=piece)
    except CsvFileError:
        sentinel = oracle(text + "\nend")
        assert not sentinel or sentinel[-1] != ["end"]
        return
    assert rows_of(parts) == oracle(text)
    for part in parts:
        for index, row in enumerate(json.loads(part.rows_json)):
            assert index in part.unreadable or "\ufffd" not in "".join(row)


@given(TABLES, QUOTING, LINE_END, st.sets(st.integers(0, 29)), st.integers(1, 9))
def test_each_row_knows_its_line(
    table: list[list[str]], quoting: int, line_end: str, blank: set[int], rows: int
) -> None:
    text = write(table, quoting, line_end, ",", blank)
    parts = blocks(text.encode(), Limits(rows, 4096))
    physical = list(io.StringIO(text, newline=""))
    for part in parts:
        for row, line in zip(json.loads(part.rows_json), lines_of(part), strict=True):
            assert next(csv.reader(physical[line - 1 :])) == row
        assert part.end.lines == len(list(io.StringIO(text.encode()[: part.end.bytes].decode(), newline="")))


def test_a_block_keeps_both_limits() -> None:
    data = b"".join(b"%03d,abcdefghij\n" % n for n in range(100))  # 15 bytes each
    assert [part.rows for part in blocks(data, Limits(40, 4096))] == [40, 40, 20]
    assert {part.rows for part in blocks(data, Limits(500, 150))} == {10}
    assert {part.rows for part in blocks(data, Limits(500, 149))} == {9, 1}


def test_blocks_of_large_lines_and_many_rows_keep_the_row_limit() -> None:
    data = b"".join(b"x" * (n % 97) + b",y\n" for n in range(20_000))
    parts = blocks(data, Limits(500, 262_144), piece=10_000)
    assert {part.rows for part in parts} == {500}
    assert rows_of(parts) == oracle(data.decode())


def test_a_row_over_the_limit_is_unreadable_and_the_others_are_not() -> None:
    data = b"a,b\n" + b"x" * 5000 + b'\n"c\n' + b"y" * 9000 + b'",d\ne,f\n'
    for piece in (7, 1000, 100_000):
        parts = blocks(data, Limits(10, 4096), piece=piece)
        assert rows_of(parts) == [["a", "b"], [], [], ["e", "f"]]
        assert [part.first_line for part in parts] == [1, 2, 3, 5]
        assert "4096 bytes" in parts[1].unreadable[0]
        assert parts[-1].end == Place(len(data), 5)


def test_a_gigabyte_without_a_line_end_takes_little_memory() -> None:
    zeros = b"x" * 262_144
    steps = list(cut((zeros for _ in range(200)), TOP, b",", Limits(500, 262_144)))
    assert sum(step is not None for step in steps) == 1
    assert sum(step is None for step in steps) >= 50


@pytest.mark.parametrize("text", ['a,b\nc,"d\ne,f\n', 'a,b\nc,"d', 'a,b\nc,"d""\n'])
def test_a_quote_open_at_the_end_fails_and_names_its_line(text: str) -> None:
    found: list[Cut | None] = []
    with pytest.raises(CsvFileError, match="opens on line 2 is not closed: the file ends within it"):
        found.extend(cut(iter([text.encode()]), TOP, b",", Limits(10, 4096)))
    assert rows_of([part for part in found if part]) == [["a", "b"]], "what comes before is not lost"


def test_a_quote_open_for_too_long_fails_before_the_end() -> None:
    def endless() -> Iterator[bytes]:
        yield b'a,"b\n'
        for _ in range(QUOTE_SPAN_BYTES // 1000 + 100):
            yield b"x" * 999 + b"\n"
        raise AssertionError("read on")

    with pytest.raises(CsvFileError, match="opens on line 1 is not closed within 1024 KiB"):
        list(cut(endless(), TOP, b",", Limits(500, 262_144)))


def strict(data: bytes) -> tuple[list[tuple[list[str], bool]], bool]:
    """Rows as `csv.reader` reads them, each with whether its strict form accepts it; and whether all are closed."""
    lines = list(io.StringIO(data.decode(errors="replace"), newline=""))
    found, at = [], 0
    while at < len(lines):
        lenient = csv.reader(lines[at:])
        row = next(lenient)
        record, at = lines[at : at + lenient.line_num], at + lenient.line_num
        if not row:
            continue
        try:
            accepted = next(csv.reader(record, strict=True)) == row
        except csv.Error as error:
            if at == len(lines) and "unexpected end of data" in str(error):
                return found, False
            accepted = False
        found.append((row, accepted))
    return found, True


@given(SOUP, st.integers(1, 9), st.integers(12, 4096), st.integers(1, 99))
@example(b'"a"b,c\n"d""e",f\n', 9, 4096, 99)
@example(b'a,"b"c"\n', 9, 4096, 99)
@example(b'"a"b,"c\nd"\n', 9, 4096, 99)
def test_a_row_has_an_error_if_strict_csv_refuses_it(data: bytes, rows: int, size: int, piece: int) -> None:
    wanted, closed = strict(data)
    found: list[Cut] = []
    with suppress(CsvFileError):  # a quote is not closed
        found.extend(part for part in cut(pieces(data, piece), TOP, b",", Limits(rows, size)) if part)
        assert closed
        assert len(rows_of(found)) == len(wanted)
    reasons = [part.unreadable.get(index) for part in found for index in range(part.rows)]
    for row, reason, (values, accepted) in zip(rows_of(found), reasons, wanted, strict=False):
        if reason is not None and "bytes, which is the most" in reason:
            continue
        assert row == values
        assert ("closing quote" in (reason or "")) is not accepted


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (b'"a"b,c', 1),
        (b'a,"b"c', 2),
        (b'a,"b"c,d', 2),
        (b'"x,""y",z,"5" pipe"', 3),
        (b'"a" ,b', 1),
        (b'a,"b""c"d', 2),
    ],
)
def test_text_behind_a_closing_quote_is_named_by_its_value(line: bytes, value: int) -> None:
    (part,) = blocks(b"a,b\n" + line + b"\nc,d\n", Limits(10, 4096))
    assert list(part.unreadable) == [1]
    assert part.unreadable[1].startswith(f"value {value} is in quotes and has text after its closing quote")


def test_a_quote_in_an_unquoted_value_is_a_character() -> None:
    (part,) = blocks(b'5" pipe,b"\na"",c\n', Limits(10, 4096))
    assert (rows_of([part]), part.unreadable) == ([['5" pipe', 'b"'], ['a""', "c"]], {})


@given(st.lists(st.sampled_from([b"a", b"\n", b"\r", b"\r\n", b"bc", b""]), max_size=30), st.integers(1, 9))
def test_lines_are_counted_across_pieces(parts: list[bytes], piece: int) -> None:
    data, counter = b"".join(parts), LineCounter()
    for part in pieces(data, piece):
        counter.feed(part)
    assert counter.lines == len(list(io.StringIO(data.decode(), newline="")))


def test_one_long_row_may_be_more_than_a_block() -> None:
    data = b"a,b\n" + b"x" * 9000 + b",c\n" + b"y" * 20_000 + b",d\ne,f\n"
    for piece in (7, 1000, 100_000):
        parts = blocks(data, Limits(10, 4096).for_corrections(), piece=piece)
        assert rows_of(parts) == [["a", "b"], ["x" * 9000, "c"], [], ["e", "f"]]
        assert [part.first_line for part in parts] == [1, 2, 3, 4]
        assert "16384 bytes" in parts[2].unreadable[0]


def test_a_quote_left_open_does_not_swallow_rows_in_silence() -> None:
    (part,) = blocks(b'a,"b\nc,d\ne,"f",g\nh,i\n', Limits(10, 4096))
    assert "within these 3 lines" in part.unreadable[0]
    assert lines_of(part) == [1, 4]


def test_bytes_that_are_not_utf8_mark_their_row_only() -> None:
    (part,) = blocks(b"a,b\nc,\xe9d\ne,f\n", Limits(10, 4096))
    assert rows_of([part]) == [["a", "b"], ["c", "\ufffdd"], ["e", "f"]]
    assert list(part.unreadable) == [1]
    assert "not valid UTF-8 (value 2)" in part.unreadable[1]


def test_no_rows_make_no_blocks() -> None:
    assert blocks(b"", Limits(10, 4096)) == []
    assert blocks(b"\n\r\n\r\n\n", Limits(10, 4096), piece=1) == []
