"""Faust's consumer, but it reads committed records only: blocks of an aborted transaction must never be seen.

Faust does so by itself only where it writes with transactions as well, which the workers have no use for (decision
0015). Offsets that hold transaction markers are gaps to it, as those of a compacted topic are.
"""

from __future__ import annotations

from typing import Any

from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport


class _CommittedThread(AIOKafkaConsumerThread):  # type: ignore[misc]  # Faust has no types for us
    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # aiokafka looks at it when it starts. If it is called otherwise one day, the worker must not start.
        assert consumer._isolation_level == "read_uncommitted"
        consumer._isolation_level = "read_committed"
        return consumer


class _CommittedConsumer(Consumer):  # type: ignore[misc]
    def _new_consumer_thread(self) -> Any:
        return _CommittedThread(self, loop=self.loop, beacon=self.beacon)

    def _new_offset(self, tp: Any) -> int | None:
        # Faust looks for the first offset that is not acknowledged. Where there are many gaps it finds each of them
        # again, one a commit, and falls behind. We acknowledge in the order of the offsets (architecture.md): whatever
        # lies before the newest is acknowledged, or no record.
        acked = self._acked[tp]
        if not acked:
            return None
        newest = int(max(acked))
        acked.clear()
        self._acked_index[tp].clear()
        self._gap[tp].chop(0, newest + 1)
        return newest + 1


class CommittedTransport(Transport):  # type: ignore[misc]
    """To be set as a Faust app's `transport`."""

    Consumer = _CommittedConsumer
