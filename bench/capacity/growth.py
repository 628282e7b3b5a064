"""What a start, a takeover and a command cost, with ever more jobs in the table and ever more lanes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

from bench.capacity.seeding import Seeds
from bench.stack import bench_stack
from commandline.connection import Api
from devstack.ports import free_port
from runtime.settings import Settings

START_SECONDS = 300.0
END_SECONDS = 40.0
COMMAND_SECONDS = 300.0
POLL_SECONDS = 0.05
WARM_UP_COMMANDS = 50

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Figure:
    """One worker, with so many jobs in the table and lanes on its partitions."""

    kept_jobs: int
    lanes: int
    start_cpu_seconds: float
    """Processor time of the worker until it is ready."""
    start_seconds: float
    takeover_seconds: float
    """From the death of a worker (SIGKILL) until one that is started at once is ready."""
    commands_per_second: float
    command_cpu_us: float
    megabytes: float


def measure(kept: Sequence[int], paused: int, commands: int, say: Say) -> list[Figure]:
    """Measure with each of `kept` ended jobs in the table, one size after the other; then with `paused` jobs and their
    lanes."""
    figures = []
    with bench_stack(workers=0) as config:
        seeds = Seeds(config)
        target, ended, lanes = seeds.paused(1)[0], 0, config.topic_partitions
        for count in kept:
            seeds.ended(count - ended)
            ended = count
            figures.append(_figure(config, seeds, target, ended + 1, lanes, commands))
            say(str(figures[-1]))
        if paused:
            seeds.paused(paused)
            lanes += paused * config.topic_partitions
            figures.append(_figure(config, seeds, target, ended + 1 + paused, lanes, commands))
            say(str(figures[-1]))
    return figures


def slopes(figures: Sequence[Figure]) -> dict[str, float]:
    """The constants that follow: microseconds of processor time for each job kept, and for each lane."""
    first, last_kept, last = figures[0], figures[-2] if len(figures) > 2 else figures[-1], figures[-1]
    jobs = max(1, last_kept.kept_jobs - first.kept_jobs)
    per_job = (last_kept.start_cpu_seconds - first.start_cpu_seconds) / jobs
    lanes = last.lanes - last_kept.lanes
    more = last.start_cpu_seconds - last_kept.start_cpu_seconds - per_job * (last.kept_jobs - last_kept.kept_jobs)
    return {
        "start_seconds": first.start_cpu_seconds,
        "table_record_us": per_job * 1e6,
        "lane_read_us": more / lanes * 1e6 if lanes else 0.0,
        "command_ms": 1000 / first.commands_per_second,
        "command_us": first.command_cpu_us,
    }


def _figure(config: Settings, seeds: Seeds, target: str, kept: int, lanes: int, commands: int) -> Figure:
    with _worker(config) as (process, started):
        cpu = _cpu(process)
        _carried_out(seeds, target, WARM_UP_COMMANDS)
        before = _cpu(process)
        took = _carried_out(seeds, target, commands)
        used = (_cpu(process) - before) / commands * 1e6
        megabytes = process.memory_info().rss / 1e6
        process.kill()
        process.wait()
    died = time.perf_counter()
    with _worker(config):
        takeover = time.perf_counter() - died
    return Figure(kept, lanes, cpu, started, takeover, commands / took, used, megabytes)


def _carried_out(seeds: Seeds, target: str, commands: int) -> float:
    api, began = Api(), time.perf_counter()
    last = seeds.rates(target, commands)
    while api.job(target)["options"].get("rows_per_second") != last:
        assert time.perf_counter() - began < COMMAND_SECONDS, "the commands are not carried out"
        time.sleep(POLL_SECONDS)
    return time.perf_counter() - began


def _cpu(process: psutil.Process) -> float:
    return float(sum(process.cpu_times()[:2]))


@contextmanager
def _worker(config: Settings) -> Iterator[tuple[psutil.Process, float]]:
    """A worker that is ready, and the seconds that its start took; it is stopped afterwards, if it still runs."""
    ready = config.home / "growth.ready"
    ready.unlink(missing_ok=True)
    began = time.perf_counter()
    with (config.home / "growth.log").open("ab") as log:
        running = subprocess.Popen(
            [sys.executable, "-m", "processor"],
            env={**os.environ, "SLUICE_READY_FILE": str(ready), "SLUICE_METRICS_PORT": str(free_port())},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    process = psutil.Process(running.pid)
    try:
        while not ready.exists():
            assert running.poll() is None, f"the worker has ended: {(config.home / 'growth.log').read_text()[-2000:]}"
            assert time.perf_counter() - began < START_SECONDS, "the worker does not become ready"
            time.sleep(POLL_SECONDS)
        yield process, time.perf_counter() - began
    finally:
        running.terminate()
        try:
            running.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()
