"""When a delivery is tried again, and when it is given up. Pure; randomness is handed in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from schemas.messages.webhooks import Delivery

FIRST_MS: Final = 2_000
"""Before the second attempt; each pause is twice as long as the one before."""
LONGEST_MS: Final = 30 * 60_000
DAY_MS: Final = 24 * 3600 * 1000
JITTER: Final = 0.3
"""A pause is shorter by up to this part: receivers that many deliveries wait for do not get all of them at once."""
MOST_ERROR: Final = 300


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an attempt has met."""

    answer: int | None
    """The HTTP status; None: there was no answer."""
    error: str | None
    """Why it failed; None: it was taken."""
    retry_after_ms: int = 0
    """The pause that the receiver asks for."""

    @property
    def delivered(self) -> bool:
        """Whether the receiver has taken it."""
        return self.error is None

    @property
    def gone(self) -> bool:
        """Whether the receiver wants nothing any more (Standard Webhooks: 410)."""
        return self.answer == 410

    @property
    def unreachable(self) -> bool:
        """Whether the receiver as a whole seems to be away, rather than to refuse this one event."""
        return self.error is not None and (self.answer is None or self.answer >= 500 or self.answer == 429)


def pause_ms(attempts: int, fraction: float) -> int:
    """The pause after `attempts` attempts; `fraction`: a random number from 0 to 1."""
    bound = min(LONGEST_MS, FIRST_MS * 2 ** min(max(attempts, 1) - 1, 30))
    return int(bound * (1 - JITTER * fraction))


def after_attempt(delivery: Delivery, outcome: Outcome, now_ms: int, fraction: float, patience_ms: int) -> Delivery:
    """The delivery after an attempt: delivered, to be tried again, or given up when `patience_ms` are over."""
    tried = replace(
        delivery,
        attempts=delivery.attempts + 1,
        tried_at=now_ms,
        answer=outcome.answer,
        error=None if outcome.error is None else outcome.error[:MOST_ERROR],
    )
    if outcome.delivered:
        return replace(tried, status="delivered", due_at=0)
    end = delivery.begun_at + patience_ms
    if outcome.gone or now_ms >= end:
        return replace(tried, status="failed", due_at=0)
    pause = max(pause_ms(tried.attempts, fraction), min(outcome.retry_after_ms, LONGEST_MS))
    return replace(tried, due_at=min(now_ms + pause, end))


def given_up(delivery: Delivery, now_ms: int, why: str) -> Delivery:
    """The delivery that is not tried, and why."""
    return replace(delivery, status="failed", due_at=0, tried_at=now_ms, answer=None, error=why[:MOST_ERROR])


def anew(delivery: Delivery, now_ms: int) -> Delivery:
    """The delivery with another day, from now on."""
    return replace(delivery, status="pending", begun_at=now_ms, attempts=0, due_at=now_ms)
