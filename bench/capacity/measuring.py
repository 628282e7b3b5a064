"""Constants of the simulation that need no server: sizes of records, and processor time of the code that handles them.

Everything is measured in processor time of this process, so that other programs of the machine matter little.
"""

from __future__ import annotations

import csv
import gc
import io
import secrets
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass

from msgspec.structs import replace

from control.creation.admission import Catalog
from control.creation.exclusive import holder
from control.creation.kinds import BUILT_IN
from control.creation.queue import take_turns
from control.creation.quotas import usage_of
from control.creation.same_file import AppliedFiles
from control.jobtable import JobTable
from control.timers import due
from runtime.datasets import load_datasets
from runtime.files.sealing import seal
from sample_csv.datasets import Dataset
from sample_csv.rows import generate_bytes
from schemas.descriptors.intervals import IntervalSet
from schemas.job import Input, Job, LaneTotals, Options, Source, State
from schemas.messages.blocks import RowBlock
from schemas.messages.codec import decode, encode
from schemas.messages.lanes import LaneRecord

_LEAST_SECONDS = 0.3
"""Each figure is measured at least for so long."""
KEPT_JOBS = 20_000
"""States in the table whose cost is measured: enough for what a scan costs beyond its call."""
BLOCK_ROWS = 500
MOST_EXTENTS = 2000
NOW = 1_767_225_600_000


@dataclass(frozen=True, slots=True)
class Figure:
    """One constant: `name` is the field of `Constants` it is for."""

    name: str
    value: float
    unit: str


def measure() -> list[Figure]:
    """All of them, within about a minute of processor time."""
    return [*_states(), *_table(), *_lanes(), *_blocks()]


def ended_job(number: int, partitions: int = 8) -> Job:
    """The state of a job of 10,000 rows that is over, as the control table keeps it."""
    id_ = f"1k{number:012d}"
    totals = LaneTotals(rows_applied=1250, blocks=3, last_row=10_000, rows_failed=2)
    file = Source(
        path=f"sources/{id_}/people.csv", name="people.csv", bytes=900_000, sha256=secrets.token_hex(32), lines=10_001,
        columns={name: name for name in ("name", "email", "phone", "birthday", "country", "joined")},
    )  # fmt: skip
    read = Input(
        blocks=20, rows=10_000, bytes=900_000, lines=10_001, ended=True, blocks_per_partition=(3,) * partitions
    )
    return Job(
        id=id_, operation="upload", dataset="people", organisation=f"organisation-{number % 1000}", created_by="loader",
        state=State.COMPLETED, created_at=NOW, command_offset=number, partitions=partitions, epoch=1, options=Options(),
        source=file, input=read, lanes_done=dict.fromkeys(range(partitions), totals), applied=totals, started_at=NOW,
        ended_at=NOW + 9000, state_since=NOW + 9000, sealed=True, inspection="done",
        exclusive_key=f"organisation=organisation-{number % 1000},dataset=people",
    )  # fmt: skip


def _seconds(run: Callable[[], object]) -> float:
    """Processor time of one call: the least of three stretches."""
    times = 1
    while True:
        began = time.process_time()
        for _ in range(times):
            run()
        if (took := time.process_time() - began) >= _LEAST_SECONDS / 3:
            break
        times *= 4
    best = took
    for _ in range(2):
        began = time.process_time()
        for _ in range(times):
            run()
        best = min(best, time.process_time() - began)
    return best / times


def _states() -> list[Figure]:
    few, many = encode(ended_job(1, 8)), encode(ended_job(1, 256))
    per_lane = (len(many) - len(few)) / 248
    decoded = {8: _seconds(lambda: decode(few, Job)), 256: _seconds(lambda: decode(many, Job))}
    lane_us = (decoded[256] - decoded[8]) / 248 * 1e6
    return [
        Figure("state_bytes", len(few) - 8 * per_lane, "bytes"),
        Figure("state_bytes_per_lane", per_lane, "bytes"),
        Figure("state_us", decoded[8] * 1e6 - 8 * lane_us, "µs"),
        Figure("state_us_per_lane", lane_us, "µs"),
    ]


def _table() -> list[Figure]:
    jobs = JobTable()
    values = [encode(ended_job(number)) for number in range(KEPT_JOBS)]
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for value in values:
        jobs.put(decode(value, Job))
    held = (tracemalloc.get_traced_memory()[0] - before) / KEPT_JOBS
    tracemalloc.stop()
    return [Figure("table_bytes_per_job", held, "bytes"), *_commands()]


def _commands() -> list[Figure]:
    """What the rules look through for a job that is made and ends: those of its organisation, and those not over."""
    catalog, new = Catalog(BUILT_IN, load_datasets()), ended_job(KEPT_JOBS + 1)
    own, others = JobTable(), JobTable()
    for number in range(KEPT_JOBS):
        own.put(replace(ended_job(number), organisation=new.organisation))
        others.put(replace(ended_job(number), state=State.PAUSED, ended_at=None))

    def look(jobs: JobTable) -> None:
        usage_of(new.organisation, jobs.of(new.organisation))
        AppliedFiles(jobs.of, catalog).before(new)
        holder(jobs.busy_or_queued(), "organisation=another,dataset=people")
        take_turns(jobs.not_ended(), catalog.quotas, lambda job: job, 1)

    return [
        Figure("own_job_us", _seconds(lambda: look(own)) / KEPT_JOBS * 1e6, "µs"),
        Figure("open_job_us", _seconds(lambda: look(others)) / KEPT_JOBS * 1e6, "µs"),
        Figure("timers_us", _seconds(lambda: due(others.not_ended(), NOW)) / KEPT_JOBS * 1e6, "µs"),
    ]


def _lanes() -> list[Figure]:
    def record(extents: int) -> LaneRecord:
        spans = IntervalSet((1_000_000 + 7 * number, 1_000_000 + 7 * number) for number in range(extents)).intervals()
        return LaneRecord(
            job_id="1k000000000001", partition=17, partitions=64, at=NOW, last_offset=1_000_000 + 7 * extents,
            totals=LaneTotals(rows_applied=125_000, blocks=250, last_row=1_000_000), applied=((0, 249),),
            todo=tuple((first, last, last - first + 1) for first, last in spans),
        )  # fmt: skip

    few, many = record(1), record(MOST_EXTENTS)
    size, most = len(encode(few)), len(encode(many))
    short = encode(few)
    write, read = _seconds(lambda: encode(few)), _seconds(lambda: decode(short, LaneRecord))
    return [
        Figure("lane_record_bytes", size, "bytes"),
        Figure("lane_bytes_per_extent", (most - size) / (MOST_EXTENTS - 1), "bytes"),
        Figure("lane_us", (write + read) * 1e6, "µs"),
    ]


def _blocks() -> list[Figure]:
    text = generate_bytes(Dataset.PEOPLE, 20 * BLOCK_ROWS, 7)
    header, *rows = csv.reader(io.StringIO(text.decode(), newline=""))
    sizes = 0
    key = secrets.token_bytes(32)
    for at in range(0, len(rows), BLOCK_ROWS):
        block = RowBlock(
            job_id="1k000000000001", block=at // BLOCK_ROWS, first_row=at + 1, columns=header,
            rows=rows[at : at + BLOCK_ROWS], first_line=at + 2,
        )  # fmt: skip
        sizes += len(encode(seal(block, key)))
    return [
        Figure("file_bytes_per_row", len(text) / len(rows), "bytes"),
        Figure("kafka_bytes_per_row", sizes / len(rows), "bytes"),
    ]


if __name__ == "__main__":
    for figure in measure():
        print(f"{figure.name:<26} {figure.value:>10.3f} {figure.unit}")
