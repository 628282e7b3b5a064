"""Takes partitions over: reads what the last owner left, and records when this owner begins and has closed.

A partition is quiesced when nothing of an earlier owner is in flight there any more. An owner that closed it had
waited for that. After one that did not close it, its successor waits for as long as a request can last and come late.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection

from processor.lanes.lane import Lane
from processor.lanes.owned_lanes import Lanes
from processor.stream.log_reader import RestoredPartitions
from processor.stream.publisher import RecordPublisher
from runtime.clock import Clock
from runtime.telemetry.log_events import as_event
from schemas.messages.codec import encode
from schemas.messages.lanes import OwnerRecord, owner_key

log = logging.getLogger(__name__)

ReadLaneRecords = Callable[[Collection[int]], Awaitable[RestoredPartitions]]
"""The newest record of every lane on one or more partitions, see `read_lane_records`."""


class Ownership:
    """Opens, takes over and closes a worker's partitions."""

    def __init__(
        self, lanes: Lanes, publisher: RecordPublisher, read_lane_records: ReadLaneRecords, clock: Clock
    ) -> None:
        self._lanes = lanes
        self._publisher = publisher
        self._read_lane_records = read_lane_records
        self._clock = clock

    async def take_over(self, partitions: Collection[int]) -> RestoredPartitions:
        """Own these partitions from now on, with the lanes that their last owners left."""
        found = await self._read_lane_records(partitions) if partitions else RestoredPartitions([], frozenset())
        await self._sign(partitions, closed=False)
        # Together, with nothing awaited in between: a revocation that ends this signs all that is owned and quiesced.
        self._lanes.inherit(partitions, found.lost, found.unclosed)
        for record in found.lanes:
            self._lanes.put(Lane.restored(record))
        for rejected in found.rejected:
            log.error("this lane can't be restored: %s", rejected, extra=as_event("record.unreadable"))
        await self._publisher.bury(rejected.dead_letter() for rejected in found.rejected)
        return found

    async def close(self) -> None:
        """Tell the next owner that nothing of this worker, nor of an owner before it, is in flight."""
        await self._sign(self._lanes.owned - self._lanes.unquiesced, closed=True)

    async def await_quiescence(self, partitions: Collection[int], seconds: float) -> None:
        """Wait until no request of an owner that did not close its partitions can be carried out any more.

        Until then no job is reported to have stopped on them.
        """
        log.warning(
            "the last owner of partitions %s did not close them; waiting %g s for its requests to end",
            sorted(partitions),
            seconds,
            extra=as_event("partitions.unclosed", partitions=sorted(partitions)),
        )
        await self._clock.sleep(seconds)
        self._lanes.unquiesced.difference_update(partitions)

    async def _sign(self, partitions: Collection[int], closed: bool) -> None:
        now = self._clock.now_ms()
        await self._publisher.publish_all(
            ("lanes", owner_key(number), encode(OwnerRecord(partition=number, closed=closed, at=now)), number)
            for number in partitions
        )
