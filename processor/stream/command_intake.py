"""Hands commands to the control agent in their order, and acknowledges them once what follows from them is written.

Commands that come while others are being written are written together, after them. If more queued jobs have their turn
than begin with one command, the others follow, whether or not a command comes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from control.agent import ControlAgent
from control.authorization.senders import Headers
from control.errors import UnwrittenError
from processor.stream.acknowledgement import Acknowledgeable
from runtime.telemetry.tracing import parent_in, span

MOST_TAKEN: Final = 1000
"""Commands that wait to be written: no more are taken until they are."""


class CommandIntake:
    """Passes a worker's commands to its control agent, one after the other."""

    def __init__(self, control: ControlAgent, on_settled: Callable[[float], None]) -> None:
        """`on_settled` is told of each command how many seconds after its record what follows from it was written."""
        self.commanding = asyncio.Lock()
        """Held while the agent decides on a command, and while it takes over."""
        self._control = control
        self._on_settled = on_settled
        self._taken: list[tuple[Acknowledgeable, int | None]] = []
        self._woken = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._released = 0
        """How often the commands have been another worker's, or may have been."""

    async def take(
        self,
        offset: int,
        at: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
        acknowledgement: Acknowledgeable,
    ) -> None:
        """Have a command decided on; `at`: when Kafka took it in, milliseconds since 1970.

        Raises:
            UndecodableError: it is no command. It is to be skipped.
            UnwrittenError: an earlier one could not be carried out.
        """
        released = self._released
        await self._room.wait()
        async with self.commanding:
            if released != self._released:
                return  # its owner gets it again
            with span("command", parent_in(headers)):
                await self._control.take(offset, at, key, value, headers)
        self._note(acknowledgement, at)

    async def skip(self, acknowledgement: Acknowledgeable) -> None:
        """Acknowledge a record that is no command, in its turn."""
        self._note(acknowledgement, None)

    def _note(self, acknowledgement: Acknowledgeable, at: int | None) -> None:
        self._taken.append((acknowledgement, at))
        self._woken.set()
        if len(self._taken) >= MOST_TAKEN:
            self._room.clear()

    async def run(self) -> None:
        """Write what has been decided on, again and again. Raises KafkaError, and FencedError without a lease."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            await self.settle()
            if self._control.has_turns_left:
                async with self.commanding:
                    if self._control.continue_turns():
                        self._woken.set()

    async def settle(self) -> None:
        """Write and acknowledge what has been decided on. Raises as `run`."""
        taken, self._taken = self._taken, []
        try:
            await self._control.settle()
        finally:
            self._room.set()
        now = time.time()
        for acknowledgement, at in taken:
            if at is not None:
                self._on_settled(max(0.0, now - at / 1000))
            acknowledgement.ack()

    async def release(self, lost: bool) -> None:
        """The next command may be another worker's. `lost`: those that are not written are, too."""
        self._released += 1
        async with self.commanding:
            if lost:
                self._forget()
            with suppress(UnwrittenError):  # its next owner gets them again
                await self.settle()
            self._forget()

    async def take_over(self, at: int, end: int) -> None:
        """Have the agent take over, with `commanding` held; see there."""
        self._forget()
        await self._control.take_over(at, end)
        self._woken.set()

    def _forget(self) -> None:
        self._taken.clear()
        self._room.set()
        self._control.forget()
