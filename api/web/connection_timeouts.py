"""Time limits of a connection. Pure: it is given a snapshot of the connection once a second."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from runtime.settings import Settings

Awaited = Literal["nothing", "head", "body"]
"""What the client has to send next; nothing: the API has to act first."""
Exceeded = Literal["head", "body", "answer"]
"""Which limit the client has exceeded: in sending a request's head or body, or in reading the answer."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits, see docs/settings.md."""

    connections: int
    head_seconds: float
    pause_seconds: float
    bytes_per_second: float

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """The limits that the settings name."""
        return cls(
            connections=settings.api_connections,
            head_seconds=settings.api_head_seconds,
            pause_seconds=settings.api_pause_seconds,
            bytes_per_second=settings.api_least_bytes_per_second,
        )

    @property
    def window_seconds(self) -> float:
        """Seconds of waiting over which the least rate is averaged: a client can make up for an allowed pause."""
        return 2 * self.pause_seconds


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A connection at one moment. Counts are from its beginning on."""

    at: float
    """Seconds, of a monotonic clock."""
    requests: int
    awaited: Awaited
    received: int
    unsent: int
    """Bytes of answers in the write buffer, which the client has not read."""
    fetches: int
    """How often the write buffer has become small enough to write again."""
    closing: bool = False


class ConnectionTimeouts:
    """Checks one connection against the limits."""

    def __init__(self, limits: Limits, at: float) -> None:
        self._limits = limits
        self._last = Snapshot(at, 0, "nothing", 0, 0, 0)
        self._head_since = at
        self._quiet = 0.0
        self._waited = 0.0
        self._received = 0
        """Bytes received when the body's window began."""
        self._unsent_since = self._unfetched_since = at
        self._unsent = 0

    def exceeded(self, now: Snapshot) -> Exceeded | None:
        """Which limit the client has exceeded; None: none."""
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

    def _body_is_late(self, last: Snapshot, now: Snapshot) -> bool:
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

    def _answer_is_late(self, last: Snapshot, now: Snapshot) -> bool:
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
