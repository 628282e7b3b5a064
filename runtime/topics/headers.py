"""Reads the headers of a record as confluent-kafka gives it."""

from __future__ import annotations

import operator
from typing import Final

from confluent_kafka import Message

Headers = list[tuple[str, bytes | None]]

_ask: Final = operator.methodcaller("headers")
"""Calls `Message.headers` so that Python always checks whether it has left an error: see `headers_of`."""


def headers_of(message: Message) -> Headers:
    """The headers, in the order in which they were written.

    A program in another language may give a header a name that is no UTF-8. confluent-kafka 2 then sets an error and
    returns a list with a hole all the same. A call in plain code does not look for errors beside an answer once it runs
    often, and the code that meets the hole crashes; so would a second call. Such a record counts as one without
    headers, as in workers (`processor/stream/any_headers.py`): it has no signature.
    """
    try:
        found: Headers | None = _ask(message)
    except (SystemError, UnicodeDecodeError):
        message.set_headers([])
        return []
    return found or []
