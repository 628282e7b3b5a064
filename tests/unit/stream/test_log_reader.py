"""Parked blocks are read again from the offset that is asked for, whatever became of the read before."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from processor.metrics import WorkerMetrics
from processor.stream.log_reader import MOST_SEEKS, LogReader, PositionError
from runtime.settings import Settings
from tests.support.stubs.kafka import MOST_BYTES, MockKafka, mock_kafka
from tests.support.waiting import PATIENCE

BLOCK_BYTES = 100_000
BLOCKS = MOST_BYTES // BLOCK_BYTES + 20
"""The broker has removed the first of them."""


def tell(story: Callable[[MockKafka, LogReader], Awaitable[None]]) -> None:
    """Run a story of a reader of partition 0 of the rows topic, which holds `BLOCKS` blocks."""

    async def run() -> None:
        with mock_kafka() as kafka:
            kafka.write("rows", (bytes(BLOCK_BYTES) for _ in range(BLOCKS)))
            reader = LogReader(kafka.settings, WorkerMetrics())
            await reader.start()
            try:
                reader.assign([0])
                await asyncio.wait_for(story(kafka, reader), PATIENCE)
            finally:
                await reader.stop()

    asyncio.run(run())


async def offsets(reader: LogReader, first: int, last: int) -> list[int]:
    return [offset for offset, _ in await reader.read(0, first, last) if offset <= last]


def test_a_job_whose_blocks_are_gone_keeps_no_other_job_from_its_own() -> None:
    async def story(_: MockKafka, reader: LogReader) -> None:
        found = await reader.read(0, BLOCKS - 20, BLOCKS - 20)
        wanted = found[-1][0] + 1
        for _ in range(2):
            with pytest.raises(OffsetOutOfRangeError):
                await reader.read(0, 0, 3)
            assert await offsets(reader, wanted, wanted + 2) == [wanted, wanted + 1, wanted + 2]

    tell(story)


def test_a_read_that_was_cancelled_leaves_the_next_one_its_offsets() -> None:
    async def story(kafka: MockKafka, reader: LogReader) -> None:
        found = await reader.read(0, BLOCKS - 20, BLOCKS - 20)
        wanted = found[-1][0] + 1
        behind = asyncio.create_task(reader.read(0, BLOCKS, BLOCKS))
        await asyncio.sleep(0)
        behind.cancel()
        with pytest.raises(asyncio.CancelledError):
            await behind
        kafka.write("rows", [b"behind"] * 3)
        assert await offsets(reader, wanted, wanted + 2) == [wanted, wanted + 1, wanted + 2]

    tell(story)


class Elsewhere:
    """aiokafka's client, which reads at other offsets than it is told to, so many times."""

    def __init__(self, offsets: list[int], position: int, times: int) -> None:
        self._wrong = offsets, position
        self._times = times
        self._at = 0
        self.seeks: list[int] = []
        self.paused = False

    def assignment(self) -> set[TopicPartition]:
        return {TopicPartition("sluice.rows", 0)}

    def seek(self, _: TopicPartition, offset: int) -> None:
        self.seeks.append(offset)
        self._at = offset

    def resume(self, *_: Any) -> None:
        self.paused = False

    def pause(self, *_: Any) -> None:
        self.paused = True

    async def getmany(self, tp: TopicPartition, **_: Any) -> dict[TopicPartition, list[Any]]:
        self._times -= 1
        if self._times >= 0:
            offsets, self._at = self._wrong
        else:
            offsets = [self._at]
            self._at += 1
        return {tp: [SimpleNamespace(offset=offset, value=b"%d" % offset) for offset in offsets]} if offsets else {}

    async def position(self, _: TopicPartition) -> int:
        return self._at


WRONG = pytest.mark.parametrize(
    ("found", "position"),
    [([4, 5, 6, 7], 8), ([], 4), ([7, 8], 8), ([5, 6], 5)],
    ids=["before", "back", "beyond", "short"],
)


def read_elsewhere(client: Elsewhere, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, bytes]]:
    monkeypatch.setattr("processor.stream.log_reader.AIOKafkaConsumer", lambda **_: client)
    return asyncio.run(LogReader(Settings(), WorkerMetrics()).read(0, 5, 7))


@WRONG
def test_a_client_that_reads_elsewhere_is_told_again_where_to_read(
    monkeypatch: pytest.MonkeyPatch, found: list[int], position: int
) -> None:
    """The worker goes on: its end would hand all its partitions over, and every job would wait for that."""
    client = Elsewhere(found, position, MOST_SEEKS)
    assert read_elsewhere(client, monkeypatch) == [(offset, b"%d" % offset) for offset in (5, 6, 7)]
    assert client.seeks == [5] * (MOST_SEEKS + 1) and client.paused


@WRONG
def test_offsets_that_were_not_passed_are_not_taken_for_offsets_without_a_record(
    monkeypatch: pytest.MonkeyPatch, found: list[int], position: int
) -> None:
    client = Elsewhere(found, position, 100)
    with pytest.raises(PositionError, match="from 5 on"):
        read_elsewhere(client, monkeypatch)
    assert client.paused, "nothing is fetched until the next read"
