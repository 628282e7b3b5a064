"""Faust's consumer, changed where Faust loses records, or acknowledges some that no agent has dealt with.

What a worker relies on: every record of its partitions reaches its agent once and in order, from the committed offset
on, until the partition is revoked; and only what the worker acknowledges is committed. Faust 0.15 breaks this:

- Records that arrive while it still recovers from a rebalance are thrown away when it resumes (`FlowControlEvent`
  clears every queue on each call of `resume`), and its seek back to the committed offset passes over partitions that
  have none. -> `SteadyFlow` clears queues of a flow that was suspended only, and there is no seek: aiokafka begins a
  new assignment at the committed offset by itself.
- A batch fetched before a rebalance is taken for one of after it, and handed out in part where a recovery ends in the
  middle of one. -> Batches carry the assignment they are from, and go with it.
- Records below the last one read are dropped, although the position may have gone back. -> Nothing is compared.
- An event that a stream skips is acknowledged, even with `noack()`. -> `ack` does nothing; `acknowledge` does.
- A full queue of one agent stops the delivery to all others, and of the control table. -> `OpenQueue` takes what has
  been fetched; only fetching stops.
- A stream that has read nothing for five minutes is logged as an error, for the control table, which no stream reads,
  and for partitions whose jobs are paused as well. -> `verify_all_partitions_active` does nothing; metrics tell which
  rows wait.
- Uncommitted records are read, unless Faust itself writes with transactions, which the workers have no use for
  (decision 0015). -> Committed records only; the offsets of transaction markers are gaps that need no acknowledgement.
"""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import faust
import uvloop
from faust.transport.drivers.aiokafka import DEFAULT_GENERATION_ID, AIOKafkaConsumerThread, Consumer, Transport
from faust.types import TP, Message
from mode.utils.objects import cached_property
from mode.utils.queues import FlowControlEvent, ThrowableQueue

from runtime.clients import LOOK_MS

FETCH_WAIT_MS = 100
"""How long a fetch waits for records. There is one at a time: a partition that has room again waits for its end."""
POLL_SECONDS = 0.1
"""The worker looks again at a partition whose agent has caught up after this time, if the others have no records."""
IDLE_SECONDS = 2.0
"""A worker that has received no record for this time, and holds none back, makes its waits longer."""
IDLE_TIMES = 20
"""An idle worker's waits are this many times as long. A record that comes ends them at once."""


class Batch(dict[TP, list[Any]]):
    """Records by partition, and the assignment under which they were fetched."""

    def __init__(self, records: dict[TP, list[Any]], assignment: object) -> None:
        super().__init__(records)
        self.assignment = assignment


class NoReadOffsets(dict[TP, Any]):
    """Answers for every partition that nothing has been read, so that Faust drops no record because of its offset."""

    def __getitem__(self, _: TP) -> None:
        return None

    def __setitem__(self, _: TP, __: Any) -> None:
        pass


class _Thread(AIOKafkaConsumerThread):  # type: ignore[misc]  # Faust has no types
    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # aiokafka reads it when it starts. If a version names it otherwise, the worker must not start.
        assert consumer._isolation_level == "read_uncommitted"
        consumer._isolation_level = "read_committed"
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        consumer._consumer_timeout = LOOK_MS / 1000
        return consumer

    def __post_init__(self) -> None:
        super().__post_init__()
        self.last_heartbeat = math.inf
        """When this worker sent the last heartbeat that Kafka answered, by `clock`, while it owns partitions.

        Infinity: it owns none, or a rebalance is under way; minus infinity: the group has put it out.
        """
        self.clock: Callable[[], float] = time.monotonic
        self._last_record = time.monotonic()

    @property
    def idle(self) -> bool:
        """Whether no record has come for some time, and no partition waits for room."""
        return time.monotonic() - self._last_record > IDLE_SECONDS and not self.consumer._buffered_partitions

    async def on_start(self) -> None:
        """Start, and note which heartbeats are answered."""
        await super().on_start()
        coordinator = self._ensure_consumer()._coordinator
        beat = coordinator._do_heartbeat

        async def do_heartbeat() -> bool:
            sent_at = self.clock()
            answered: bool = await beat()
            if answered and math.isfinite(self.last_heartbeat):
                self.last_heartbeat = sent_at
            return answered

        coordinator._do_heartbeat = do_heartbeat

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """No heartbeat is sent until the group has come together again; what was lost is another worker's by then."""
        self.last_heartbeat = math.inf if self.is_member or not revoked else -math.inf
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """The group has this worker as a member."""
        self.last_heartbeat = self.clock()
        await super().on_partitions_assigned(assigned, generation_id)

    async def _fetch_records(self, *args: Any, **more: Any) -> Batch:
        records = await super()._fetch_records(*args, **more)
        if records:
            self._last_record = time.monotonic()
        consumer = self._ensure_consumer()
        consumer._fetcher._fetch_max_wait_ms = FETCH_WAIT_MS * (IDLE_TIMES if self.idle else 1)
        # No other coroutine of this thread has run since the records were taken: they are of this assignment.
        return Batch(records, self.current_assignment)

    @property
    def broken(self) -> bool:
        """Whether aiokafka's group coordinator task has ended with an error. It does not join the group again, and
        aiokafka does not raise the error to a program that reads records as Faust does."""
        if self._consumer is None:
            return False
        task = getattr(self._consumer._coordinator, "_coordination_task", None)
        return task is not None and task.done() and not task.cancelled() and task.exception() is not None

    @property
    def is_member(self) -> bool:
        """Whether this worker is a member of the group, as far as it knows. One that is not has lost its partitions."""
        return bool(self._ensure_consumer()._coordinator.generation != DEFAULT_GENERATION_ID)

    @property
    def current_assignment(self) -> object:
        """aiokafka makes a new object for each assignment."""
        subscription = self._ensure_consumer()._subscription.subscription
        return None if subscription is None else subscription.assignment


class WorkerConsumer(Consumer):  # type: ignore[misc]
    """Delivers what was fetched under the present assignment; commits what `acknowledge` was given."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._read_offset = NoReadOffsets()
        self._given_up: object = object()
        self.lost = False
        """Whether the partitions that were revoked last may have been another worker's for some time."""

    @property
    def last_heartbeat(self) -> float:
        """See the thread's; minus infinity once the member of the group has broken down: it can't recover."""
        return -math.inf if self._thread.broken else float(self._thread.last_heartbeat)

    def _new_consumer_thread(self) -> Any:
        return _Thread(self, loop=self.loop, thread_loop=uvloop.new_event_loop(), beacon=self.beacon)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:
        """The next records, as long as their partitions are assigned."""
        wait = POLL_SECONDS * IDLE_TIMES if self._thread.idle else min(timeout, POLL_SECONDS)
        batch, _ = await self._wait_next_records(wait)
        if not batch:
            return
        for tp, record in self.scheduler.iterate(batch):
            while not self.flow_active and not self.should_stop:
                await self.wait(self.can_resume_flow)
            # Read before the assignment is compared: what is of this assignment is of this generation.
            generation = self.app.consumer_generation_id
            present = self._thread.current_assignment
            if self.should_stop or present is not batch.assignment or present is self._given_up:
                return
            message = self._to_message(tp, record)
            message.generation_id = generation
            yield tp, message

    async def verify_all_partitions_active(self) -> None:
        """Nothing: a partition that stands still is no error here."""

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Drop what has come under this assignment; Faust has dropped some of it already."""
        # A recovery that began before may let the flow run again before there is another assignment.
        self._given_up = self._thread.current_assignment
        self.lost = not self._thread.is_member
        await super().on_partitions_revoked(revoked)

    def on_buffer_full(self, tp: TP) -> None:
        """Fetch no more from a partition whose agent has enough to do, during a recovery as well."""
        if self._is_changelog_tp(tp):
            super().on_buffer_full(tp)
            return
        self._get_active_partitions().discard(tp)
        self._buffered_partitions.add(tp)

    async def perform_seek(self) -> None:
        """Not needed: aiokafka began at the committed offset, or without one at the earliest; nothing is lost since."""

    def ack(self, message: Message) -> bool:
        """Faust's own acknowledgement, which counts for nothing."""
        return False

    def acknowledge(self, message: Message) -> bool:
        """Let everything up to this record be committed; to be called in the order of the offsets of each partition.

        Returns:
            False: the record came before a rebalance. It comes again, to the worker that owns its partition now.
        """
        if message.generation_id != self.app.consumer_generation_id:
            return False
        self._acked[message.tp] = [message.offset]
        return True

    def _should_commit(self, tp: TP, offset: int) -> bool:
        return True

    def _new_offset(self, tp: TP) -> int | None:
        acknowledged = self._acked.pop(tp, None)
        return acknowledged[-1] + 1 if acknowledged else None


class WorkerTransport(Transport):  # type: ignore[misc]
    """To be set as a Faust app's `transport`."""

    Consumer = WorkerConsumer


class SteadyFlow(FlowControlEvent):  # type: ignore[misc]
    """Resuming a flow that was not suspended does nothing: queues keep what has come meanwhile."""

    def resume(self) -> None:
        """Let records into the queues again, which are empty then."""
        if not self.is_active():
            super().resume()


class OpenQueue(ThrowableQueue):  # type: ignore[misc]
    """An agent's queue: from some length on nothing more is fetched for it, but what has been fetched finds room.

    One loop hands out the records of all partitions. If it waited for an agent that waits for the control table, the
    table's records would never come; if it waited for one that waits for Elasticsearch, neither would commands.
    """

    def full(self) -> bool:
        """Never; `pressure_high_size` says when fetching stops."""
        return False


class SteadyApp(faust.App):  # type: ignore[misc]
    """A Faust app that loses no record in a rebalance, and whose agents do not wait for each other."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        # The control table waits for no agent, so a full queue of it may hold back the loop that fills it.
        self.tables._changelog_queue = ThrowableQueue(
            maxsize=self.conf.stream_buffer_maxsize, flow_control=self.flow_control, clear_on_resume=True
        )

    def _create_directories(self) -> None:
        """None: all of a worker's state is in Kafka, and the root of a container may be read-only."""

    def FlowControlQueue(self, maxsize: int | None = None, *, clear_on_resume: bool = False) -> OpenQueue:  # noqa: N802
        """A queue of an agent."""
        return OpenQueue(maxsize=maxsize, flow_control=self.flow_control, clear_on_resume=clear_on_resume)

    @cached_property  # type: ignore[untyped-decorator]
    def flow_control(self) -> FlowControlEvent:
        """What suspends and resumes the queues of the agents and of the control table."""
        return SteadyFlow(loop=self.loop)
