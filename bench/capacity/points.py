"""Uploads on one worker that give the costs of a row, and the points that the simulation is checked with."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.capacity.constants import Points
from bench.control import Bench
from bench.stack import bench_stack, cpu_seconds
from bench.upload import settle, upload
from runtime.clients import elasticsearch
from runtime.settings import Settings

ROUNDS, ONE_ROW, SMALLS = 3, 50, 3
SMALL_ROWS = 1000
LEAD_SECONDS, LEAD_SECONDS_A_JOB = 10.0, 0.1
"""Jobs that are to begin together begin this long after the first one is sent."""
POLL_SECONDS = 0.2

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Uploads:
    """Microseconds of each role for a row and for a job, bytes of a row in the index, seconds of a job of one row; and
    the points."""

    row_us: dict[str, float]
    job_us: dict[str, float]
    """Microseconds of each role for a job of one row."""
    index_bytes_per_row: float
    least_seconds: float
    points: Points


def measure(rows: int, jobs: int, say: Say) -> Uploads:
    """Uploads of `rows` people; `jobs` of them at once, small ones; small ones behind a large one."""
    with bench_stack() as config:
        bench = Bench(config)
        upload(bench.file(rows), "warm-up")
        least, job_us = _small_ones(config, bench)
        runs = [_upload(config, bench, rows, number) for number in range(ROUNDS)]
        used = {role: statistics.median(run[1][role] for run in runs) for role in runs[0][1]}
        seconds = statistics.median(run[0] for run in runs)
        say(f"{rows:,} rows in {seconds:.1f} s, {sum(used.values()):.1f} s of processor time")
        size = _index_bytes(config)
        at_once, cores = _together(config, bench, jobs)
        say(f"{jobs} jobs of {SMALL_ROWS:,} rows at once in {at_once:.1f} s")
        small = _small_behind(bench, 3 * rows)
        say(f"{SMALL_ROWS:,} rows behind {3 * rows:,} in {small:.2f} s")
        points = Points(
            cores=sum(used.values()) / seconds, upload_rows=rows, upload_rows_per_second=rows / seconds,
            jobs=jobs, rows_of_a_job=SMALL_ROWS, jobs_seconds=at_once, jobs_cores=cores,
            behind_rows=3 * rows, small_rows=SMALL_ROWS, small_seconds=small,
        )  # fmt: skip
        return Uploads({role: value / rows * 1e6 for role, value in used.items()}, job_us, size, least, points)


def _small_ones(config: Settings, bench: Bench) -> tuple[float, dict[str, float]]:
    """The median of the seconds of jobs of one row, one after the other; and each role's microseconds for one."""
    settle(config)
    before = cpu_seconds(config)
    took = [upload(bench.file(1), f"one-{number}")[0] for number in range(ONE_ROW)]
    used = {role: (after - before[role]) / ONE_ROW * 1e6 for role, after in cpu_seconds(config).items()}
    return statistics.median(took), used


def _upload(config: Settings, bench: Bench, rows: int, number: int) -> tuple[float, dict[str, float]]:
    settle(config)
    before = cpu_seconds(config)
    seconds, _ = upload(bench.file(rows), f"round-{number}")
    return seconds, {role: used - before[role] for role, used in cpu_seconds(config).items()}


def _index_bytes(config: Settings) -> float:
    settle(config)
    with elasticsearch(config) as client:
        name = f"{config.prefix}-data-people*"
        client.indices.flush(index=name)
        total = client.indices.stats(index=name)["_all"]["primaries"]
        return float(total["store"]["size_in_bytes"] / total["docs"]["count"])


def _together(config: Settings, bench: Bench, jobs: int) -> tuple[float, float]:
    """Seconds from the common start to the last end, and the cores that were at work meanwhile."""
    begin = (datetime.now(UTC) + timedelta(seconds=LEAD_SECONDS + jobs * LEAD_SECONDS_A_JOB)).replace(microsecond=0)
    ids = [bench.start(SMALL_ROWS, start_at=begin.isoformat(), if_same="allow") for _ in range(jobs)]
    late = begin.timestamp() - time.time()
    assert late > 0, "the jobs took longer to send than the time until their start"
    time.sleep(late)
    before = cpu_seconds(config)
    ended = [_ended(bench, job_id) for job_id in ids]
    took = time.time() - begin.timestamp()
    used = sum(value - before[role] for role, value in cpu_seconds(config).items())
    assert all(job["state"] == "COMPLETED" for job in ended), sorted({job["state"] for job in ended})
    last = max(datetime.fromisoformat(job["ended_at"]).timestamp() for job in ended)
    return last - begin.timestamp(), used / took


def _ended(bench: Bench, job_id: str) -> dict[str, Any]:
    while (job := bench.api.job(job_id))["state"] in ("QUEUED", "RUNNING"):
        time.sleep(POLL_SECONDS)
    return dict(job)


def _small_behind(bench: Bench, rows: int) -> float:
    """The median of some small jobs that come one after the other while a large one is at work."""
    large = bench.start(rows)
    bench.until(large, lambda job: job["progress"]["rows_applied"] > 0)
    took = []
    for number in range(SMALLS):
        began = time.perf_counter()
        bench.ended(bench.start(SMALL_ROWS))
        took.append(time.perf_counter() - began)
        if bench.api.job(large)["state"] != "RUNNING":
            assert number, "the large job had ended before the first small one"
            took.pop()
            break
    bench.act(large, "terminate")
    return statistics.median(took)
