"""Records of jobs that have ended, as the control agent writes them: to see what many of them cost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from control.agent import ControlAgent
from control.creation.admission import Catalog
from control.creation.kinds import kinds
from control.jobtable import JobTable
from control.outbox import Written as Record
from runtime.datasets import load_datasets
from schemas.job import FileIdentity, Input, LaneTotals, Options, RestedLane, Source
from schemas.messages.codec import encode
from schemas.messages.commands import (
    Command,
    CreateJob,
    InputAdvanced,
    InputEnded,
    LanesDone,
    LanesRested,
    PauseJob,
    ResumeJob,
    RowsInspected,
)
from schemas.topics import TopicName

PARTITIONS = 8
_HEX = "0123456789abcdef"
_PATTERNS = 500


class Written(NamedTuple):
    """A record."""

    topic: TopicName
    key: bytes
    value: bytes | None


def ended_jobs(count: int, now_ms: int) -> Iterator[Written]:
    """The records of so many uploads of 100 organisations that have ended, in the order in which they are written.

    The control agent makes states, histories and plans of the commands of the first of them; the others are like these,
    under ids of their own. Each tenth was paused on its way.
    """
    patterns = list(_carried_out(min(count, _PATTERNS), now_ms))
    chance = random.Random(2)
    for number in range(count):
        job_id, pattern = _digits(chance, 32).encode(), patterns[number % len(patterns)]
        own = pattern[0].key
        for topic, _, value in pattern:
            yield Written(topic, job_id, None if value is None else value.replace(own, job_id))


def _carried_out(count: int, now_ms: int) -> Iterator[list[Written]]:
    """The records of each job."""
    chance = random.Random(1)
    written: list[Written] = []

    async def publish(records: Sequence[Record]) -> None:
        written.extend(Written(record.topic, record.key, record.value) for record in records)

    jobs = JobTable()
    agent = ControlAgent(jobs, Catalog(kinds(""), load_datasets()), PARTITIONS, publish)
    offset = 0
    for number in range(count):
        job_id = _digits(chance, 32)
        for command in _commands(job_id, number, chance):
            written.append(Written("commands", job_id.encode(), encode(command)))
            asyncio.run(agent.handle(offset, now_ms - (count - number) * 10, job_id.encode(), written[-1].value))
            offset += 1
        jobs.remove(job_id)  # else the rules look through all of them, each time
        yield list(written)
        written.clear()


def _digits(chance: random.Random, count: int) -> str:
    return "".join(chance.choices(_HEX, k=count))


def _commands(job_id: str, number: int, chance: random.Random) -> Iterator[Command]:
    rows = chance.randint(1_000, 200_000)
    blocks = tuple(rows // 500 // PARTITIONS + 1 for _ in range(PARTITIONS))
    totals = LaneTotals(rows_applied=rows // PARTITIONS, blocks=blocks[0], last_row=rows)
    now = chance.randint(1_700_000_000, 1_800_000_000) * 10**9
    columns: dict[str, str | None] = {name: name for name in load_datasets()["people"].columns}
    source = Source(
        name=f"people-{number}.csv", path=f"sources/{job_id}/people.csv", bytes=rows * 70, sha256=_digits(chance, 64),
        lines=rows + 1, columns=columns, identity=FileIdentity(inode=number, modified_ns=now, changed_ns=now + number),
    )  # fmt: skip
    yield CreateJob(
        job_id=job_id, by="loader", operation="upload", dataset="people", organisation=f"team-{number % 100}",
        source=source, options=Options(max_errors="5%"),
    )  # fmt: skip
    read = Input(blocks=sum(blocks), rows=rows, bytes=rows * 70, lines=rows + 1)
    yield InputAdvanced(job_id=job_id, input=read)
    yield RowsInspected(job_id=job_id, epoch=1, own_rows=1000)
    if number % 10 == 0:
        yield PauseJob(job_id=job_id, by="ada", reason="the machine is needed for something else")
        rested = {lane: RestedLane(epoch=2, totals=totals, last_offset=number) for lane in range(PARTITIONS)}
        yield LanesRested(job_id=job_id, epoch=2, lanes=rested)
        yield ResumeJob(job_id=job_id, by="ada")
    ended = Input(
        blocks=sum(blocks), rows=rows, bytes=rows * 70, lines=rows + 1, ended=True, blocks_per_partition=blocks
    )
    yield InputEnded(job_id=job_id, input=ended)
    yield LanesDone(job_id=job_id, lanes=dict.fromkeys(range(PARTITIONS), totals))
