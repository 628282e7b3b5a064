"""The numbers that settings take: each is finite, between bounds with which all that is made of it works."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema, core_schema

from schemas.policies.retention import MOST_DAYS

LEAST_SECONDS: Final = 0.001
WEEK_SECONDS: Final = 7 * 24 * 3600
MOST_SESSION_SECONDS: Final = 90
"""Faust refuses a session timeout above the time limit of its requests, which is this."""
_LONGEST_SHOWN: Final = 40


@dataclass(frozen=True, slots=True)
class Within:
    """Bounds of a number, both included; with `above` it is more than `least`.

    With `forever` the word stands for infinity. A value that is no number is not shown: it may be a secret of another
    variable.
    """

    least: float
    most: float
    above: bool = False
    forever: bool = False

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        kind = "whole number" if source is int else "number"

        def check(value: Any, parse: Callable[[Any], float]) -> float:
            if self.forever and value in ("forever", math.inf):
                return math.inf
            try:
                number = parse(value)
            except ValidationError:
                raise ValueError(f"it is no {kind} {self}") from None
            if number < self.least or (self.above and number == self.least) or not number <= self.most:
                raise ValueError(f"{_shown(value)} is no {kind} {self}")
            return number

        return core_schema.no_info_wrap_validator_function(check, handler(source))

    def __str__(self) -> str:
        lower = f"above {_plain(self.least)} and up to" if self.above else f"from {_plain(self.least)} to"
        return f"{lower} {_plain(self.most)}{', or forever' if self.forever else ''}"


def _plain(number: float) -> str:
    return str(int(number)) if number == int(number) else str(number)


def _shown(value: Any) -> str:
    text = str(value).strip()
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


Seconds = Annotated[float, Within(LEAST_SECONDS, WEEK_SECONDS)]
SecondsOrZero = Annotated[float, Within(0, WEEK_SECONDS)]
Hours = Annotated[float, Within(0, 24 * MOST_DAYS, above=True)]
HoursOrZero = Annotated[float, Within(0, 24 * MOST_DAYS)]
Days = Annotated[float, Within(0, MOST_DAYS, above=True)]
DaysOrForever = Annotated[float, Within(1, MOST_DAYS, forever=True)]
Count = Annotated[int, Within(1, 1_000_000)]
Bytes = Annotated[int, Within(1, 2**50)]
Port = Annotated[int, Within(1, 65535)]
