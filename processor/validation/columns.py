"""Checks of one column, compiled once from its schema: text in, the value to store or a reason out.

Each column has two forms. `fast` says whether a whole column of a block is good in a few calls that run in C;
`explain` looks at one value and says what is wrong with it. Most blocks are good, and never reach `explain`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from processor.validation import error_kinds
from processor.validation.column_scans import ColumnScan, column_scan
from processor.validation.exact_patterns import Match, matcher
from processor.validation.linear_patterns import translated
from processor.validation.parsing import BadValueError, Convert, Reading, reading
from schemas.descriptors.dates import moment
from schemas.descriptors.fields import Field
from schemas.descriptors.shapes import longest, own_pattern, shortest, too_high, too_low
from schemas.messages.packed_rows import JsonColumn

__all__ = ["BadValueError", "Column", "compile_column"]

_NO_DIGITS = str.maketrans("123456789", "000000000")
NAMED = 8
"""Allowed values that a reason names, at most."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column's compiled checks."""

    name: str
    required: bool
    reading: Reading
    convert: Convert | None
    """The reading's own, then missing values, bounds and choices; None: the text itself is stored."""
    matches: Match | None
    """The descriptor's own pattern."""
    pattern_reason: str
    choices: frozenset[str] | None
    """The allowed texts, if they are stored as they are."""
    min_length: int
    max_length: int
    missing: frozenset[str]
    shape_decides: bool = False
    """The shape and the lengths are all there is to check; no missing text has that shape."""
    scan: ColumnScan | None = None
    """Of values that are stored as they are written, if RE2 can look at them."""

    def whole(self, column: JsonColumn) -> Sequence[Any] | None:
        """As `fast`, for a column that is still JSON, and may stay so."""
        if self.scan is not None and self.scan.fits(column):
            return column
        return self.fast(column.values)

    def fast(self, values: Sequence[str]) -> Sequence[Any] | None:
        """A whole column's values to store, where all of them are good; None: look at each."""
        if self.shape_decides and values and self._all_shaped(values):
            return values
        distinct = set(values)  # countries and colours come again and again
        blanks = self.missing & distinct
        if blanks:
            if self.required:
                return None
            distinct -= blanks
        if not self._fit(set(map(len, distinct))):
            return None
        how = self.reading
        plain = how.plain is not None and all(map(how.plain.match, distinct))
        if not plain and how.shape is not None and not all(map(how.shape.match, distinct)):
            return None
        if self.matches is not None and not all(map(self.matches, distinct)):
            return None
        if self.choices is not None and not self.choices.issuperset(distinct):
            return None
        try:
            return self._stored(values, distinct, blanks, plain)
        except ValueError:
            return None

    def _all_shaped(self, values: Sequence[str]) -> bool:
        """Whether all are good, and stored as they are, as far as one look at the column's text tells. It may fail to
        see that they are; never the other way."""
        how = self.reading
        if how.column is not None:
            text = "\n".join(values)
            alone = text.count("\n") == len(values) - 1  # no text that is several with line ends between them
            return alone and how.column.match(text + "\n") is not None and self._fit(set(map(len, values)))
        if how.outline is None or not how.outline.match(values[0].translate(_NO_DIGITS)):
            return False  # a column that is written in another way is so from its first text on
        text = "\n".join(values)
        if how.unlike is not None and how.unlike in text:
            return False
        outlines = text.translate(_NO_DIGITS).split("\n")
        few = set(outlines)
        if len(outlines) != len(values) or not self._fit(set(map(len, few))) or not all(map(how.outline.match, few)):
            return False
        if how.parse is not None:
            try:
                deque(map(how.parse, values), maxlen=0)
            except ValueError:
                return False
        return True

    def _fit(self, lengths: set[int]) -> bool:
        return not lengths or (min(lengths) >= self.min_length and max(lengths) <= self.max_length)

    def _stored(self, values: Sequence[str], distinct: set[str], blanks: frozenset[str], plain: bool) -> Sequence[Any]:
        """The values to store; raises ValueError for one that makes no sense."""
        convert, parse = self.convert, self.reading.parse
        if plain and parse is not None and convert is self.reading.convert:
            deque(map(parse, distinct), maxlen=0)
            convert = None
        if convert is None:
            return [None if value in blanks else value for value in values] if blanks else values
        if not blanks and 2 * len(distinct) > len(values):
            return list(map(convert, values))
        known = {value: convert(value) for value in distinct}
        known.update(dict.fromkeys(blanks))
        return list(map(known.__getitem__, values))

    def sift(self, values: Sequence[str]) -> tuple[list[Any], dict[int, str]]:
        """The value to store of each, and by its place the reason for each that is bad."""
        known: dict[str, Any] = {}
        reasons: dict[str, str] = {}
        for text in set(values):
            try:
                known[text] = self.explain(text)
            except BadValueError as error:
                known[text] = None
                reasons[text] = str(error)
        bad = {place: reasons[text] for place, text in enumerate(values) if text in reasons} if reasons else {}
        return list(map(known.__getitem__, values)), bad

    def explain(self, text: str) -> Any:
        """The value to store; a missing one is None.

        Raises:
            BadValueError: the value does not fit, and why.
        """
        if text in self.missing:
            if self.required:
                raise BadValueError(error_kinds.missing(text))
            return None
        if len(text) < self.min_length:
            raise BadValueError(f"is {_characters(len(text))} long; at least {self.min_length} are needed")
        if len(text) > self.max_length:
            raise BadValueError(f"is {_characters(len(text))} long; at most {self.max_length} are allowed")
        if self.reading.shape is not None and not self.reading.shape.match(text):
            raise BadValueError(self.reading.shape_reason)
        if self.matches is not None and not self.matches(text):
            raise BadValueError(self.pattern_reason)
        if self.choices is not None and text not in self.choices:
            raise BadValueError(_none_of(self.choices))
        try:
            return text if self.convert is None else self.convert(text)
        except ValueError as error:
            raise BadValueError(str(error)) from error


def compile_column(field: Field) -> Column:
    """The checks that a field's type, format and constraints stand for."""
    how, own = reading(field), own_pattern(field)
    convert = how.convert
    if field.minimum is not None or field.maximum is not None:
        convert = _bounded(convert, field)
    choices = frozenset(field.enum) if field.enum and how.convert is None else None
    if field.enum and convert is not None and how.convert is not None:
        convert = _chosen(convert, frozenset(field.enum))
    if convert is not None and (absent := _absent(how, field)):
        convert = _present(convert, absent, field.required)
    return Column(
        name=field.name,
        required=field.required,
        reading=how,
        convert=convert,
        matches=None if own is None else matcher(own.pattern),
        pattern_reason="" if own is None else own.reason,
        choices=choices,
        min_length=shortest(field),
        max_length=longest(field),
        missing=frozenset(field.missing),
        scan=_scan(field, how, convert, choices),
        shape_decides=how.shape is not None
        and not (field.pattern or field.enum)
        and convert is how.convert
        and not any(map(how.shape.match, field.missing)),
    )


def _scan(field: Field, how: Reading, convert: Convert | None, choices: frozenset[str] | None) -> ColumnScan | None:
    """For values that are stored as they are written; None: there is none for this field."""
    if convert is not how.convert or (convert is not None and how.verbatim is None):
        return None
    bodies = [how.verbatim] if how.shape is not None else []
    if (own := own_pattern(field)) is not None:
        bodies.append(translated(own.pattern))
    return column_scan(bodies, shortest(field), longest(field), field.missing, choices)


def _absent(how: Reading, field: Field) -> frozenset[Any]:
    """Values that a missing text would stand for, were it not missing; words for true and false have no other forms."""
    found = set()
    if how.convert is None or field.type == "boolean":
        return frozenset()
    for text in field.missing:
        if how.shape is None or how.shape.match(text):
            with suppress(ValueError):
                found.add(how.convert(text))
    return frozenset(found)


def _present(convert: Convert, absent: frozenset[Any], required: bool) -> Convert:
    """Where 0 is a missing text, 00 and +0 are missing too: an export would write them as 0."""

    def check(text: str) -> Any:
        value = convert(text)
        if value not in absent:
            return value
        if required:
            raise BadValueError(error_kinds.missing(text))
        return None

    return check


def _bounded(convert: Convert | None, field: Field) -> Convert:
    measure: Convert = moment if field.type == "datetime" else lambda value: value
    low = measure(field.minimum) if field.minimum is not None else None
    high = measure(field.maximum) if field.maximum is not None else None

    def check(text: str) -> Any:
        value = text if convert is None else convert(text)
        measured = measure(value)
        if low is not None and measured < low:
            raise BadValueError(too_low(field.minimum))
        if high is not None and measured > high:
            raise BadValueError(too_high(field.maximum))
        return value

    return check


def _chosen(convert: Convert, choices: frozenset[Any]) -> Convert:
    def check(text: str) -> Any:
        value = convert(text)
        if value not in choices:
            raise BadValueError(_none_of(choices))
        return value

    return check


def _none_of(choices: frozenset[Any]) -> str:
    named = sorted(map(str, choices))
    more = f" and {len(named) - NAMED} others" if len(named) > NAMED else ""
    return f"is none of {', '.join(named[:NAMED])}{more}"


def _characters(count: int) -> str:
    return "1 character" if count == 1 else f"{count:,} characters"
