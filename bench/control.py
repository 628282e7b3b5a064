"""How fast commands take effect at full load, and how much paused jobs slow down a running one."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Self

import httpx2
import msgspec
from elasticsearch.helpers import scan

from bench.stack import bench_stack
from bench.upload import settle
from commandline.connection import Api
from devstack.ports import free_port
from devstack.supervision.roles import metrics_port
from runtime.clients import elasticsearch
from runtime.settings import Settings
from sample_csv.cli import sample
from sample_csv.datasets import Dataset
from schemas.descriptors.intervals import IntervalSet
from schemas.indices import data_index
from schemas.messages.blocks import BlockHead
from schemas.messages.codec import decode
from schemas.messages.lanes import LaneRecord
from verify.topic_records import records

POLL_SECONDS = 0.02
WAIT_SECONDS = 0.05
"""Interval between polls of a job whose end is awaited: more polls would load the API, on a machine of two cores."""
STATS_SECONDS = 0.01
"""Interval between polls of Elasticsearch's indexing statistics."""
BIG, MIDDLE, SMALL = 1_000_000, 100_000, 1_000
PAUSES = 50
PAUSED_JOBS = 20
ROLLBACKS = 3
ALONE = 6
"""Uploads without paused jobs, so many before and so many after those beside paused jobs."""
SMALLS = 5
"""Small jobs that are submitted while a big one runs."""
PAIRS, RESUMES = 5, 4
"""Pairs of big jobs, and how often one of a pair is resumed while the other runs."""
WARM_UPS = 3
"""Uploads before anything is measured: the servers compile their code meanwhile."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table."""

    name: str
    value: float
    unit: str
    bar: str


class Bench:
    """A running stack, its files and a client."""

    def __init__(self, config: Settings) -> None:
        self.config = config
        self.api = Api()
        self._number = 0

    def file(self, rows: int) -> Path:
        """A file of so many people; made once."""
        path = self.config.home / f"people-{rows}.csv"
        if not path.exists():
            sample(Dataset("people"), rows, path, 7)
        return path

    def start(self, rows: int, start_at: str | None = None, **options: Any) -> str:
        """Make an upload for an organisation of its own, which starts at once or then; returns the job id."""
        self._number += 1
        job = {"operation": "upload", "dataset": "people", "organisation": f"bench-{self._number}", "options": options}
        if start_at is not None:
            job["start_at"] = start_at
        return str(self.api.send_file(self.file(rows), job, None)["id"])

    def act(self, job_id: str, action: str, wait: float = 60, **body: Any) -> dict[str, Any]:
        """Send a command; returns the job once it is in a resting state."""
        return dict(self.api.call("POST", f"/v1/jobs/{job_id}/{action}", params={"wait": wait}, json=body, timeout=90))

    def rows(self, job_id: str) -> int:
        """The number of rows of a job that are applied."""
        return int(self.api.job(job_id)["progress"]["rows_applied"])

    def rate(self, job_id: str, seconds: float) -> float:
        """Rows a second that a job applies, measured from now on for so many seconds."""
        before, at = self.rows(job_id), time.perf_counter()
        time.sleep(seconds)
        return (self.rows(job_id) - before) / (time.perf_counter() - at)

    def until(
        self, job_id: str, condition: Callable[[dict[str, Any]], bool], every: float = POLL_SECONDS
    ) -> dict[str, Any]:
        """Wait until the condition is true of the job; returns the job."""
        while not condition(job := self.api.job(job_id)):
            time.sleep(every)
        return dict(job)

    def ended(self, job_id: str) -> dict[str, Any]:
        """Wait until the job has ended; returns the job."""
        ends = ("COMPLETED", "ROLLED_BACK", "FAILED", "TERMINATED")
        return self.until(job_id, lambda job: job["state"] in ends, WAIT_SECONDS)

    def documents(self, job_id: str) -> int:
        """The number of a job's documents in Elasticsearch."""
        with elasticsearch(self.config) as client:
            index = data_index(self.config.prefix, "people")
            client.indices.refresh(index=index)
            return int(client.count(index=index, query={"term": {"sluice.job_id": job_id}})["count"])

    def metric(self, name: str) -> float:
        """The value of one of the worker's metrics."""
        port = metrics_port(self.config, "worker")
        text = httpx2.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
        return float(next(line.split()[1] for line in text.splitlines() if line.startswith(f"{name} ")))

    def remaining_bytes(self, job_id: str) -> int:
        """The bytes of a job's blocks in the topic `rows` that are not applied."""
        done: dict[int, IntervalSet] = {}
        for _, key, value in records(self.config, "lanes"):
            if key.startswith(f"{job_id}/".encode()):
                lane = decode(value, LaneRecord)
                done[lane.partition] = IntervalSet(lane.applied)
        left: dict[int, int] = {}
        for partition, _, value in records(self.config, "rows"):
            head = decode(value, BlockHead)
            if head.job_id == job_id and head.block // self.config.topic_partitions not in done[partition]:
                left[head.block] = len(value)
        return sum(left.values())

    def fingerprint(self, job_id: str) -> dict[str, tuple[int, int, bytes]]:
        """Every document of a job: its id, and its version, sequence number and a hash of its source."""
        index = data_index(self.config.prefix, "people")
        with elasticsearch(self.config) as client:
            client.indices.refresh(index=index)
            query = {"query": {"term": {"sluice.job_id": job_id}}, "version": True, "seq_no_primary_term": True}
            return {
                hit["_id"]: (hit["_version"], hit["_seq_no"], sha256(msgspec.json.encode(hit["_source"])).digest())
                for hit in scan(client, index=index, query=query, size=5000)
            }


class LastWrite:
    """A context that records when Elasticsearch last wrote a document of people, to within 10 ms."""

    def __init__(self, config: Settings) -> None:
        self.at = 0.0
        """The time of the last write, by time.perf_counter."""
        self._url = f"{config.elasticsearch}/{data_index(config.prefix, 'people')}/_stats/indexing"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        """Begin to poll."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Poll once more, and stop."""
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        seen, more = -1, True
        with httpx2.Client(trust_env=False) as client:
            while more:
                more = not self._stop.wait(STATS_SECONDS)
                answer = client.get(self._url, params={"filter_path": "_all.primaries.indexing.index_total"})
                total = answer.json()["_all"]["primaries"]["indexing"]["index_total"]
                if total != seen:
                    seen, self.at = total, time.perf_counter()


def measure(only: Sequence[str] = ()) -> list[Figure]:
    """The whole table, on one stack; or only the parts named, see PARTS."""
    with bench_stack() as config:
        bench = Bench(config)
        for _ in range(WARM_UPS):
            bench.ended(bench.start(MIDDLE))
        figures: list[Figure] = []
        for name, part in PARTS.items():
            if not only or name in only:
                figures += part(bench)
        return figures


def pauses(bench: Bench) -> list[Figure]:
    """Pause a job at full load again and again; measures the time until every partition has proved that it stopped."""
    took, wrote, written = [], [], 0
    job_id = bench.start(BIG)
    for number in range(PAUSES):
        before = bench.rows(job_id)
        job = bench.until(job_id, lambda job, rows=before: _rows(job) > rows or job["state"] != "RUNNING")  # type: ignore[misc]
        if job["state"] != "RUNNING":
            job_id = bench.start(BIG)
            continue
        began = time.perf_counter()
        with LastWrite(bench.config) as last:
            job = bench.act(job_id, "pause")
            took.append((time.perf_counter() - began) * 1000)
        wrote.append(max(0.0, last.at - began) * 1000)
        assert job["state"] == "PAUSED", job
        if number == PAUSES - 1:
            count = bench.documents(job_id)
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                written = max(written, bench.documents(job_id) - count)
        bench.act(job_id, "resume")
    bench.act(job_id, "terminate", keep_rows=True)
    took.sort()
    wrote.sort()
    return [
        Figure("pause, request to last row written, median", statistics.median(wrote), "ms", "<= 150"),
        Figure("pause, request to last row written, 95th percentile", wrote[int(len(wrote) * 0.95)], "ms", "<= 400"),
        Figure("pause, request to the proof of it, median", statistics.median(took), "ms", ""),
        Figure("pause, request to the proof of it, 95th percentile", took[int(len(took) * 0.95)], "ms", ""),
        Figure("documents written in 10 s of PAUSED", written, "", "0"),
    ]


def paused_while_workers_change(bench: Bench) -> list[Figure]:
    """A paused job while a second worker joins, leaves, joins again and is killed."""
    job_id = bench.start(BIG)
    bench.until(job_id, _beyond(10_000))
    bench.act(job_id, "pause")
    count, written = bench.documents(job_id), 0
    for end in (subprocess.Popen.terminate, subprocess.Popen.kill):
        ready = bench.config.home / "second.ready"
        ready.unlink(missing_ok=True)
        with (bench.config.home / "second.log").open("ab") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "processor"],
                env={**os.environ, "SLUICE_READY_FILE": str(ready), "SLUICE_METRICS_PORT": str(free_port())},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        while not ready.exists():
            written = max(written, bench.documents(job_id) - count)
        end(worker)
        deadline = time.monotonic() + 12  # a dead worker's partitions go to another one when its session has ended
        while worker.poll() is None or time.monotonic() < deadline:
            written = max(written, bench.documents(job_id) - count)
    bench.act(job_id, "terminate", keep_rows=True)
    return [Figure("documents written while PAUSED and a second worker joins, leaves, is killed", written, "", "0")]


def reread(bench: Bench) -> list[Figure]:
    """A job is paused, another uploads 1,000,000 rows in the same partitions, the job is resumed: bytes read again."""
    job_id = bench.start(MIDDLE, rows_per_second=10_000)
    bench.until(job_id, lambda job: _rows(job) > 10_000 and job["progress"]["rows_read"] == MIDDLE)
    bench.act(job_id, "pause")
    bench.ended(bench.start(BIG))
    own = bench.remaining_bytes(job_id)
    before = bench.metric("sluice_worker_reread_bytes_total")
    bench.api.call("PUT", f"/v1/jobs/{job_id}/rate", json={"rows_per_second": None})
    bench.act(job_id, "resume", wait=0)
    bench.ended(job_id)
    read = bench.metric("sluice_worker_reread_bytes_total") - before
    return [Figure("bytes read again after 1,000,000 foreign rows, of the job's own left", read / own, "", "<= 1.1")]


def small_behind_big(bench: Bench) -> list[Figure]:
    """Submit a small job while a big one runs, again and again; measures the time until it has completed."""
    took = []
    for _ in range(SMALLS):
        big = bench.start(BIG)
        bench.until(big, _beyond(10_000))
        began = time.perf_counter()
        bench.ended(bench.start(SMALL))
        took.append(time.perf_counter() - began)
        bench.act(big, "terminate", keep_rows=True)
    return [Figure(f"1,000 rows behind 1,000,000, the longest of {SMALLS}", max(took), "s", "<= 3")]


def resume_and_terminate(bench: Bench) -> list[Figure]:
    """Two big jobs: how soon one writes after a resume, and its rate right after the other is terminated."""
    resumed, shares = [], []
    for _ in range(PAIRS):
        first, second = bench.start(BIG), bench.start(BIG)
        bench.until(second, _beyond(10_000))
        for _ in range(RESUMES):
            stopped = _rows(bench.act(first, "pause"))
            began = time.perf_counter()
            bench.act(first, "resume", wait=0)
            bench.until(first, _beyond(stopped))
            resumed.append((time.perf_counter() - began) * 1000)
        bench.act(second, "terminate", keep_rows=True)
        shares.append(bench.rate(first, 1.0) / bench.rate(first, 3.0))
        bench.act(first, "terminate", keep_rows=True)
    share = statistics.median(shares)
    return [
        Figure("first row after resume, median", statistics.median(resumed), "ms", "<= 500"),
        Figure("first row after resume, the longest", max(resumed), "ms", ""),
        Figure("rate in the first second after another job's end, of the rate later", share, "", "about 1"),
    ]


def rollback(bench: Bench) -> list[Figure]:
    """The time of a rollback beside that of the upload, and the documents of another job that it changed."""
    other = bench.start(MIDDLE)
    bench.ended(other)
    before = bench.fingerprint(other)
    ratios = []
    for _ in range(ROLLBACKS):
        began = time.perf_counter()
        job_id = bench.start(MIDDLE)
        bench.ended(job_id)
        upload = time.perf_counter() - began
        began = time.perf_counter()
        job = bench.act(job_id, "rollback")
        ratios.append((time.perf_counter() - began) / upload)
        assert job["state"] == "ROLLED_BACK" and bench.documents(job_id) == 0, job
    after = bench.fingerprint(other)
    changed = sum(after.get(name) != value for name, value in before.items()) + len(after.keys() - before.keys())
    return [
        Figure("rollback of 100,000 rows, of the time of their upload", statistics.median(ratios), "", "<= 1"),
        Figure("documents of another job that the rollbacks changed", changed, "", "0"),
    ]


def paused_jobs(bench: Bench) -> list[Figure]:
    """The time of an upload alone, and beside twenty paused jobs on the same partitions."""

    def seconds() -> float:
        settle(bench.config)
        began = time.perf_counter()
        bench.ended(bench.start(MIDDLE))
        return time.perf_counter() - began

    # Before and after, since the index grows meanwhile, and with it the work of its merges.
    alone = [seconds() for _ in range(ALONE)]
    paused = []
    for _ in range(PAUSED_JOBS):
        job_id = bench.start(MIDDLE)
        bench.act(job_id, "pause")
        paused.append(job_id)
    beside = statistics.median(seconds() for _ in range(2 * ALONE))
    for job_id in paused:
        bench.act(job_id, "terminate", keep_rows=True)
    alone += [seconds() for _ in range(ALONE)]
    return [Figure("time beside 20 paused jobs, of the time alone", beside / statistics.median(alone), "", "<= 1.05")]


PARTS: Final[dict[str, Callable[[Bench], list[Figure]]]] = {
    "pauses": pauses,
    "workers": paused_while_workers_change,
    "reread": reread,
    "small": small_behind_big,
    "shares": resume_and_terminate,
    "rollback": rollback,
    "paused-jobs": paused_jobs,
}


def _beyond(rows: int) -> Callable[[dict[str, Any]], bool]:
    return lambda job: _rows(job) > rows


def _rows(job: dict[str, Any]) -> int:
    return int(job["progress"]["rows_applied"])
