"""Jobs as records of Kafka, without the work that they would have been: many are in the table at once."""

from __future__ import annotations

import time
from collections.abc import Iterator

from confluent_kafka import Producer
from msgspec.structs import replace

from bench.capacity.measuring import NOW, ended_job
from runtime.clients import librdkafka_config
from runtime.settings import Settings
from schemas.job import Job, LaneTotals, State
from schemas.messages.codec import encode
from schemas.messages.commands import SetRate
from schemas.messages.formats import format_headers
from schemas.messages.lanes import LaneRecord, lane_key
from schemas.topics import TopicName, topic_name

Record = tuple[TopicName, bytes, bytes, int]
FLUSH_SECONDS = 60.0


class Seeds:
    """Appends records to the topics of one stack."""

    def __init__(self, config: Settings) -> None:
        self._config = config
        self._producer = Producer({**librdkafka_config(config), "acks": "all", "enable.idempotence": True})
        self._jobs = 0
        self._rate = 0

    def ended(self, count: int) -> None:
        """Add `count` jobs that have ended: their states alone, without rows, lanes or history."""
        self._append(("jobs", job.id.encode(), encode(job), 0) for job in self._more(count))

    def paused(self, count: int) -> list[str]:
        """Add `count` paused jobs, with a lane on each partition; returns their ids."""
        jobs = [paused(job) for job in self._more(count)]
        self._append(record for job in jobs for record in _records(job))
        return [job.id for job in jobs]

    def rates(self, job_id: str, count: int) -> float:
        """Send `count` commands that each change the rate of one job; returns the rate that the last one sets."""
        commands = []
        for _ in range(count):
            self._rate += 1
            commands.append(SetRate(job_id=job_id, by="bench", rows_per_second=self._rate))
        self._append(("commands", job_id.encode(), encode(command), 0) for command in commands)
        return float(self._rate)

    def _more(self, count: int) -> Iterator[Job]:
        for _ in range(count):
            self._jobs += 1
            job = ended_job(self._jobs, self._config.topic_partitions)
            now = int(time.time() * 1000)  # what ended long ago would leave the table
            # Offset 0 hides none of the commands to come but the first.
            yield replace(job, command_offset=0, created_at=now, started_at=now, ended_at=now, state_since=now)

    def _append(self, records: Iterator[Record]) -> None:
        failed: list[str] = []
        for topic, key, value, partition in records:
            self._producer.produce(
                topic_name(self._config.prefix, topic), key=key, value=value, partition=partition,
                headers=format_headers(), on_delivery=lambda error, _: failed.append(str(error)) if error else None,
            )  # fmt: skip
            self._producer.poll(0)
        assert self._producer.flush(FLUSH_SECONDS) == 0 and not failed, failed[:1]


def paused(job: Job) -> Job:
    """The job in the midst of its rows: read to the end, and half of them written."""
    return replace(job, state=State.PAUSED, ended_at=None, applied=None, lanes_done={})


def _records(job: Job) -> Iterator[Record]:
    yield "jobs", job.id.encode(), encode(job), 0
    for partition in range(job.partitions):
        lane = LaneRecord(
            job_id=job.id, partition=partition, partitions=job.partitions, applied=((0, 0),), todo=((0, 1, 2),),
            totals=LaneTotals(rows_applied=500, blocks=1, last_row=500), last_offset=1, at=NOW,
        )  # fmt: skip
        yield "lanes", lane_key(job.id, partition, "apply"), encode(lane), partition
