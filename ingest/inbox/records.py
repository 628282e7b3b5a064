"""Records of the inbox: read, and their values as the text that a CSV file would have. Pure.

Nearly all records are decoded many in one call, or else each in one call. For the others `odd_records.py` decodes each
row by itself, so that a fault within a row is an error of that row alone.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import msgspec

from ingest.inbox.odd_records import read_odd
from schemas.bounds import MOST_ROWS, InboxRowNumber
from schemas.ids import JOB_ID
from schemas.messages.blocks import ABSENT
from schemas.messages.codec import UndecodableError, decode
from schemas.messages.inbox import InboxRow, Value

_NAMED_COLUMNS = 50
"""Columns that a problem lists, at most: each row of a block may have one."""


class PlainRow(msgspec.Struct, gc=False):
    """A single row of texts, as nearly all are: quicker to read than any InboxRow."""

    job_id: str
    row: InboxRowNumber
    values: dict[str, str]


class Arrival(msgspec.Struct, gc=False):
    """What a record says."""

    job_id: str
    row: int
    """Number of its first row."""
    values: Sequence[Mapping[str, Value]]
    """The values of each row."""
    problems: Mapping[int, str] | None = None
    """Index in `values` -> why that row can't be read, though it is known which one it is."""
    plain: bool = False
    """The record is one row, and every value is a text."""

    def rows(self) -> Iterable[tuple[int, Mapping[str, Value], str | None]]:
        """Each row with its number, and why it can't be read."""
        if self.plain:
            return ((self.row, self.values[0], None),)
        problems = self.problems or {}
        return [(self.row + index, values, problems.get(index)) for index, values in enumerate(self.values)]


_plain = msgspec.json.Decoder(PlainRow).decode
_plain_list = msgspec.json.Decoder(list[PlainRow]).decode
_top = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def read_plain(values: Sequence[bytes]) -> list[PlainRow] | None:
    """What records say each of which is a single row of texts; None: some are not, or may not be.

    Their job ids may be of any form.
    """
    text = b"[%b]" % b",\n".join(values)
    between = len(values) - 1
    # No such row has an object behind a comma. So every record begins with a row; and as there are as many rows as
    # records, that is all there is in it.
    if not (text.startswith(b"[{") and text.count(b"\n") == between == text.count(b",\n{")):
        return None
    try:
        rows = _plain_list(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    names = 3 * len(rows) + sum(len(row.values) for row in rows)
    return rows if len(rows) == len(values) and _names_are_single(text, names) else None


def read_record(value: bytes | None, most_bytes: int) -> Arrival:
    """The row or rows in a record of the inbox.

    Raises:
        UndecodableError: it can't even be known which row of which job it is, or it holds too many rows.
    """
    arrival = _read(value or b"")
    if not JOB_ID.match(arrival.job_id):
        raise UndecodableError(f"{arrival.job_id[:80]!r} is no job id")
    if arrival.row + len(arrival.values) - 1 > MOST_ROWS:
        raise UndecodableError(f"a row number is at most {MOST_ROWS}")
    if value and len(value) > most_bytes:
        arrival = _without_large_rows(arrival, len(value), most_bytes)
    return arrival


def _read(value: bytes) -> Arrival:
    try:
        plain = _plain(value)
        if _names_are_single(value, 3 + len(plain.values)):
            return Arrival(plain.job_id, plain.row, (plain.values,), plain=True)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass
    if value.startswith(codecs.BOM_UTF8):
        value = value[len(codecs.BOM_UTF8) :]
    problem = None
    try:
        row: InboxRow = decode(value, InboxRow)
        rows = (row.values,) if isinstance(row.values, Mapping) else row.values
        names = sum(map(len, rows))
        if _names_are_single(value, 3 + names) or _names_are_single(value, len(_top(value)) + names):
            return Arrival(row.job_id, row.row, rows)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        problem = str(error)
    odd = read_odd(value, problem)
    return Arrival(odd.job_id, odd.row, odd.values, odd.problems)


def _names_are_single(value: bytes, names: int) -> bool:
    """Whether surely no object with so many different names has one twice, of a record or of all objects of several
    records; False: perhaps one has.

    Of names that come twice a decoder keeps the last. Each ends with a quote and a colon, which texts may hold as well.
    """
    return value.count(b":") == names or value.translate(None, b" \t\r\n").count(b'":') == names


def _without_large_rows(arrival: Arrival, size: int, most_bytes: int) -> Arrival:
    """Rows that are too large become rows without values. A record with one row is as large as that."""
    single = len(arrival.values) == 1
    large = {
        index
        for index, values in enumerate(arrival.values)
        if single or sum(len(text) for text in values.values() if isinstance(text, str)) > most_bytes
    }
    if not large:
        return arrival
    reason = f"the row takes more than {most_bytes} bytes, which is the most a row may take"
    values = [{} if index in large else row for index, row in enumerate(arrival.values)]
    return Arrival(arrival.job_id, arrival.row, values, {**(arrival.problems or {}), **dict.fromkeys(large, reason)})


class RowMaker:
    """Rows for one order of columns."""

    def __init__(self, columns: Sequence[str], absent: Mapping[str, str] | None = None) -> None:
        """`absent`: column -> the text of a row that does not have it, where that is not an empty one."""
        self._columns = tuple(columns)
        self._absent = absent or {}
        self._known = frozenset(columns)
        self._marks_absent = ABSENT in self._absent.values()
        self.least_bytes = 4 * (len(self._columns) + 1) + sum(len(text.encode()) for text in self._absent.values())
        """Bytes that a row without values takes in a block, at least."""
        self._get: Callable[[Any], tuple[Value, ...]] = (
            itemgetter(*columns) if len(columns) > 1 else lambda values: (values[columns[0]],)
        )

    def plain_texts(self, rows: Sequence[Mapping[str, str]]) -> list[tuple[str, ...]] | None:
        """The values of each row in the order of the columns; None: `texts` has more to say of some row."""
        if set(map(len, rows)) != {len(self._columns)}:
            return None
        try:
            found: list[Any] = list(map(self._get, rows))
        except KeyError:
            return None
        return None if self._marks_absent and any(ABSENT in row for row in found) else found

    def texts(self, values: Mapping[str, Value], plain: bool = False) -> tuple[Sequence[str], str | None]:
        """The values in the order of the columns, a missing one as its text; and what is wrong with the row.

        `plain`: every value is known to be a text.
        """
        if len(values) == len(self._columns):
            try:
                row = self._get(values)
            except KeyError:
                pass
            else:
                if (plain or set(map(type, row)) == {str}) and not (self._marks_absent and ABSENT in row):
                    return row, None  # type: ignore[return-value]
        unknown = [name for name in values if name not in self._known]
        problem = None
        if unknown:
            shown = ", ".join(self._columns[:_NAMED_COLUMNS])
            problem = f"there is no column {unknown[0][:80]!r}; the columns are {shown}"
        texts = []
        for name in self._columns:
            text, wrong = _text(values[name]) if name in values else (self._absent.get(name, ""), None)
            if name in values and text == ABSENT and self._marks_absent:
                text, wrong = "", "a text of NUL alone can't be a value; leave the field out, or send null"
            texts.append(text)
            if wrong and problem is None:
                problem = f"column {name!r}: {wrong}"
        return texts, problem


def _text(value: Value) -> tuple[str, str | None]:
    match value:
        case str():
            return value, None
        case None:
            return "", None
        case bool():
            return "true" if value else "false", None
        case _:
            try:
                return str(value), None
            except ValueError:  # so many digits that Python refuses
                return "", "a number of thousands of digits can't be a value; send it as a text"
