"""What Faust delivers and commits around a rebalance."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import math
from collections import defaultdict
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from faust.tables.recovery import ServiceStopped
from faust.types import TP
from mode.utils.queues import FlowControlQueue

from processor.stream.faust_app import make_app, pass_over_stopped_tasks
from processor.stream.transport import Batch, NoReadOffsets, SteadyFlow, WorkerConsumer, _Thread
from runtime.settings import Settings
from tests.support.waiting import PATIENCE

PARTITION = TP("rows", 0)


class Records:
    """A consumer without Kafka: a batch was fetched under one assignment, and delivered while another may be there."""

    def __init__(self, offsets: list[int], flows: bool = True) -> None:
        self.consumer: Any = object.__new__(WorkerConsumer)
        self.app = SimpleNamespace(consumer_generation_id=3)
        self.thread = SimpleNamespace(current_assignment=object(), is_member=True, idle=False)
        self.batch = Batch({PARTITION: [SimpleNamespace(offset=offset) for offset in offsets]}, self.now)
        self.resumed = asyncio.Event()
        more = {
            "app": self.app,
            "_thread": self.thread,
            "flow_active": flows,
            "can_resume_flow": self.resumed,
            "scheduler": SimpleNamespace(iterate=lambda batch: [(tp, item) for tp in batch for item in batch[tp]]),
            "_stopped": asyncio.Event(),
            "_crashed": asyncio.Event(),
            "_acked": defaultdict(list),
            "_given_up": object(),
            "_to_message": lambda tp, record: SimpleNamespace(tp=tp, offset=record.offset, generation_id=None),
            "_wait_next_records": self._next,
            "wait": lambda event: event.wait(),
        }
        for name, value in more.items():
            object.__setattr__(self.consumer, name, value)

    @property
    def now(self) -> object:
        return self.thread.current_assignment

    def rebalance(self) -> None:
        self.thread.current_assignment = object()
        self.app.consumer_generation_id += 1

    async def _next(self, _: float) -> tuple[Batch, None]:
        return self.batch, None

    async def delivered(self, meanwhile: Callable[[int], None] = lambda _: None) -> list[Any]:
        """The messages; `meanwhile(offset)` happens after each of them."""
        found = []
        async for _, message in self.consumer.getmany(1.0):
            found.append(message)
            meanwhile(message.offset)
        return found

    def committed(self) -> int | None:
        """What a commit would tell Kafka now."""
        offset: int | None = self.consumer._new_offset(PARTITION)
        return offset


def test_a_batch_is_delivered_in_order_and_whatever_was_read_before() -> None:
    async def story() -> None:
        records = Records([7, 8, 11])
        assert [message.offset for message in await records.delivered()] == [7, 8, 11]

    asyncio.run(story())
    offsets = NoReadOffsets()
    offsets[PARTITION] = 99
    assert offsets[PARTITION] is None


def test_the_rest_of_a_batch_from_before_a_rebalance_is_not_delivered() -> None:
    async def story() -> None:
        records = Records([1, 2, 3, 4])
        found = await records.delivered(lambda offset: records.rebalance() if offset == 2 else None)
        assert [message.offset for message in found] == [1, 2]
        assert {message.generation_id for message in found} == {3}

    asyncio.run(story())


def test_the_rest_of_a_batch_is_not_delivered_once_its_partitions_are_revoked() -> None:
    """Part of what came before is gone from the queues: to deliver the rest would leave a gap, and commit it."""

    async def story() -> None:
        records = Records([1, 2, 3, 4])

        async def nothing(*_: Any, **__: Any) -> None: ...

        more = {
            "_active_partitions": None,
            "_paused_partitions": set(),
            "_on_partitions_revoked": nothing,
            "_committed_offset": {},
            "_read_offset": NoReadOffsets(),
            "_gap": {},
            "_acked_index": {},
            "diag": SimpleNamespace(set_flag=lambda _: None, unset_flag=lambda _: None),
        }
        for name, value in more.items():
            object.__setattr__(records.consumer, name, value)
        records.app._start_span_from_rebalancing = lambda _: contextlib.nullcontext()
        found = []
        async for _, message in records.consumer.getmany(1.0):
            found.append(message.offset)
            if message.offset == 2:
                await records.consumer.on_partitions_revoked({PARTITION})
        assert found == [1, 2] and not records.consumer.lost
        records.thread.is_member = False
        await records.consumer.on_partitions_revoked({PARTITION})
        assert records.consumer.lost

    asyncio.run(story())


def test_a_partition_that_stands_still_is_no_error() -> None:
    """As that of the control table, which no stream reads, and those of paused jobs; Faust logs one otherwise."""
    records = Records([1])
    records.thread.verify_event_path = lambda *_: pytest.fail("Faust looks for streams that stand still")
    records.consumer.assignment = lambda: {PARTITION}
    asyncio.run(records.consumer.verify_all_partitions_active())


def test_a_batch_waits_while_the_flow_is_stopped() -> None:
    async def story() -> None:
        records = Records([1, 2], flows=False)
        waiting = asyncio.create_task(records.delivered())
        await asyncio.sleep(0)
        assert not waiting.done()
        records.consumer.flow_active = True
        records.resumed.set()
        assert [message.offset for message in await waiting] == [1, 2]

    asyncio.run(story())


def test_only_what_the_worker_acknowledges_is_committed() -> None:
    async def story() -> None:
        records = Records([3, 5, 9])
        first, second, third = await records.delivered()
        records.consumer.ack(third)  # as a stream does with what it skips
        assert records.committed() is None
        records.consumer.acknowledge(first)
        assert records.consumer.acknowledge(second)
        assert records.committed() == 6
        assert records.committed() is None
        records.rebalance()
        assert not records.consumer.acknowledge(third)
        assert records.committed() is None

    asyncio.run(story())


def test_a_queue_keeps_what_has_come_when_a_running_flow_is_resumed() -> None:
    async def story() -> None:
        flow = SteadyFlow()
        queue: Any = FlowControlQueue(flow_control=flow, clear_on_resume=True)
        flow.resume()
        await queue.put("a record")
        flow.resume()
        assert queue.qsize() == 1
        flow.suspend()
        flow.resume()
        assert queue.empty()

    asyncio.run(story())


def test_an_agent_that_is_busy_keeps_nobody_from_the_records_that_come_after_its_own() -> None:
    async def story() -> None:
        app = make_app(Settings())
        try:
            agent = app.topic("rows", key_type=bytes, value_type=bytes).clone(is_iterator=True)
            table = TP("jobs", 0)
            app.consumer._active_partitions = {PARTITION, table}
            deliver = app.topics._build_handler(PARTITION, {agent})
            app.flow_control.resume()
            for offset in range(600):
                await asyncio.wait_for(deliver(message_at(app, offset)), PATIENCE)
            assert [agent.queue.get_nowait().message.offset for _ in range(450)] == list(range(450))
            assert app.consumer._active_partitions == {table}, "more has been fetched for it"
            for _ in range(150):
                await agent.queue.get()
            assert app.consumer._active_partitions == {PARTITION, table}
        finally:
            app.consumer._thread.thread_loop.close()

    asyncio.run(story())


def message_at(app: Any, offset: int) -> Any:
    """A record as Faust's consumer hands it on."""
    names = "timestamp timestamp_type headers checksum serialized_key_size serialized_value_size"
    more = dict.fromkeys(names.split())
    record = SimpleNamespace(topic="rows", partition=0, offset=offset, key=b"", value=b"", **more)
    return app.consumer._to_message(PARTITION, record)


def test_a_worker_whose_membership_has_broken_down_has_no_lease() -> None:
    """aiokafka's coordinator task ends with an error when Kafka's metadata names no broker for a moment."""

    async def story() -> None:
        thread: Any = object.__new__(_Thread)
        thread.__dict__.update(last_heartbeat=math.inf, _consumer=None)
        consumer: Any = object.__new__(WorkerConsumer)
        object.__setattr__(consumer, "_thread", thread)
        assert consumer.last_heartbeat == math.inf

        async def breaks() -> None:
            raise AssertionError("Did we not perform bootstrap?")

        async def ends() -> None: ...

        for work, heartbeat in ((breaks, -math.inf), (ends, math.inf)):
            task = asyncio.create_task(work())
            await asyncio.wait([task])
            thread._consumer = SimpleNamespace(_coordinator=SimpleNamespace(_coordination_task=task))
            assert consumer.last_heartbeat == heartbeat
        running = asyncio.create_task(asyncio.sleep(60))
        thread._consumer = SimpleNamespace(_coordinator=SimpleNamespace(_coordination_task=running))
        assert consumer.last_heartbeat == math.inf
        running.cancel()

    asyncio.run(story())


def test_a_task_that_ends_with_its_service_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    async def ended(error: Exception) -> None:
        raise error

    async def scenario() -> None:
        pass_over_stopped_tasks(asyncio.get_running_loop())
        for error in (ServiceStopped(), ValueError("lost")):
            task = asyncio.create_task(ended(error))
            await asyncio.wait([task])
            del task
        gc.collect()

    asyncio.run(scenario())
    # What other tests of this process have left behind is collected here as well.
    told = [record.exc_info[1] for record in caplog.records if record.exc_info]
    assert [str(error) for error in told if isinstance(error, ServiceStopped | ValueError)] == ["lost"]
