"""Days and times as they are stored: ISO 8601, those of it that Python and Elasticsearch both take for the same.

Elasticsearch knows no offset beyond 18 hours (java.time.ZoneOffset), Python no year 0, and not every version of
either one takes 24:00.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

DATE = re.compile(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
DATETIME = re.compile(
    r"^\d{4}-\d\d-\d\d(?:[T ](?!24)\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:?[0-5]\d)?)?\Z", re.ASCII
)
PLAIN_DATETIME = re.compile(
    r"^\d{4}-\d\d-\d\dT(?!24)\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-](?:0\d|1[0-7]):[0-5]\d)?\Z", re.ASCII
)
"""Times that are stored as they are written, if they are of the calendar."""
LARGEST_OFFSET = timedelta(hours=18)
_MINUTE = timedelta(minutes=1)
_DIRECTIVE = re.compile(r"%(.)", re.DOTALL)
_OF_SEVERAL = {"%c": "%a %b %d %H:%M:%S %Y", "%x": "%m/%d/%y", "%X": "%H:%M:%S"}


def stored_date(text: str) -> str:
    """The date to store for a text that matches DATE. Raises ValueError, with the reason."""
    try:
        date.fromisoformat(text)
    except ValueError as error:
        raise ValueError("is no day of the calendar") from error
    return text


def stored_datetime(text: str) -> str:
    """The time to store for a text that matches DATETIME. Raises ValueError, with the reason."""
    try:
        value = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError("is no day and time of the calendar") from error
    require_offset(value)
    return text if " " not in text else text.replace(" ", "T")


def require_offset(value: datetime) -> None:
    """Raises ValueError, with the reason, for an offset that can't be stored."""
    offset = value.utcoffset()
    if offset is not None and (abs(offset) > LARGEST_OFFSET or offset % _MINUTE):
        raise ValueError("has an offset from UTC that is not of whole minutes, 18 hours at most")


def moment(text: str) -> datetime:
    """A stored date and time, to be compared with others; without a zone it is taken for UTC."""
    value = datetime.fromisoformat(text)
    return value if value.tzinfo else value.replace(tzinfo=UTC)


@lru_cache(maxsize=256)
def text_of_moment(at_ms: int, kind: str, pattern: str) -> str:
    """A time, in milliseconds since 1970, as the text of a ``date`` or ``datetime`` of this format; in UTC."""
    at = datetime.fromtimestamp(at_ms / 1000, UTC).replace(microsecond=0)
    if "%" in pattern:
        return date_writer(pattern)(at.isoformat())
    return at.date().isoformat() if kind == "date" else at.isoformat().replace("+00:00", "Z")


def date_writer(pattern: str) -> Callable[[str], str]:
    """Writes stored days and times so that `strptime` reads them with the same pattern.

    `strftime` leaves zeros out at the front of years, and writes zones in ways, or not at all, that it can't read.
    """
    plain = _DIRECTIVE.sub(lambda found: _OF_SEVERAL.get(found[0], found[0]), pattern)

    def write(stored: str) -> str:
        at = moment(stored)
        fixed = {"%Y": f"{at.year:04}", "%G": f"{at.isocalendar().year:04}", "%Z": "UTC"}
        return at.strftime(_DIRECTIVE.sub(lambda found: fixed.get(found[0], found[0]), plain))

    return write
