"""The JSON of a block's rows, written so that a worker finds each value without decoding it.

Each row is ``[⇥"a",⇥"b"⇥]``, with a tab (⇥) behind ``[``, behind each comma and before ``]``; behind the comma between
two rows stands a line end. JSON allows both there, and has them escaped in a text, so that whatever reads JSON reads
these rows, and a split at tabs gives the values, however odd they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, Final, overload

import msgspec

ROW_BEGIN: Final = b"[\t"
ROW_END: Final = b"\t]"
BETWEEN_VALUES: Final = b",\t"
BETWEEN_ROWS: Final = b",\n"
_BETWEEN: Final = b"],\n["
_FIRST: Final = b"[" + ROW_BEGIN
_rows = msgspec.json.Decoder(list[list[str]]).decode
_values = msgspec.json.Decoder(list[str]).decode
_encode_lines = msgspec.json.Encoder().encode_lines
_ROW_ENDS: Final = msgspec.Raw(b"]")


def packed_row(values: Sequence[str]) -> bytes:
    """One row, to be joined with others by `BETWEEN_ROWS`, with brackets around all of them."""
    return ROW_BEGIN + _encode_lines(values)[:-1].replace(b"\n", BETWEEN_VALUES) + ROW_END


def packed_rows(rows: Sequence[Sequence[str]]) -> bytes:
    """The array of these rows, of which there is one or more."""
    if not all(rows):
        return b"[%b]" % BETWEEN_ROWS.join(map(packed_row, rows))
    values: list[object] = []
    for row in rows:
        values += row
        values.append(_ROW_ENDS)
    text = _encode_lines(values).replace(b"\n", BETWEEN_VALUES)
    # No text has a tab in its JSON, so what looks like the end of a row is one.
    text = text.replace(BETWEEN_VALUES + b"]" + BETWEEN_VALUES, ROW_END + BETWEEN_ROWS + ROW_BEGIN)
    return _FIRST + text[: -len(BETWEEN_ROWS + ROW_BEGIN)] + b"]"


class JsonColumn(Sequence[str]):
    """A column's values, as the JSON of each. It decodes them where they are asked for."""

    def __init__(self, pieces: list[bytes], comma: bool) -> None:
        """`pieces`: the JSON text of each value; `comma`: there is a comma behind each of them."""
        self.pieces = pieces
        self.comma = comma

    @property
    def text(self) -> bytes:
        """All of them, each with a comma behind it."""
        return b"".join(self.pieces) if self.comma else b",".join(self.pieces) + b","

    @property
    def lengths(self) -> tuple[int, int]:
        """The fewest bytes, and the most, that the JSON of a value has, without its quotes."""
        found = set(map(len, self.pieces))
        return min(found) - 2 - self.comma, max(found) - 2 - self.comma

    @cached_property
    def values(self) -> list[str]:
        """The values."""
        return _values(b"[%b]" % self.text[:-1])

    def __len__(self) -> int:
        return len(self.pieces)

    @overload
    def __getitem__(self, place: int) -> str: ...

    @overload
    def __getitem__(self, place: slice) -> list[str]: ...

    def __getitem__(self, place: int | slice) -> str | list[str]:
        return self.values[place]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values)


def only(values: Sequence[Any], places: Sequence[int]) -> Sequence[Any]:
    """The values of a column at these places."""
    if isinstance(values, JsonColumn):
        return JsonColumn([values.pieces[place] for place in places], values.comma)
    return [values[place] for place in places]


class PackedRows(Sequence[list[str]]):
    """Rows as their JSON in the form above. It decodes them where they are asked for."""

    def __init__(self, text: bytes) -> None:
        """`text`: an array of one row or more, in this form."""
        self.text = text
        self._length = text.count(b"\n") + 1

    @staticmethod
    def fit(text: bytes) -> bool:
        """Whether the JSON array `text`, made by a reader, has this form: all of its rows have it, or none."""
        return text.startswith(_FIRST)

    def columns(self, width: int) -> list[JsonColumn] | None:
        """The columns, if every row has `width` values."""
        pieces = self.text.split(b"\t")
        if len(pieces) != self._length * (width + 1) + 1:
            return None
        if pieces[width + 1 : -1 : width + 1].count(_BETWEEN) != self._length - 1:
            return None
        return [JsonColumn(pieces[place :: width + 1], place < width) for place in range(1, width + 1)]

    @cached_property
    def rows(self) -> list[list[str]]:
        """The rows."""
        return _rows(self.text)

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, PackedRows | list) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # as a list

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, place: int) -> list[str]: ...

    @overload
    def __getitem__(self, place: slice) -> list[list[str]]: ...

    def __getitem__(self, place: int | slice) -> list[str] | list[list[str]]:
        return self.rows[place]

    def __iter__(self) -> Iterator[list[str]]:
        return iter(self.rows)


def read_rows(text: bytes) -> Sequence[list[str]]:
    """The rows of a JSON array that a reader made: decoded where it has another form. Raises msgspec.DecodeError."""
    return PackedRows(text) if PackedRows.fit(text) else _rows(text)
