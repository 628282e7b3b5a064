"""Checks of one column, compiled once from its schema: text in, the value to store or a reason out.

Each column has two forms. `fast` says whether a whole column of a block is good in a few calls that run in C;
`explain` looks at one value and says what is wrong with it. Most blocks are good, and never reach `explain`.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from schemas.datasets import Field

Convert = Callable[[str], Any]

EMAIL = re.compile(r"^[^@\s,;<>()\[\]\\\"]++@[^@\s.,;<>()]++(?:\.[^@\s.,;<>()]++)+\Z")
"""Deliberately wide: one @, a dotted domain, no spaces. Only sending a message proves an address."""
PHONE = re.compile(r"^\+?[0-9(][0-9 ().\-/]{3,30}[0-9]\Z")
_INTEGER = re.compile(r"^[+-]?\d{1,18}\Z")
_NUMBER = re.compile(r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?\Z")
_DATE = re.compile(r"^\d{4}-\d\d-\d\d\Z")
_DATETIME = re.compile(r"^\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?)?\Z")
_TRUE = {"true", "True", "TRUE", "1"}
_FALSE = {"false", "False", "FALSE", "0"}


class BadValueError(ValueError):
    """A value that does not fit its column; the message says why, in words for the file's owner."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column's compiled checks."""

    name: str
    required: bool
    convert: Convert | None
    """Text to the value to store; None: the text itself is stored. Raises BadValueError."""
    shape: re.Pattern[str] | None
    shape_reason: str
    pattern: re.Pattern[str] | None
    enum: frozenset[str] | None
    min_length: int
    max_length: int
    parse: Callable[[str], Any] | None = None
    """For values that are stored as they are: a function in C that raises ValueError for those that make no sense."""
    plain: re.Pattern[str] | None = None
    """With `parse`: the shape of values that are stored as they are."""

    def fast(self, values: Sequence[str]) -> Sequence[Any] | None:
        """A whole column's values to store, where all of them are good; None: look at each."""
        distinct = set(values)  # countries and colours come again and again
        blanks = "" in distinct
        if blanks:
            if self.required or self.convert is not None:
                return None
            distinct.discard("")
        lengths = set(map(len, distinct))
        if lengths and (min(lengths) < self.min_length or max(lengths) > self.max_length):
            return None
        plain = self.plain is not None and all(map(self.plain.match, distinct))
        if not plain and self.shape is not None and not all(map(self.shape.match, distinct)):
            return None
        if self.pattern is not None and not all(map(self.pattern.match, distinct)):
            return None
        if self.enum is not None and not self.enum.issuperset(distinct):
            return None
        if self.convert is None:
            return [value or None for value in values] if blanks else values
        try:
            if plain and self.parse is not None:
                deque(map(self.parse, distinct), maxlen=0)
                return values
            return list(map(self.convert, values))
        except ValueError:
            return None

    def explain(self, text: str) -> Any:
        """The value to store; an empty text is None.

        Raises:
            BadValueError: the value does not fit, and why.
        """
        if not text:
            if self.required:
                raise BadValueError("is required, but empty")
            return None
        if len(text) < self.min_length:
            raise BadValueError(f"is {len(text)} characters long; at least {self.min_length} are needed")
        if len(text) > self.max_length:
            raise BadValueError(f"is {len(text)} characters long; at most {self.max_length} are allowed")
        if self.shape is not None and not self.shape.match(text):
            raise BadValueError(self.shape_reason)
        if self.pattern is not None and not self.pattern.match(text):
            raise BadValueError(f"does not match the pattern {self.pattern.pattern}")
        value = text if self.convert is None else self.convert(text)
        if self.enum is not None and text not in self.enum:
            raise BadValueError(f"is none of {', '.join(sorted(self.enum))}")
        return value


def compile_column(field: Field) -> Column:
    """The checks that a field's type, format and constraints stand for."""
    shape, reason, convert = _KINDS[field.type]
    if field.type in ("string", "any"):
        shape, reason = _FORMATS.get(field.format, (None, ""))
    if field.minimum is not None or field.maximum is not None:
        convert = _bounded(convert or str, field, convert is not None)
    parse, plain = _PARSED.get(field.type, (None, None)) if convert in (_date, _datetime) else (None, None)
    return Column(
        name=field.name,
        required=field.required,
        convert=convert,
        shape=shape,
        shape_reason=reason,
        pattern=re.compile(rf"(?:{field.pattern})\Z") if field.pattern else None,
        enum=frozenset(str(item) for item in field.enum) if field.enum else None,
        min_length=field.min_length or 0,
        max_length=field.max_length if field.max_length is not None else 32_000,
        parse=parse,
        plain=plain,
    )


def _bounded(convert: Convert, field: Field, converts: bool) -> Convert:
    low = convert(str(field.minimum)) if field.minimum is not None else None
    high = convert(str(field.maximum)) if field.maximum is not None else None

    def check(text: str) -> Any:
        value = convert(text)
        if low is not None and value < low:
            raise BadValueError(f"is less than {field.minimum}, the least allowed")
        if high is not None and value > high:
            raise BadValueError(f"is more than {field.maximum}, the most allowed")
        return value if converts else text

    return check


def _number(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise BadValueError("is too large for a number")
    return value


def _boolean(text: str) -> bool:
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise BadValueError("is neither true nor false")


def _date(text: str) -> str:
    try:
        date.fromisoformat(text)
    except ValueError as error:
        raise BadValueError("is no day of the calendar") from error
    return text


def _datetime(text: str) -> str:
    try:
        datetime.fromisoformat(text)
    except ValueError as error:
        raise BadValueError("is no day and time of the calendar") from error
    return text if " " not in text else text.replace(" ", "T")


_KINDS: dict[str, tuple[re.Pattern[str] | None, str, Convert | None]] = {
    "string": (None, "", None),
    "any": (None, "", None),
    "integer": (_INTEGER, "is not a whole number", int),
    "number": (_NUMBER, "is not a number", _number),
    "boolean": (None, "", _boolean),
    "date": (_DATE, "is not a date; write it YYYY-MM-DD", _date),
    "datetime": (_DATETIME, "is not a date and time; write it YYYY-MM-DDTHH:MM:SSZ", _datetime),
}
_PARSED: dict[str, tuple[Callable[[str], Any], re.Pattern[str]]] = {
    "date": (date.fromisoformat, _DATE),
    "datetime": (
        datetime.fromisoformat,
        re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)?\Z"),
    ),
}
_FORMATS: dict[str, tuple[re.Pattern[str], str]] = {
    "email": (EMAIL, "is not an email address"),
    "phone": (PHONE, "is not a phone number"),
}
