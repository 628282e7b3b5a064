"""What texts of a field have to look like before they are read: one place for the workers, and for the page."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from schemas.descriptors.dates import DATE, DATETIME
from schemas.descriptors.fields import MOST_DIGITS, Field

EMAIL: Final = re.compile(r"^[^@\s,;<>()\[\]\\\"]++@[^@\s.,;<>()]++(?:\.[^@\s.,;<>()]++)+\Z")
"""Deliberately wide: one @, a dotted domain, no spaces. Only sending a message proves an address."""
PHONE: Final = re.compile(
    r"^(?:\+?[0-9(]|\(\+[0-9])[0-9 ().\-/]{3,30}[0-9](?:,? ?(?:[xX]|[eE][xX][tT]\.?) ?[0-9]{1,6})?\Z"
)
"""A number as its owner writes it, with an extension or without one. Which digits there are makes no difference."""
INTEGER: Final = re.compile(rf"^[+-]?\d{{1,{MOST_DIGITS}}}\Z")
NUMBER: Final = re.compile(r"^[+-]?(\d++\.?\d*+|\.\d++)([eE][+-]?\d{1,3})?\Z")
LONGEST_VALUE: Final = 32_000
"""Characters of a value whose field has no maxLength, at most."""


class Shape(NamedTuple):
    """A pattern, and what is wrong with a text that does not match it, in words that go on after the column's name."""

    pattern: re.Pattern[str]
    reason: str


def shape_of(field: Field) -> Shape | None:
    """The shape of a field's texts; None: there is none that a pattern could say."""
    match field.type, field.format:
        case (("string" | "any"), "email"):
            return Shape(EMAIL, "is not an email address")
        case (("string" | "any"), "phone"):
            return Shape(PHONE, "is not a phone number")
        case (("integer" | "number"), _):
            return _of_numbers(field)
        case "date", "default":
            return Shape(DATE, "is not a date; write it YYYY-MM-DD")
        case "datetime", "default":
            return Shape(DATETIME, "is not a date and time; write it YYYY-MM-DDTHH:MM:SSZ")
        case _:
            return None


def shortest(field: Field) -> int:
    """Characters of a value, at least."""
    return field.min_length or 0


def longest(field: Field) -> int:
    """Characters of a value, at most."""
    return LONGEST_VALUE if field.max_length is None else field.max_length


def own_pattern(field: Field) -> Shape | None:
    """The pattern that the descriptor gives, which the whole text has to match; None: it gives none."""
    if not field.pattern:
        return None
    return Shape(re.compile(field.pattern), field.pattern_reason or f"does not match the pattern {field.pattern}")


def too_low(least: object) -> str:
    """What is wrong with a value below the least one."""
    return f"is less than {least}, the least allowed"


def too_high(most: object) -> str:
    """What is wrong with a value above the highest one."""
    return f"is more than {most}, the most allowed"


def plain_number(field: Field) -> bool:
    """Whether the field's numbers are written as programs write them."""
    return (field.group_char, field.decimal_char, field.bare_number) == ("", ".", True)


def _of_numbers(field: Field) -> Shape:
    """Where numbers are not plain, the pattern's first group is the sign, and its second one the rest."""
    whole = field.type == "integer"
    if plain_number(field):
        return Shape(INTEGER, "is not a whole number") if whole else Shape(NUMBER, "is not a number")
    group, decimal = re.escape(field.group_char), re.escape(field.decimal_char)
    digits = rf"(?:\d{{1,3}}(?:{group}\d{{2,3}})*{group}\d{{3}}|\d+)" if group else r"\d+"
    body = digits if whole else rf"(?:{digits}(?:{decimal}\d*)?|{decimal}\d+)(?:[eE][+-]?\d{{1,3}})?"
    # Neither signs nor parentheses, which may mean less than nothing, are passed over.
    # Possessive: two of them beside each other would else be tried at each place of a long text without a number.
    around = "" if field.bare_number else rf"[^\d+\-(){decimal}]*+"
    signs = [] if whole else [f"decimals behind {field.decimal_char!r}"]
    signs += [f"thousands set off by {field.group_char!r}"] if field.group_char else ["thousands not set off"]
    return Shape(
        re.compile(rf"^{around}([+-]?){around}({body}){around}\Z"),
        f"is not a {'whole ' if whole else ''}number ({', '.join(signs)})",
    )
