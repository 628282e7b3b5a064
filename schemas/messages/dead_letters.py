"""Dead letters (topic ``dead-letters``): rows that were refused, and records that could not be read at all."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.bounds import MOST_REASON

MOST_BYTES = 1_000_000
"""A rejected record's value is cut to these bytes, so that its dead letter always finds room in the topic."""

FIRST_WRITTEN = "first-written"
"""Header of a record that was written once more: the time of the first one, milliseconds since 1970. Records of other
jobs in front of it were removed. A row error of a row that has been corrected may come behind its correction then."""

DeadLetter = tuple[bytes | None, bytes | None, dict[str, str]]
"""Key, value and headers of a record of the topic."""


def first_written(header: object, own: int) -> int:
    """When a record was written first, milliseconds since 1970: by its header `FIRST_WRITTEN`, or where that names no
    time, by its `own`."""
    return int(header) if isinstance(header, bytes) and header.isdigit() and len(header) < 16 else own


@dataclass(frozen=True, slots=True)
class RejectedRecord:
    """A record that is no message of its topic. The process goes on with the record behind it."""

    topic: str
    """The topic's full name."""
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    reason: str

    def dead_letter(self) -> DeadLetter:
        """The record as it was, with its place and the reason in headers; ``bytes`` tells its size if it was cut."""
        headers = {
            "reason": self.reason[:MOST_REASON].encode("utf-8", "replace").decode(),
            "topic": self.topic,
            "partition": str(self.partition),
            "offset": str(self.offset),
        }
        value = self.value
        if value is not None and len(value) > MOST_BYTES:
            headers["bytes"] = str(len(value))
            value = value[:MOST_BYTES]
        if self.key is None:
            return None, value or b"", headers  # a client may refuse a record that has neither
        return self.key[:MOST_BYTES], value, headers

    def __str__(self) -> str:
        return f"record at offset {self.offset} of {self.topic}, partition {self.partition}: {self.reason}"
