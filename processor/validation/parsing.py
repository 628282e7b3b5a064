"""How a column's texts are read: what they have to look like, and the value to store, by type, format and signs."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

from processor.validation.linear_patterns import ValuePattern, translated
from schemas.descriptors.dates import DATE, PLAIN_DATETIME, require_offset, stored_date, stored_datetime
from schemas.descriptors.fields import MOST_DIGITS, Field
from schemas.descriptors.shapes import EMAIL, PHONE, plain_number, shape_of

Convert = Callable[[str], Any]

_EMAILS = re.compile(rf"(?:{EMAIL.pattern.removeprefix('^').removesuffix(chr(92) + 'Z')}\n)*+\Z")
"""A column of email addresses, with a line end behind each."""
UNAMBIGUOUS = (
    *("%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%d %b %Y", "%d %B %Y", "%d-%b-%Y", "%b %d, %Y", "%B %d, %Y", "%a, %d %b %Y"),
    *("%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%d %b %Y %H:%M:%S", "%d %b %Y %H:%M", "%a, %d %b %Y %H:%M:%S %z"),
)
"""Further ways of format ``any``: year first, or the month by its English name. 01/02/2026 would have to be guessed."""
_OUTLINE = re.compile(r"^0000-00-00T00:00:00(?:\.0{1,6})?Z?\Z")
"""The outline of a time that has no offset in figures, or is in UTC."""
_DAY = ValuePattern(
    "(?:000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])"
    "|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)",
    10,
    10,
)
"""A day of the calendar, except the 29th of February."""
_TIME = "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:[.][0-9]{1,6})?(?:Z|[+-](?:0[0-9]|1[0-7]):[0-5][0-9])?"
_EXAMPLE = datetime(2026, 1, 31, 10, 20, 30, tzinfo=UTC)


class BadValueError(ValueError):
    """A value that does not fit its column; the message says why, in words for the file's owner that go on after
    the column's name."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How texts become values."""

    convert: Convert | None = None
    """Text to the value to store; None: the text itself is stored. Raises ValueError, with the reason."""
    shape: re.Pattern[str] | None = None
    """What a text has to match, before it is converted."""
    shape_reason: str = ""
    parse: Convert | None = None
    """A function in C that raises ValueError for texts that make no sense; texts that pass are stored as they are."""
    plain: re.Pattern[str] | None = None
    """With `parse`: the shape of values that are stored as they are."""
    column: re.Pattern[str] | None = None
    """Matches a whole column, with a line end behind each text and none within, if each text has the shape."""
    outline: re.Pattern[str] | None = None
    """Of texts with 0 in the place of each digit, a few of which stand for a whole column: whether all texts with this
    outline have the shape, and are stored as they are if `parse` takes them. They hold no line end."""
    unlike: str | None = None
    """What a text with such an outline may not hold all the same."""
    verbatim: ValuePattern | None = None
    """What RE2 matches texts with that are good, and stored as they are written; not all of them need match."""


def reading(field: Field) -> Reading:
    """How a field's texts are read."""
    shape = shape_of(field)
    match field.type:
        case "boolean":
            return Reading(_boolean(field))
        case "integer" | "number" if shape is not None:
            return _numbers(field, *shape)
        case "date" if shape is not None:
            return Reading(stored_date, *shape, date.fromisoformat, DATE, outline=DATE, verbatim=_DAY)
        case "datetime" if shape is not None:
            parse, plain = datetime.fromisoformat, PLAIN_DATETIME
            times = ValuePattern(f"{_DAY.text}T{_TIME}", 19, 32)
            return Reading(stored_datetime, *shape, parse, plain, outline=_OUTLINE, unlike="T24", verbatim=times)
        case "date" | "datetime":
            return _dates(field)
        case _ if shape is None:
            return Reading()
        case _:
            column = _EMAILS if shape.pattern is EMAIL else None
            outline = PHONE if shape.pattern is PHONE else None
            verbatim = translated(shape.pattern, trusted=True)
            return Reading(None, *shape, column=column, outline=outline, verbatim=verbatim)


def _numbers(field: Field, shape: re.Pattern[str], reason: str) -> Reading:
    whole = field.type == "integer"
    if plain_number(field):
        return Reading(int if whole else _number, shape, reason)

    def convert(text: str) -> Any:
        found = shape.match(text)
        assert found is not None, "the shape is checked first"
        plain = found[1] + found[2].replace(field.group_char, "").replace(field.decimal_char, ".")
        if whole and len(plain) > MOST_DIGITS + len(found[1]):
            raise BadValueError(f"has more than {MOST_DIGITS} digits")
        return int(plain) if whole else _number(plain)

    return Reading(convert, shape, reason)


def _number(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise BadValueError("is too large for a number")
    return value


def _boolean(field: Field) -> Convert:
    known = {**dict.fromkeys(field.true_values, True), **dict.fromkeys(field.false_values, False)}
    words = f"write {field.true_values[0]!r} or {field.false_values[0]!r}"

    def convert(text: str) -> bool:
        try:
            return known[text]
        except KeyError:
            raise BadValueError(f"is neither true nor false; {words}") from None

    return convert


def _dates(field: Field) -> Reading:
    patterns = UNAMBIGUOUS if field.format == "any" else (field.format,)
    iso = reading(replace(field, format="default")) if field.format == "any" else None
    what = "date" if field.type == "date" else "date and time"
    how = "write it 2026-01-31, so that nobody has to guess" if iso else f"write it {_EXAMPLE.strftime(field.format)}"

    def convert(text: str) -> str:
        if iso is not None and iso.shape is not None and iso.convert is not None and iso.shape.match(text):
            return str(iso.convert(text))
        for pattern in patterns:
            try:
                value = datetime.strptime(text, pattern)
            except (ValueError, OverflowError):
                continue
            if field.type == "date":
                return value.date().isoformat()
            require_offset(value)
            return value.isoformat()
        raise BadValueError(f"is not a {what} of the calendar; {how}")

    return Reading(convert)
