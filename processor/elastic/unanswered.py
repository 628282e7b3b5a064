"""What becomes of a write that has had no answer: if it may still be carried out, and until when. No I/O, no clock.

See decision 0027.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from elastic_transport import ConnectionTimeout
from elasticsearch import ApiError, TransportError

from runtime.clients import NotSentError


class Fate(Enum):
    """Whether Elasticsearch may still carry out a request that ended with an error."""

    NOT_TAKEN = "it is not carried out"
    CUT_OFF = "it may be carried out: the connection broke, or something in between gave up"
    SILENT = "it may be carried out: it has taken too long"


def fate_of(error: ApiError | TransportError) -> Fate:
    """What became of a request that ended with this error; in doubt it may be carried out."""
    if isinstance(error, ApiError):
        return Fate.NOT_TAKEN if _is_refusal(error) else Fate.CUT_OFF
    if isinstance(error, NotSentError):
        return Fate.NOT_TAKEN
    return Fate.SILENT if isinstance(error, ConnectionTimeout) else Fate.CUT_OFF


def _is_refusal(error: ApiError) -> bool:
    """Whether the answer comes from a server that has not carried the request out, and does not hand it on either.

    408, 502 and 504 are a proxy's way to say that it has waited long enough. With 503 a proxy may mean the same;
    Elasticsearch itself means that it has not begun, and explains it in its own form.
    """
    if error.status_code == 503:
        reason = error.body.get("error") if isinstance(error.body, dict) else None
        return isinstance(reason, dict) and "type" in reason
    return 400 <= error.status_code < 500 and error.status_code != 408


@dataclass(slots=True)
class Tries:
    """The tries of one write that has not been answered. Times are seconds of any one clock."""

    late_seconds: float
    """Elasticsearch may still carry a request out for these seconds after its sender has given up."""
    until: float = -math.inf
    silent: bool = False
    stopped_at: float | None = None

    def ended(self, fate: Fate, now: float) -> None:
        """A try ended without an answer."""
        if fate is not Fate.NOT_TAKEN:
            self.until = now + self.late_seconds
            self.silent = fate is Fate.SILENT

    def may_come(self, now: float) -> bool:
        """Whether Elasticsearch may still carry out one of the tries."""
        return now < self.until

    def stopped(self, now: float) -> None:
        """The job is to stop. The write is tried again only to learn that its items are done."""
        if self.stopped_at is None:
            self.stopped_at = now

    def goes_on(self) -> None:
        """The job is not to stop, or not any more: the write is tried until it is answered."""
        self.stopped_at = None

    def worthwhile(self, now: float) -> bool:
        """Whether there should be another try.

        A stopped job's writes that are cut off again and again (nothing stands behind the proxy) would put off its end
        for ever: each may be carried out in its turn. A server that takes requests and is silent does answer one day.
        """
        return self.stopped_at is None or self.silent or now - self.stopped_at < self.late_seconds
