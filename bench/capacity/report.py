"""The tables of docs/scaling.md, in lines of Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from bench.capacity.checks import checked
from bench.capacity.cluster import Outcome
from bench.capacity.defaults import CONSTANTS, MEASURED
from bench.capacity.sizing import (
    kafka_gigabytes,
    look_seconds,
    saturating,
    size_all,
    start_cpu_seconds,
    table_megabytes,
)

PARTS: Final = ("control", "readers", "busiest worker", "elasticsearch")
WORKERS: Final = (1, 2, 4, 8, 16, 32, 100)
JOB_ROWS: Final = (1_000, 10_000, 100_000, 10_000_000)
KEPT: Final = (1_000, 10_000, 100_000, 1_000_000)
PARTITIONS: Final = (8, 64, 256, 1000)
BILLION: Final = 1_000_000_000
FILE_DAYS: Final = 30


def markdown(head: Sequence[str], lines: Iterable[Sequence[str]]) -> Iterator[str]:
    """A table."""
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for line in lines:
        yield f"| {' | '.join(line)} |"


def measured_tables() -> Iterator[str]:
    """What `bench capacity` has measured."""
    c, points = CONSTANTS, MEASURED.points
    yield f"{MEASURED.conditions}."
    yield ""
    row = {"Elasticsearch": c.elasticsearch_us, "worker": c.worker_us, "Kafka": c.kafka_us, "reader": c.reader_us}
    alone, many = f"{points.upload_rows:,}", f"{points.jobs:,} jobs of {points.rows_of_a_job:,}"
    found = {
        f"an upload of {alone} rows": f"{points.upload_rows_per_second:,.0f} rows/s; all processes together used "
        f"{points.cores:.2f} cores",
        "processor time of a row": f"{', '.join(f'{role} {used:.1f} µs' for role, used in row.items())}, "
        f"the rest {c.api_us:.1f} µs",
        f"{many} rows that begin at once": f"{points.jobs_seconds:.1f} s to the end of the last one",
        "a job of one row": f"{c.least_seconds:.2f} s from the request to its end; {c.job_us / 1000:.0f} ms of "
        f"processor time, {c.job_worker_us / 1000:.0f} of it a worker's and {c.job_elasticsearch_us / 1000:.0f} "
        "Elasticsearch's",
        f"{points.small_rows:,} rows behind {points.behind_rows:,}": f"{points.small_seconds:.2f} s",
        "commands, while many wait": f"{1000 / c.command_ms:,.0f} a second, {c.command_us:,.0f} µs of processor time",
        "a worker's start": f"{c.start_seconds:.1f} s of processor time; {c.table_record_us:,.0f} µs more for each job "
        f"kept, {c.lane_read_us:,.0f} µs for each lane",
        "a job kept": f"{c.table_bytes_per_job:,.0f} bytes of memory in each process; {c.own_job_us:.2f} µs for each "
        "further job of the same organisation that is made and ends",
        "a lane's record": f"{c.lane_record_bytes:.0f} bytes, and {c.lane_bytes_per_extent:.0f} for each stretch of "
        "blocks to do",
        "a job's state": f"{c.state_bytes:.0f} bytes, and {c.state_bytes_per_lane:.0f} for each partition",
        "a row of people": f"{c.file_bytes_per_row:.0f} bytes in the file, {c.kafka_bytes_per_row:.0f} in a sealed "
        f"block, {c.index_bytes_per_row:.0f} in the index",
    }
    yield from markdown(["", "measured"], ([name, value] for name, value in found.items()))


def simulated_tables() -> Iterator[str]:
    """The simulation beside the points, and beyond them."""
    yield from ("**Beside what was measured**", "")
    yield from markdown(["", "measured", "simulated", "off by"], [point.cells() for point in checked()])
    yield from ("", "**Clusters for a day's load**, by its busiest hour; percentages say how busy a part is then", "")
    yield from sizing_table()
    yield from ("", "**What is busiest first**: rows a second, with as many jobs of one size as the workers take", "")
    yield from saturation_table()
    yield from ("", "**More partitions**: eight workers, jobs of 100,000 rows, as many as they take", "")
    yield from partition_table()
    yield from ("", "**Jobs in the control table**", "")
    yield from kept_table()


def disk_table() -> Iterator[str]:
    """Reckoned, for a billion rows a day."""
    c = CONSTANTS
    files, index = BILLION * c.file_bytes_per_row, BILLION * c.index_bytes_per_row
    lines = [
        ["Kafka, `rows`", "14 days", f"rows x {c.kafka_bytes_per_row:.0f} bytes x 14 x replication: "
         f"{kafka_gigabytes(BILLION) / 1000:.1f} TB at 3"],
        ["storage, uploaded files", f"`uploaded_files`, {FILE_DAYS} days", f"rows x {c.file_bytes_per_row:.0f} bytes x "
         f"{FILE_DAYS}: {files * FILE_DAYS / 1e12:.1f} TB; with 3 days a tenth of it"],
        ["Elasticsearch", "until you delete", f"rows x {c.index_bytes_per_row:.0f} bytes x (1 + replicas): "
         f"{2 * index / 1e9:,.0f} GB each day with one replica; as much as the largest shards again, for merges"],
        ["`commands`, `job-events`", "30, 400 days", "a few hundred bytes for each command: about 10 GB for 10,000 "
         "jobs a day"],
        ["progress, dead letters, before-images", "7, 30, 30 days", "a small part, unless most rows fail or overwrite "
         "others"],
    ]  # fmt: skip
    return markdown(["store", "how long", "for a billion rows a day"], lines)


def sizing_table() -> Iterator[str]:
    """A line for each load."""
    head = ["load", "rows a day", "jobs a day", "kept", "workers", "partitions", "readers", "es cores"]
    head += [*PARTS, "95% of jobs", "table", "blocks"]
    lines = []
    for found in size_all():
        load, cluster, outcome = found.load, found.cluster, found.outcome
        lines.append(
            [
                load.name,
                f"{load.rows_a_day:,}",
                f"{load.jobs:,}",
                f"{load.kept_jobs:,}",
                f"{cluster.workers}" if found.fits else "none is enough",
                f"{cluster.partitions}",
                f"{cluster.readers}",
                f"{cluster.elasticsearch_cores:g}",
                *(f"{outcome.busy[part]:.0%}" for part in PARTS),
                f"{outcome.percentile(95):.1f} s",
                f"{table_megabytes(load.kept_jobs):,.0f} MB",
                f"{kafka_gigabytes(load.rows_a_day):,.0f} GB",
            ]
        )
    return markdown(head, lines)


def saturation_table() -> Iterator[str]:
    """A line for each number of workers, a column for each size of job."""
    lines = [[f"{workers}", *(_limit(saturating(workers, rows)) for rows in JOB_ROWS)] for workers in WORKERS]
    return markdown(["workers", *(f"jobs of {rows:,} rows" for rows in JOB_ROWS)], lines)


def _limit(outcome: Outcome) -> str:
    part = max(PARTS, key=lambda name: outcome.busy[name])
    return f"{outcome.rows_per_second:,.0f}; {part} {outcome.busy[part]:.0%}"


def partition_table() -> Iterator[str]:
    """A line for each number of partitions."""
    lines = []
    for partitions in PARTITIONS:
        outcome = saturating(8, 100_000, partitions)
        state = CONSTANTS.state_bytes + CONSTANTS.state_bytes_per_lane * partitions
        lines.append(
            [
                f"{partitions:,}",
                f"{outcome.rows_per_second:,.0f}",
                *(f"{outcome.busy[part]:.0%}" for part in PARTS),
                f"{state / 1000:,.1f} KB",
            ]
        )
    return markdown(["partitions", "rows/s", *PARTS, "a job's state, with every lane in it"], lines)


def kept_table() -> Iterator[str]:
    """What a table of so many jobs costs each process; and each further job, if one organisation has them all."""
    lines = [
        [
            f"{kept:,}",
            f"{table_megabytes(kept):,.0f} MB",
            f"{start_cpu_seconds(kept, 0):,.0f} s",
            f"{look_seconds(kept) * 1000:,.1f} ms",
            f"{look_seconds(kept) / 100 * 1000:,.2f} ms",
        ]
        for kept in KEPT
    ]
    head = ["jobs kept", "memory", "start of a worker", "a new job, of one organisation that has them all", "of 100"]
    return markdown(head, lines)
