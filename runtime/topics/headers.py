"""Reads the headers of a record as confluent-kafka gives it."""

from __future__ import annotations

from confluent_kafka import Message

Headers = list[tuple[str, bytes | None]]


def headers_of(message: Message) -> Headers:
    """The headers, in the order in which they were written.

    A program in another language may give a header a name that is no UTF-8, of which confluent-kafka raises an error.
    Such a record counts as one without headers, as in workers (`processor/stream/any_headers.py`): it has no signature.
    """
    try:
        found: Headers = message.headers() or []
    except (SystemError, UnicodeDecodeError):
        return []
    return found
