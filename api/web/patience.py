"""How long a connection may keep the API waiting. Pure: it is shown a connection once a second, and judges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from runtime.settings import Settings

Awaited = Literal["nothing", "head", "body"]
"""What the client still has to send; nothing: it is the API's turn, or the API has told the client to wait."""
Verdict = Literal["head", "body", "answer"]
"""What did not come, or was not fetched, in time."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a connection is allowed, see docs/settings.md."""

    connections: int
    head_seconds: float
    pause_seconds: float
    bytes_per_second: float

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """Those of the settings."""
        return cls(
            connections=settings.api_connections,
            head_seconds=settings.api_head_seconds,
            pause_seconds=settings.api_pause_seconds,
            bytes_per_second=settings.api_least_bytes_per_second,
        )

    @property
    def window_seconds(self) -> float:
        """The least rate is asked of so many seconds of waiting: a pause that is allowed leaves time to make it up."""
        return 2 * self.pause_seconds


@dataclass(frozen=True, slots=True)
class Sight:
    """A connection at one moment. Bytes are counted from its beginning."""

    at: float
    """Seconds, of a clock that does not go back."""
    requests: int
    awaited: Awaited
    received: int
    unsent: int
    """Bytes of answers that the client has not fetched."""
    fetches: int
    """How often it has fetched what had been held back for it."""
    closing: bool = False


class Patience:
    """With one connection."""

    def __init__(self, limits: Limits, at: float) -> None:
        self._limits = limits
        self._last = Sight(at, 0, "nothing", 0, 0, 0)
        self._head_since = at
        self._quiet = 0.0
        self._waited = 0.0
        self._received = 0
        """When the window of the body began."""
        self._unsent_since = self._unfetched_since = at
        self._unsent = 0

    def verdict(self, now: Sight) -> Verdict | None:
        """What the client has not done in time; None: nothing is wrong."""
        last, self._last = self._last, now
        if self._answer_is_late(last, now):
            return "answer"
        if now.awaited == "head" and not now.closing:
            if last.awaited != "head" or last.requests != now.requests:
                self._head_since = last.at
            return "head" if now.at - self._head_since > self._limits.head_seconds else None
        if now.awaited == "body" and not now.closing:
            return "body" if self._body_is_late(last, now) else None
        return None

    def _body_is_late(self, last: Sight, now: Sight) -> bool:
        limits = self._limits
        if last.requests != now.requests:
            self._quiet = self._waited = 0.0
            self._received = now.received
            return False
        seconds = now.at - last.at
        self._quiet = self._quiet + seconds if now.received == last.received else 0.0
        self._waited += seconds
        if self._waited >= limits.window_seconds:
            if now.received - self._received < self._waited * limits.bytes_per_second:
                return True
            self._waited, self._received = 0.0, now.received
        return self._quiet > limits.pause_seconds

    def _answer_is_late(self, last: Sight, now: Sight) -> bool:
        held = now.unsent > 0 or now.closing
        was_held = last.unsent > 0 or last.closing
        if not held or not was_held or last.fetches != now.fetches:
            self._unsent_since = self._unfetched_since = now.at
            self._unsent = now.unsent
            return False
        self._unsent = max(self._unsent, now.unsent)
        if now.unsent < last.unsent:
            self._unfetched_since = now.at
        if now.at - self._unfetched_since > self._limits.pause_seconds:
            return True
        allowed = self._limits.pause_seconds + self._unsent / self._limits.bytes_per_second
        return now.at - self._unsent_since > allowed
