"""Looks at a column's JSON as a whole: whether each of its values is good, and stored as it is written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from processor.validation.linear_patterns import ValuePattern, at_least, compile_column
from schemas.descriptors.shapes import LONGEST_VALUE
from schemas.messages.codec import encode
from schemas.messages.packed_rows import JsonColumn


@dataclass(frozen=True, slots=True)
class ColumnScan:
    """What is looked for. It may fail to see that a column is good; never the other way."""

    patterns: tuple[Any, ...]
    lengths: tuple[int, int]
    """Characters of a value, at least and at most, as far as the patterns leave it open."""
    enough: Any | None
    """Matches a column whose values all have the least number of characters, which may be more bytes."""
    missing: tuple[frozenset[bytes], frozenset[bytes]]
    """The JSON of texts that stand for no value: as they are, and with a comma behind each."""
    choices: tuple[frozenset[bytes], frozenset[bytes]] | None
    """The JSON of the texts that are allowed, in both ways."""

    def fits(self, column: JsonColumn) -> bool:
        """Whether all values are good. None of them is changed when it is stored then."""
        text = column.text
        if b"\\" in text or not self._fit(column, text):
            return False
        missing = self.missing[column.comma]
        if missing and not missing.isdisjoint(column.pieces):
            return False
        if self.choices is not None and not self.choices[column.comma].issuperset(column.pieces):
            return False
        return all(pattern.fullmatch(text) is not None for pattern in self.patterns)

    def _fit(self, column: JsonColumn, text: bytes) -> bool:
        """Whether the values are neither too short nor, in bytes, too long."""
        least, most = self.lengths
        if not least and len(text) <= most:
            return True
        shortest, longest = column.lengths
        if shortest < least or longest > most:
            return False
        return self.enough is None or text.isascii() or self.enough.fullmatch(text) is not None


def column_scan(
    values: Sequence[ValuePattern | None],
    shortest: int,
    longest: int,
    missing: Iterable[str],
    choices: Iterable[str] | None,
) -> ColumnScan | None:
    """A scan for values that match all of these patterns, have from `shortest` to `longest` characters, and are none of
    `missing`, but one of `choices`. None: RE2 has no such pattern.
    """
    absent = set(missing)
    if "" in absent:
        absent.discard("")
        shortest = max(shortest, 1)
    known = [value for value in values if value is not None]
    least = 0 if any(value.shortest >= shortest for value in known) else shortest
    most = LONGEST_VALUE if any(value.longest <= longest for value in known) else longest
    wanted = [*known, at_least(least)] if least > 1 else known
    patterns = [compile_column(value) for value in wanted]
    if len(known) < len(values) or None in patterns:
        return None
    enough = patterns.pop() if least > 1 else None
    return ColumnScan(
        patterns=tuple(patterns),
        lengths=(least, most),
        enough=enough,
        missing=_pieces(absent),
        choices=None if choices is None else _pieces(choices),
    )


def _pieces(texts: Iterable[str]) -> tuple[frozenset[bytes], frozenset[bytes]]:
    encoded = frozenset(map(encode, texts))
    return encoded, frozenset(text + b"," for text in encoded)
