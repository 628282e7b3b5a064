"""Other quotes and escape characters become those of RFC 4180, whatever the pieces a file comes in."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csvfile.errors import CsvFileError
from csvfile.header import HEAD_BYTES
from csvfile.layout import Layout, Quoting
from csvfile.requoting import Requoter

VALUE = st.text(st.sampled_from("a\u00e4'\"\\\\,;\n |"), max_size=6)


def requoted(data: bytes, quoting: Quoting, step: int) -> bytes:
    requoter = Requoter(quoting)
    pieces = [requoter.feed(data[at : at + step]) for at in range(0, len(data), step)]
    return b"".join([*pieces, requoter.feed(b"", last=True)])


def written(value: str, quoting: Quoting, style: int) -> str:
    """A value as another program may write it."""
    delimiter, quote, escape = (
        (quoting.layout.delimiter or b"").decode(),
        quoting.quote.decode(),
        quoting.escape.decode(),
    )
    if style and quote:
        value = value.replace(escape, 2 * escape) if escape else value
        return quote + value.replace(quote, escape + quote if escape and style > 1 else 2 * quote) + quote
    return "".join(escape + sign if sign in (delimiter, quote, escape, "\r", "\n") else sign for sign in value)


@given(
    st.lists(st.lists(st.tuples(VALUE, st.integers(0, 2)), min_size=2, max_size=4), min_size=1, max_size=5),
    st.sampled_from([(b"'", b"\\"), (b'"', b"\\"), (b"'", b""), (b"", b"|"), (b"^", b"^"[:0])]),
    st.sampled_from([b",", b";"]),
    st.integers(1, 9),
)
def test_what_another_program_writes_is_read_as_it_was(
    rows: list[list[tuple[str, int]]], signs: tuple[bytes, bytes], delimiter: bytes, step: int
) -> None:
    quoting = Quoting(Layout(delimiter), *signs)
    text = "".join(
        delimiter.decode().join(written(value, quoting, style if signs[1] else 1) for value, style in row) + "\n"
        for row in rows
    )
    made = requoted(text.encode(), quoting, step).decode()
    found = list(csv.reader(io.StringIO(made, newline=""), delimiter=delimiter.decode(), strict=True))
    assert found == [[value for value, _ in row] for row in rows]
    assert made.count("\n") == text.count("\n"), "each row keeps its line"


def test_lines_in_front_and_a_last_line_without_an_end_stay_as_they_are() -> None:
    quoting = Quoting(Layout(b",", 1, b"#"), b"'", b"")
    data = b"\xef\xbb\xbfIt's 'open\n# 'so\nid,'name'\r\n1,'x'"
    assert requoted(data, quoting, 3) == b"\xef\xbb\xbfIt's 'open\n# 'so\nid,name\r\n1,x"


def test_a_line_that_tells_the_delimiter_stays_as_it_is() -> None:
    """In quotes as well: the header's reader knows those of RFC 4180 alone."""
    quoting = Quoting(Layout(b";", 0, b"#"), b"'", b"")
    for front in (b'"sep=;"\r\n', b'#\n\n"sep=;";;\n# "so"\n\n'):
        assert requoted(front + b"'id';b\"\n", quoting, 3) == front + b'id;"b"""\n'


@pytest.mark.parametrize("behind", [b"x", b'"', b'"b"', b"x'", b' "'])
def test_text_behind_a_closing_quote_can_not_become_part_of_the_value(behind: bytes) -> None:
    made = requoted(b"a,b\n1,'v'" + behind + b"\n", Quoting(Layout(b","), b"'", b""), 4)
    with pytest.raises(csv.Error):
        list(csv.reader(io.StringIO(made.decode(), newline=""), strict=True))


def test_bytes_that_are_no_text_stay_for_the_reader_to_tell() -> None:
    assert requoted(b"a,'\xff'\n", Quoting(Layout(b","), b"'", b""), 2) == b"a,\xff\n"


def test_an_early_look_needs_no_more_bytes_than_there_are() -> None:
    requoter = Requoter(Quoting(Layout(b",", 1, b"#"), b"'", b""))
    assert requoter.feed(b"It's\n#'\nid,'na") == b""
    assert requoter.feed(b"me'\n'1','x", early=True) == b"It's\n#'\nid,name\n1,"


@pytest.mark.parametrize("rest", [b"x" * 2**21, b"\n" * 2**21])
def test_a_quote_left_open_is_told_before_the_end(rest: bytes) -> None:
    with pytest.raises(CsvFileError, match="the value that begins on line 2 does not end: it goes on for 1024 KiB"):
        requoted(b"a,b\n1,'" + rest, Quoting(Layout(b","), b"'", b""), 2**16)


def test_a_long_value_in_small_pieces_is_looked_at_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []
    requoter = Requoter(Quoting(Layout(b","), b"'", b""))
    value = requoter._value

    class Counting:
        def match(self, text: bytes, at: int) -> Any:
            looked.append(len(text) - at)
            return value.match(text, at)

    requoter._value = Counting()  # type: ignore[assignment]
    made = [requoter.feed(b"a,b\n1,'" + b"x" * HEAD_BYTES), *(requoter.feed(b"x") for _ in range(50_000))]
    made.append(requoter.feed(b"'\n", last=True))
    assert b"".join(made) == b"a,b\n1," + b"x" * (HEAD_BYTES + 50_000) + b"\n"
    assert sum(looked) < 10 * HEAD_BYTES
