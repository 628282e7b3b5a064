"""The first block of a file with a copy of the rows behind it, for a worker that looks at the first rows alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from csvfile.cutter import Cut

MOST_BYTES: Final = 1024 * 1024
"""Bytes of the first block's rows and the copy, at most: the record stays below Kafka's limit."""


def with_rows_ahead(parts: Iterator[Cut | None], rows: int) -> Iterator[tuple[Cut, bytes] | None]:
    """The blocks as they are cut, the first one with a JSON array of the rows behind it, up to the block that has row
    number `rows`; the others with nothing. It yields None where `parts` does. It waits for `MOST_BYTES` at most: rows
    behind them are not copied.
    """
    waiting: list[Cut] | None = []
    known = size = 0
    for part in parts:
        if part is None:
            yield None
        elif waiting is None:
            yield part, b""
        else:
            waiting.append(part)
            known += part.rows
            size += len(part.rows_json)
            if known >= rows or size > MOST_BYTES:
                yield from _given(waiting)
                waiting = None
    if waiting is not None:
        yield from _given(waiting)


def _given(parts: list[Cut]) -> Iterator[tuple[Cut, bytes]]:
    size, copied = 0, []
    for place, part in enumerate(parts):
        size += len(part.rows_json)
        if place and size <= MOST_BYTES and not part.unreadable:
            copied.append(part.rows_json[1:-1])
    for place, part in enumerate(parts):
        yield part, b"[%b]" % b",".join(copied) if copied and not place else b""
