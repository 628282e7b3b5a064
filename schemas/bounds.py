"""The bounds of numbers and texts in messages and requests, each in one place.

What a message holds has been decoded within these bounds: it can be counted with, encoded again, and shown as a time.
Numbers are bounded in every message. Texts are bounded in requests only, so that a state that an older version wrote
with a long one stays readable. The description of a type says in words what a request may hold.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final

from msgspec import Meta

LEAST_RATE: Final = 0.001
MOST_RATE: Final = 1e9
RATE_WORDS: Final = "a number from 0.001 to 1,000,000,000"
Rate = Annotated[float, Meta(ge=5e-324, le=1.7976931348623157e308, description=RATE_WORDS)]
"""Rows a second. A state may hold any, as older versions took them: workers keep to `possible_rate`."""

MOST_ERRORS: Final = 10**12
ERRORS_WORDS: Final = "a number from 0 to 1,000,000,000,000, or a percentage such as '5%', at most '100%'"
ErrorLimit = Annotated[int, Meta(ge=0, le=2**63 - 1, description=ERRORS_WORDS)]
"""Row errors that are allowed. A state may hold more than may be asked for, as with rates."""
ErrorShare = Annotated[str, Meta(description=ERRORS_WORDS)]

HIGHEST_ROW: Final = 10**12
RowCount = Annotated[int, Meta(ge=0, le=HIGHEST_ROW)]
"""Rows, lines or blocks; also the number of one of them."""
RowIndex = Annotated[int, Meta(ge=0, le=10**6)]
"""Place of a row in its block, from 0."""
MOST_ROWS: Final = 2**31 - 1
"""The highest row number of the inbox."""
InboxRowNumber = Annotated[int, Meta(ge=1, le=MOST_ROWS)]
AnnouncedRows = Annotated[int, Meta(ge=0, le=MOST_ROWS)]
"""The number of rows that are to come by the inbox."""
ByteCount = Annotated[int, Meta(ge=0, le=2**53 - 1)]
BlockNumber = Annotated[int, Meta(ge=0, le=10**12)]
MOST_PARTITIONS: Final = 10_000
Partition = Annotated[int, Meta(ge=0, lt=MOST_PARTITIONS)]
PartitionCount = Annotated[int, Meta(ge=1, le=MOST_PARTITIONS)]
Counter = Annotated[int, Meta(ge=0, le=2**31 - 1)]
"""Epochs and runs."""
Offset = Annotated[int, Meta(ge=-1, le=2**62)]
"""The offset of a record in Kafka; -1: none."""
LAST_MOMENT: Final = 253_402_300_799_999
"""The end of the year 9999, milliseconds since 1970: Python has no later time."""
Timestamp = Annotated[int, Meta(ge=0, le=LAST_MOMENT)]
"""Milliseconds since 1970."""
Moment = Annotated[int, Meta(ge=-(10**15), le=10**15)]
"""A date of a row, milliseconds since 1970: it may be long ago."""
SignedInteger = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
"""Any that fits 64 bits."""
HttpStatus = Annotated[int, Meta(ge=100, le=599)]

MOST_COLUMNS: Final = 2000
"""Columns that a request maps or sets, and that a job records."""
MOST_COLUMN_TEXT: Final = 64 * 1024
"""Characters of their names and texts together: a job's state stays in every process's table."""

MOST_SKIPPED: Final = 1000
SkippedLines = Annotated[int, Meta(ge=0, le=MOST_SKIPPED)]
"""Lines in front of a file's header."""
SignName = Annotated[str, Meta(max_length=20)]
"""A character, or its name."""
Sign = Annotated[str, Meta(min_length=1, max_length=1)]
MappingName = Annotated[str, Meta(max_length=64)]
MOST_NOTIFY: Final = 2048
NotifyTarget = Annotated[
    str, Meta(max_length=MOST_NOTIFY, description="the address of a receiver, or the name of a webhook")
]
EncodingName = Annotated[str, Meta(max_length=40)]
Compression = Annotated[str, Meta(max_length=20)]
Digest = Annotated[str, Meta(max_length=128)]

MOST_REASON: Final = 1000
"""Characters of a reason."""
JOB_ID_PATTERN: Final = r"^[a-z0-9][a-z0-9_-]{0,63}\Z"
JobId = Annotated[
    str,
    Meta(
        pattern=JOB_ID_PATTERN,
        description="a job id: 1 to 64 lower-case letters, digits, - and _, the first a letter or digit",
    ),
]
Reason = Annotated[str, Meta(max_length=MOST_REASON)]
Name = Annotated[str, Meta(max_length=200)]
"""The name of a person, a service, an operation, a dataset or an organisation."""
Day = Annotated[str, Meta(max_length=40)]
When = Annotated[str, Meta(max_length=40, description="ISO 8601 with an offset, such as 2026-01-31T22:00:00Z")]
"""A time, as callers of REST write it."""
MOST_KEY: Final = 255
"""Characters of an idempotency key."""
MOST_PATH: Final = 4096
FilePath = Annotated[str, Meta(max_length=MOST_PATH)]


def possible_rate(rows_per_second: float) -> float:
    """The rate that a worker can keep, where a state holds one that may not be asked for any more."""
    return min(max(rows_per_second, LEAST_RATE), MOST_RATE)


def moment(at_ms: int) -> int:
    """A record's timestamp, brought into the bounds of a time: Kafka takes any 64 bits for one, and -1 for none."""
    return min(max(at_ms, 0), LAST_MOMENT)


def int64(number: int) -> int:
    """`number` brought into 64 bits, different ones nearly always to different ones."""
    return (number + 2**63) % 2**64 - 2**63


def require_intervals(what: str, intervals: Iterable[tuple[int, ...]]) -> None:
    """Intervals (first, last, ...) must be sorted and disjoint.

    Raises:
        ValueError: they are not.
    """
    before = -1
    for first, last, *_ in intervals:
        if not before < first <= last:
            raise ValueError(f"{what} are not sorted and disjoint intervals: {first} to {last} comes after {before}")
        before = last
