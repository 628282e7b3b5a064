"""Appends a report for each timer whose time has come, in the worker that owns the commands."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Final

from control.jobtable import JobTable
from control.outbox import Publish, Written
from control.timers import due
from runtime.clock import Clock
from schemas.messages.codec import encode

LOOK_SECONDS: Final = 0.5
AGAIN_SECONDS: Final = 5.0
"""A command that has had no effect by then is appended once more: the clocks of two machines may differ."""
MOST_SENT: Final = 250
"""Commands that are appended and have had no effect yet, at most. Where ten thousand jobs wait, each takes the control
agent some 20 ms: people do not wait behind all of them, and none is appended again before it has had its turn."""


class Timers:
    """Appends `TimerDue` for due timers. It remembers them only to avoid repeats; a successor starts from the
    states."""

    def __init__(self, jobs: JobTable, publish: Publish, owns: Callable[[], bool], clock: Clock) -> None:
        """`owns`: whether this worker carries out the commands, and knows every job's state."""
        self._jobs = jobs
        self._publish = publish
        self._owns = owns
        self._clock = clock
        self._sent: dict[tuple[str, int], float] = {}

    async def run(self) -> None:
        """Look for timers again and again. Raises what `publish` raises."""
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Append what is due now."""
        if not self._owns():
            self._sent.clear()
            return
        now = self._clock.monotonic()
        # Those of a newer version's jobs wait for a worker that understands them.
        ours = (job for job in self._jobs.busy_or_queued() if job.id not in self._jobs.not_understood)
        first = sorted(due(ours, self._clock.now_ms()), key=lambda command: command.due_at)
        commands = {(command.job_id, command.due_at): command for command in first}
        self._sent = {key: at for key, at in self._sent.items() if key in commands and now - at < AGAIN_SECONDS}
        waiting = ((key, command) for key, command in commands.items() if key not in self._sent)
        news = dict(islice(waiting, MOST_SENT - len(self._sent)))
        if news:
            self._sent.update(dict.fromkeys(news, now))
            await self._publish([Written("reports", one.job_id.encode(), encode(one)) for one in news.values()])
