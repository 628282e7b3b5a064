"""Rows a second of one worker and of two, each on a core of its own, with a sink that answers at once.

Elasticsearch is not in the way, so what is measured is Sluice: whether anything that workers share holds them up.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import psutil

from bench.control import Bench
from bench.stack import bench_stack
from devstack.ports import free_port
from runtime.settings import Settings

WORKERS: Final = (1, 2)
WARM_UP_ROWS: Final = 20_000
START_SECONDS: Final = 120.0
END_SECONDS: Final = 30.0
SLOW: Final = 1
"""Rows a second of a job whose rows are only to be read into Kafka for now."""


@dataclass(frozen=True, slots=True)
class Figure:
    """The figures of a number of workers: medians over the rounds."""

    workers: int
    rows_per_second: float
    """From the moment that all rows are in Kafka until the job is COMPLETED."""
    rows_per_core_second: float
    """Rows for each second of the workers' processor time: what one worker does with a core of its own."""


def measure(rows: int, rounds: int) -> list[Figure]:
    """Apply `rows` people `rounds` times with one worker, then with two."""
    with bench_stack(workers=0) as config:
        bench = Bench(config)
        figures = []
        for count in WORKERS:
            with _workers(config, count) as processes:
                _run(bench, WARM_UP_ROWS, processes)
                runs = [_run(bench, rows, processes) for _ in range(rounds)]
            walls, used = zip(*runs, strict=True)
            figures.append(Figure(count, rows / statistics.median(walls), rows / statistics.median(used)))
        return figures


def _run(bench: Bench, rows: int, workers: list[psutil.Process]) -> tuple[float, float]:
    """One job; returns the seconds, and those of the workers' processor time."""
    job_id = bench.start(rows, rows_per_second=SLOW)
    bench.until(job_id, lambda job: job["progress"]["rows_read"] == rows)
    before, began = _cpu(workers), time.perf_counter()
    bench.api.call("PUT", f"/v1/jobs/{job_id}/rate", json={"rows_per_second": None})
    job = bench.ended(job_id)
    took = time.perf_counter() - began
    assert job["state"] == "COMPLETED" and job["progress"]["rows_applied"] == rows, job
    return took, _cpu(workers) - before


def _cpu(workers: list[psutil.Process]) -> float:
    return sum(sum(worker.cpu_times()[:2]) for worker in workers)


@contextmanager
def _workers(config: Settings, count: int) -> Iterator[list[psutil.Process]]:
    """Start workers, each bound to a core where the system can do that; ends them afterwards."""
    running = []
    try:
        for number in range(count):
            ready = config.home / f"instant-{number}.ready"
            ready.unlink(missing_ok=True)
            with (config.home / f"instant-{number}.log").open("ab") as log:
                process = subprocess.Popen(
                    [sys.executable, "-m", "bench.scaling.instant_worker"],
                    env={**os.environ, "SLUICE_READY_FILE": str(ready), "SLUICE_METRICS_PORT": str(free_port())},
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
            running.append(process)
            cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_setaffinity") else []
            if cores:
                os.sched_setaffinity(process.pid, {cores[number % len(cores)]})
            deadline = time.monotonic() + START_SECONDS
            while not ready.exists():
                assert process.poll() is None and time.monotonic() < deadline, f"worker {number} does not start"
                time.sleep(0.05)
        yield [psutil.Process(process.pid) for process in running]
    finally:
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
