"""One record of the inbox: read, and its values as the text that a CSV file would have. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Annotated, Any

import msgspec

from schemas.codec import UndecodableError, decode
from schemas.ids import JOB_ID
from schemas.inbox import MOST_ROWS, InboxRow, Value


class _Plain(msgspec.Struct):
    """A single row of texts, as nearly all are: quicker to read than any InboxRow."""

    job_id: str
    row: Annotated[int, msgspec.Meta(ge=1, le=MOST_ROWS)]
    values: dict[str, str]


class _Head(msgspec.Struct):
    """Enough of a record to know whose row it is."""

    job_id: str
    row: Annotated[int, msgspec.Meta(ge=1, le=MOST_ROWS)]


@dataclass(slots=True)
class Arrival:
    """What a record says."""

    job_id: str
    row: int
    """Number of its first row."""
    values: Mapping[str, Value] | Sequence[Mapping[str, Value]]
    problem: str | None = None
    """Why its row can't be read, though it is known which one it is."""

    def rows(self) -> Iterator[tuple[int, Mapping[str, Value]]]:
        """Each row with its number."""
        if isinstance(self.values, Mapping):
            yield self.row, self.values
        else:
            yield from enumerate(self.values, start=self.row)


_plain = msgspec.json.Decoder(_Plain).decode


def read_record(value: bytes | None, most_bytes: int) -> Arrival:
    """The row or rows in a record of the inbox.

    Raises:
        UndecodableError: it can't even be known which row of which job it is.
    """
    try:
        plain = _plain(value or b"")
        arrival = Arrival(plain.job_id, plain.row, plain.values)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        arrival = _read_odd(value)
    if not JOB_ID.match(arrival.job_id):
        raise UndecodableError(f"{arrival.job_id[:80]!r} is no job id")
    if isinstance(arrival.values, Mapping) and len(value or b"") > most_bytes:
        problem = f"the row takes more than {most_bytes} bytes, which is the most a row may take"
        return Arrival(arrival.job_id, arrival.row, {}, problem)
    if arrival.row + (0 if isinstance(arrival.values, Mapping) else len(arrival.values) - 1) > MOST_ROWS:
        raise UndecodableError(f"a row number is at most {MOST_ROWS}")
    return arrival


def _read_odd(value: bytes | None) -> Arrival:
    try:
        row: InboxRow = decode(value, InboxRow)
    except UndecodableError as error:
        try:
            head: _Head = decode(value, _Head)
        except UndecodableError:
            raise error from None
        return Arrival(head.job_id, head.row, {}, f"the row can't be read: {error}")
    return Arrival(row.job_id, row.row, row.values)


class RowMaker:
    """Rows for one order of columns."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = tuple(columns)
        self._known = frozenset(columns)
        self._get: Callable[[Any], tuple[Value, ...]] = (
            itemgetter(*columns) if len(columns) > 1 else lambda values: (values[columns[0]],)
        )

    def texts(self, values: Mapping[str, Value]) -> tuple[Sequence[str], str | None]:
        """The values in the order of the columns, a missing one as an empty text; and what is wrong with the row."""
        if len(values) == len(self._columns):
            try:
                row = self._get(values)
            except KeyError:
                pass
            else:
                if set(map(type, row)) == {str}:
                    return row, None  # type: ignore[return-value]
        unknown = [name for name in values if name not in self._known]
        problem = None
        if unknown:
            problem = f"there is no column {unknown[0][:80]!r}; the columns are {', '.join(self._columns)}"
        return [_text(values.get(name)) for name in self._columns], problem


def _text(value: Value) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case _:
            return str(value)
