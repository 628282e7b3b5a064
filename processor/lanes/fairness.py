"""A token bucket, for a job with a rate."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class TokenBucket:
    """At most `rate` rows a second, with up to one second saved up. Times are seconds of any steady clock."""

    rate: float
    tokens: float = 0.0
    filled_at: float | None = None

    def wait_seconds(self, now: float) -> float:
        """How long until rows may be taken; 0: now."""
        self._fill(now)
        return 0.0 if self.tokens > 0 else -self.tokens / self.rate + 0.001

    def take(self, rows: int, now: float) -> None:
        """Take `rows` tokens; more than there are is a debt, which the next caller waits for."""
        self._fill(now)
        self.tokens -= rows

    def _fill(self, now: float) -> None:
        if self.filled_at is None:
            self.tokens = min(self.rate, 1.0)
        else:
            self.tokens = min(self.rate, self.tokens + (now - self.filled_at) * self.rate)
        self.filled_at = now
