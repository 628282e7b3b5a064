"""Whether a row costs the same however many there are, and however many jobs share them; and an export's first row.

A script that loads the same files stands beside the uploads: what a row costs more there in a larger file is
Elasticsearch's.
"""

from __future__ import annotations

import csv
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Final

from bench.control import Bench
from bench.export import start as start_export
from bench.stack import bench_stack, cpu_seconds, peak_megabytes
from bench.upload import REQUEST_ROWS, WARM_UPS, settle, upload
from commandline.connection import Api
from processor.elastic.documents import document_lines
from runtime.clients import elasticsearch
from runtime.datasets import load_datasets
from runtime.settings import Settings
from sample_csv.cli import sample
from sample_csv.datasets import Dataset
from schemas.indices import data_mapping, index_settings

FEWEST: Final = 10_000
WARM_UP_ROWS: Final = 300_000
JOBS: Final = (1, 10, 100, 1000)
SMALL_ROUNDS: Final = 3
"""How often sizes below a million are measured."""
LEAD_SECONDS: Final = 10.0
LEAD_SECONDS_A_JOB: Final = 0.05
"""Jobs that are to begin together begin this long after the first one is sent."""
POLL_SECONDS: Final = 0.02
OWN_ROLES: Final = ("api", "ingest", "worker")
ORGANISATION: Final = "flat"
INDEX: Final = "bench-flat"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Figure:
    """Some rows, in one job or in several at once; medians where there were rounds."""

    rows: int
    jobs: int
    microseconds_per_row: float
    """From POST to COMPLETED, without what a job of one row takes; of jobs that begin together from the first start to
    the last end."""
    script_microseconds_per_row: float | None
    """Of a script that loads the file, without what one row takes it; None: not measured."""
    cpu_microseconds_per_row: float
    """Processor time of the API, the reader and the workers."""
    peak_megabytes: dict[str, float]
    """Role -> the most memory of a process so far."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What one run measured."""

    one_row_seconds: float
    sizes: list[Figure]
    at_once: list[Figure]
    export_first_row_seconds: float
    """From the request until the first rows are in a part of the export, over all rows of the largest size."""


def measure(most: int, shared_rows: int, say: Say) -> Figures:
    """Upload ever more rows, ten times as many each time, up to `most`; then `shared_rows` in ever more jobs."""
    with bench_stack() as config:
        script = Script(config)
        for number in range(WARM_UPS):
            upload(_file(config, WARM_UP_ROWS), f"warm-up-{number}")
            upload(_file(config, FEWEST), f"warm-up-small-{number}")
            script.load(_file(config, WARM_UP_ROWS))
        one = statistics.median(upload(_file(config, 1), f"one-{number}")[0] for number in range(5))
        script_one = statistics.median(script.load(_file(config, 1)) for _ in range(5))
        sizes = []
        for rows in _sizes(most):
            runs = []
            for number in range(SMALL_ROUNDS if rows < 1_000_000 else 1):
                owner = ORGANISATION if rows == most else f"flat-{rows}-{number}"
                measured = _one(config, rows, owner if not number else f"{owner}-{number}")
                settle(config)
                runs.append((*measured, script.load(_file(config, rows))))
            wall, used, beside = (statistics.median(values) / rows * 1e6 for values in zip(*runs, strict=True))
            figure = Figure(
                rows, 1, wall - one / rows * 1e6, beside - script_one / rows * 1e6, used, peak_megabytes(config)
            )
            sizes.append(figure)
            say(f"{rows:,} rows: {wall:.1f} µs a row, {beside:.1f} in a script")
        first = _export_first_row(Bench(config))
        say(f"the first row of an export of {most:,} rows: {first:.2f} s")
        at_once = []
        for jobs in JOBS:
            at_once.append(_together(config, jobs, shared_rows // jobs))
            say(f"{shared_rows:,} rows in {jobs:,} jobs at once: {at_once[-1].microseconds_per_row:.1f} µs a row")
        return Figures(one, sizes, at_once, first)


def _sizes(most: int) -> list[int]:
    sizes = [FEWEST * 10**power for power in range(9) if FEWEST * 10**power < most]
    return [*sizes, most]


def _file(config: Settings, rows: int) -> Any:
    file = config.home / f"people-{rows}.csv"
    if not file.exists():
        sample(Dataset.PEOPLE, rows, file, 7)
    return file


def _one(config: Settings, rows: int, owner: str) -> tuple[float, float]:
    settle(config)
    before = _own_cpu(config)
    seconds, _ = upload(_file(config, rows), owner)
    return seconds, _own_cpu(config) - before


def _together(config: Settings, jobs: int, rows: int) -> Figure:
    """Measure `jobs` jobs of so many rows, each of an organisation of its own, that begin at the same time."""
    settle(config)
    api, before = Api(), _own_cpu(config)
    begin = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=LEAD_SECONDS + jobs * LEAD_SECONDS_A_JOB)
    job = {"operation": "upload", "dataset": "people", "start_at": begin.isoformat(timespec="seconds")}
    file = _file(config, rows)
    ids = [
        str(api.send_file(file, {**job, "organisation": f"at-once-{jobs}-{number}"}, None)["id"])
        for number in range(jobs)
    ]
    assert datetime.now(UTC) < begin, "the jobs took longer to send than the time until their start"
    ended = [_ended(api, job_id) for job_id in ids]
    assert all(job["state"] == "COMPLETED" for job in ended), [job["state"] for job in ended]
    first, last = min(job["started_at"] for job in ended), max(job["ended_at"] for job in ended)
    seconds = _moment(last) - _moment(first)
    total = jobs * rows
    used = _own_cpu(config) - before
    return Figure(total, jobs, seconds / total * 1e6, None, used / total * 1e6, peak_megabytes(config))


def _ended(api: Api, job_id: str) -> dict[str, Any]:
    while (job := api.job(job_id))["state"] in ("QUEUED", "RUNNING"):
        time.sleep(0.2)
    return dict(job)


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _export_first_row(bench: Bench) -> float:
    """Export everything of the largest job's organisation; the time until the job reports its first rows."""
    settle(bench.config)
    began = time.perf_counter()
    job_id = str(start_export(organisation=ORGANISATION)["id"])
    bench.until(job_id, lambda job: job["progress"]["rows_applied"] > 0, POLL_SECONDS)
    took = time.perf_counter() - began
    bench.act(job_id, "terminate")
    return took


class Script:
    """What a script does that loads a file over one connection: it makes the lines of each request from the CSV.

    Its index grows from file to file as the dataset's does.
    """

    def __init__(self, config: Settings) -> None:
        """Make its index, as the dataset's is."""
        self._config, self._files = config, 0
        with elasticsearch(config) as client:
            client.indices.create(
                index=INDEX,
                mappings=data_mapping(load_datasets()["people"]),
                settings=index_settings(config.elasticsearch_replicas, config.elasticsearch_shards),
            )

    def load(self, file: Path) -> float:
        """Load all rows of a file; returns the seconds that took."""
        self._files += 1
        began = time.perf_counter()
        with elasticsearch(self._config) as client:
            for lines in self._requests(file):
                assert not client.bulk(index=INDEX, operations=lines, filter_path="errors")["errors"]
        return time.perf_counter() - began

    def _requests(self, file: Path) -> Iterator[Any]:
        with file.open(encoding="utf-8", newline="") as text:
            rows = csv.reader(text)
            columns, first = next(rows), 1
            while some := list(islice(rows, REQUEST_ROWS)):
                numbers = range(first, first + len(some))
                job_id = f"1kbenchscript{self._files:03}"
                yield document_lines(job_id, ORGANISATION, columns, numbers, list(zip(*some, strict=True)))
                first += len(some)


def _own_cpu(config: Settings) -> float:
    used = cpu_seconds(config)
    return sum(used.get(role, 0.0) for role in OWN_ROLES)
