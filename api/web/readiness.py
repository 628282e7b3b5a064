"""Whether control works: for ``/readyz``, on both ports of the API."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from api.readmodel.command_log import CommandLog
from api.readmodel.job_feed import JobFeed

_LOOK_SECONDS: Final = 2.0
_STALE_SECONDS: Final = 10.0
"""More than Kafka's time to answer and the pause between two looks: an event loop that looks no more hangs."""


@dataclass(frozen=True, slots=True)
class Control:
    """What control needs: Kafka, and a view of every job."""

    kafka: bool
    caught_up: bool

    @property
    def works(self) -> bool:
        """Whether commands can be given, and their effect be seen."""
        return self.kafka and self.caught_up


async def control_now(commands: CommandLog, live: JobFeed) -> Control:
    """How control is now."""
    return Control(await commands.answers(), live.caught_up)


class ControlWatch:
    """Whether control works, for a thread that can't ask the event loop: Kafka is looked at again and again."""

    def __init__(self, live: JobFeed, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._live = live
        self._monotonic = monotonic
        self._kafka = False
        self._looked_at = 0.0

    @property
    def works(self) -> bool:
        """Whether control works, with Kafka as of a few seconds ago; no, if the event loop has not looked for long."""
        fresh = self._monotonic() - self._looked_at < _STALE_SECONDS
        return Control(self._kafka and fresh, self._live.caught_up).works

    async def run(
        self, answers: Callable[[], Awaitable[bool]], pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        """Look, until cancelled. `answers`: whether Kafka does."""
        while True:
            self._kafka = await answers()
            self._looked_at = self._monotonic()
            await pause(_LOOK_SECONDS)
