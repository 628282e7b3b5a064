"""The deliveries to one receiver: which is next, how many go out at once, and when. It holds no connection."""

from __future__ import annotations

import heapq
import math
from typing import Final

from control.webhooks.schedule import Outcome, pause_ms
from schemas.messages.webhooks import Delivery, delivery_key

AT_ONCE: Final = 4
"""Requests to one receiver. To one that is away it is one."""
LONGEST_CLOSED_MS: Final = 60_000


class ReceiverQueue:
    """What waits for one receiver.

    Events of one job go out one after the other, in their order: a later one waits for an earlier one, but for one that
    the receiver has refused while it took others.
    """

    def __init__(self) -> None:
        self.away = False
        """The receiver did not answer the last attempt, or answered that it can't."""
        self.failures = 0
        """Attempts since it was seen last."""
        self.closed_until = -math.inf
        """Nothing goes out before this time, seconds of the monotonic clock: a receiver that is away is asked now and
        then."""
        self._heap: list[tuple[int, int, str]] = []
        self._number = 0
        self._offered: dict[str, Delivery] = {}
        self._out: dict[str, str] = {}
        self._held: dict[str, list[str]] = {}
        self._of_job: dict[str, dict[str, None]] = {}

    def offer(self, delivery: Delivery) -> None:
        """Take in the newest record of a delivery."""
        key = delivery_key(delivery)
        known = self._offered.get(key)
        if delivery.status != "pending":
            self.drop(key)
            return
        self._offered[key] = delivery
        self._of_job.setdefault(delivery.job_id, {})[key] = None
        if known is not None and known.due_at == delivery.due_at and key not in self._out:
            return  # it stands in the queue
        if key not in self._out:
            self._push(key, delivery.due_at)

    def drop(self, key: str) -> None:
        """Forget a delivery that is not there any more."""
        known = self._offered.pop(key, None)
        if known is not None:
            own = self._of_job[known.job_id]
            del own[key]
            if not own:
                del self._of_job[known.job_id]

    def _push(self, key: str, due_at: int) -> None:
        self._number += 1
        heapq.heappush(self._heap, (due_at, self._number, key))

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is out."""
        return not self._offered and not self._out

    @property
    def room(self) -> bool:
        """Whether a further request may go out now."""
        return len(self._out) < (1 if self.away else AT_ONCE)

    def seconds_left(self, now_ms: int, now: float) -> float | None:
        """Seconds until the next one may go out, 0 at least; None: nothing waits.

        `now_ms`: milliseconds since 1970, which deliveries are due by; `now`: seconds of the monotonic clock.
        """
        while self._heap:
            due_at, _, key = self._heap[0]
            waiting = self._offered.get(key)
            if waiting is None or waiting.due_at != due_at or key in self._out:
                heapq.heappop(self._heap)  # it was delivered, or is due at another time by now
                continue
            return max((due_at - now_ms) / 1000, self.closed_until - now, 0.0)
        return None

    def met(self, outcome: Outcome, now: float, fraction: float) -> bool:
        """Take note of an attempt; whether the receiver is back after it was away.

        `now`: seconds of the monotonic clock; `fraction`: a random number.
        """
        if outcome.unreachable:
            self.away = True
            self.failures += 1
            self.closed_until = now + min(LONGEST_CLOSED_MS, pause_ms(self.failures, fraction)) / 1000
            return False
        was_away, self.away, self.failures, self.closed_until = self.away, False, 0, -math.inf
        return was_away

    def take(self, now_ms: int, now: float) -> Delivery | None:
        """A delivery that is due and may go out; None: there is none now. Call `settle` once its request has ended.

        `now_ms`, `now`: as in `seconds_left`.
        """
        while self.room:
            if self.seconds_left(now_ms, now) != 0.0:
                return None
            key = heapq.heappop(self._heap)[2]
            job_id = self._offered[key].job_id
            first = key if job_id in self._out.values() else self._first_of(job_id, key)
            if first != key or job_id in self._out.values():
                self._held.setdefault(job_id, []).append(key)
            if job_id not in self._out.values():
                self._out[first] = job_id
                return self._offered[first]
        return None

    def _first_of(self, job_id: str, due: str) -> str:
        """What goes out in place of a delivery that is due: the earliest of its job that was not refused."""
        for key in self._of_job[job_id]:
            waiting = self._offered[key]
            if key == due or waiting.error is None or Outcome(waiting.answer, waiting.error).unreachable:
                return key
        return due

    def settle(self, key: str) -> None:
        """The request is over, and what has become of the delivery was offered."""
        job_id = self._out.pop(key)
        own = self._offered.get(key)
        if own is not None:
            self._push(key, own.due_at)
        for held in self._held.pop(job_id, ()):
            if held in self._offered:
                self._push(held, self._offered[held].due_at)

    def waiting(self) -> list[Delivery]:
        """The deliveries that are not being sent now."""
        return [delivery for key, delivery in self._offered.items() if key not in self._out]
