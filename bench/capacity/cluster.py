"""A small discrete simulation of a cluster: jobs pass the control agent, readers, partitions, workers, Elasticsearch.

Time goes forward in steps. In each of them every part has so much processor time, and spends it on what waits for it:

- the one control agent, on commands, in their order;
- readers, on the jobs that it has started: they share alike, and a job is read by one of them;
- workers, on what is read and lies on their partitions: the jobs there share alike;
- Elasticsearch, on what workers send: all together they get no more than its cores, or its shards, can take.

Rows are a fluid, and blocks count only in where they lie: block b of a job on partition b mod P, partition p at worker
p mod W. So a job of one block is on one partition, and every such job is on the same one. No I/O, no clock, no chance.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from functools import cached_property
from math import ceil

from bench.capacity.constants import Constants
from bench.capacity.defaults import CONSTANTS

REPORT_SECONDS = 0.5
"""A reader reports how far it has come so often."""
FLUSH_SECONDS = 0.05
"""A worker writes what its lanes have come to so often."""
TIMER_LOOKS_PER_SECOND = 2.0
CONTROL = 0
"""The worker that is in control here. Any may be; it owns what partition 0 brings besides, as in a small cluster."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """What is installed. Each worker and each reader has a core of its own."""

    workers: int = 1
    partitions: int = 8
    readers: int = 1
    elasticsearch_cores: float = 3.0
    shards: int = 1
    cores_per_shard: float = 8.0
    """Cores of a node: they bound how fast one shard is written."""
    replicas: int = 1
    kept_jobs: int = 0
    """States in the control table besides those of the jobs that are simulated."""
    organisations: int = 1
    """Organisations of these jobs, each with the same number of them."""
    shared_cores: float | None = None
    """Cores for everything together, as on one machine; None: each part has its own."""


@dataclass(slots=True, eq=False)
class Job:
    """One upload."""

    rows: float
    arrives: float
    started: bool = False
    read: float = 0.0
    input_ended: bool = False
    written: dict[int, float] = field(default_factory=dict)
    """Worker -> rows."""
    reported: int = 0
    ended: float | None = None
    next_report: float = 0.0
    ready: float = 0.0
    """The time before which the work is not written."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run has shown."""

    seconds: float
    rows_arrived: float
    rows_waiting: float
    """Rows of jobs that are not started, or not read to their end."""
    rows_in_kafka: float
    rows_written: float
    ended_after: tuple[float, ...]
    """Seconds from the arrival of each job that has ended to its end, sorted: what it waits, and what a job takes that
    waits for nothing."""
    busy: dict[str, float]
    """Part of the cluster -> share of the time that it was at work; 1: it was the limit, or one of them."""

    @property
    def rows_per_second(self) -> float:
        """Rows written."""
        return self.rows_written / self.seconds

    def percentile(self, percent: float) -> float:
        """Seconds to the end of a job that so many percent of them did not exceed; infinite: none has ended."""
        if not self.ended_after:
            return float("inf")
        return self.ended_after[min(len(self.ended_after) - 1, int(len(self.ended_after) * percent / 100))]


class Simulation:
    """One run. `step` may be called by hand; `run` calls it until a time, or until every job has ended."""

    def __init__(self, cluster: Cluster, jobs: list[Job], constants: Constants = CONSTANTS, step: float = 0.1) -> None:
        self.cluster, self.constants, self.step_seconds = cluster, constants, step
        self.now = 0.0
        self._coming = deque(sorted(jobs, key=lambda job: job.arrives))
        self.jobs: list[Job] = []
        self._commands: deque[tuple[str, Job, int]] = deque()
        self._control_spent = 0.0
        self._reading: list[Job] = []
        self._on_worker: list[list[Job]] = [[] for _ in range(cluster.workers)]
        self._used = dict.fromkeys(("control", "readers", "workers", "busiest worker", "elasticsearch"), 0.0)
        self._by_worker = [0.0] * cluster.workers
        self._open = 0
        self._states = 0
        self._following = 0.0
        """Share of a core that every worker needs to follow the control table."""
        self._shares: dict[int, dict[int, float]] = {}
        self._owed = 0.0
        """Microseconds that Elasticsearch, or the machine that all share, has yet to spend on jobs beside the rows."""
        self._owed_by = [0.0] * cluster.workers

    def run(self, seconds: float, until_ended: bool = False) -> Outcome:
        """Go on for so long; `until_ended`: or until there is nothing left to do."""
        while self.now < seconds - 1e-9:
            self.step()
            if until_ended and not self._coming and all(job.ended is not None for job in self.jobs):
                break
        return self.outcome()

    def step(self) -> None:
        """One step of time for every part."""
        self.now += self.step_seconds
        while self._coming and self._coming[0].arrives <= self.now:
            job = self._coming.popleft()
            self.jobs.append(job)
            self._commands.append(("create", job, 0))
        self._control()
        self._read()
        self._work()

    # -- the control agent ---------------------------------------------------------------------------------------------

    def _control(self) -> None:
        c, cluster = self.constants, self.cluster
        own = (cluster.kept_jobs + len(self.jobs)) / cluster.organisations
        self._control_spent, self._states = max(0.0, self._control_spent - self.step_seconds), 0
        following = 0.0
        while self._commands and self._control_spent < self.step_seconds:
            kind, job, lanes = self._commands.popleft()
            job.reported += lanes
            state_us = 2 * (c.state_us + c.state_us_per_lane * job.reported)
            took = c.command_ms / 1e3 + state_us / 1e6
            if kind == "create":
                self._open += 1
                took += (own * c.own_job_us + self._open * c.open_job_us) / 1e6
                job.started = True
                self._owed += c.job_elasticsearch_us if cluster.shared_cores is None else c.job_us
                self._reading.append(job)
                self._place(job)
            elif kind == "done" and self._all_reported(job):
                self._open -= 1
                job.ended = self.now
            following += c.table_record_us + c.state_us_per_lane * job.reported
            self._states += 1
            self._control_spent += took
        self._following = following / 1e6 / self.step_seconds
        self._used["control"] += min(self._control_spent, self.step_seconds)

    def _all_reported(self, job: Job) -> bool:
        return job.input_ended and job.reported >= self._lanes(job)

    def _lanes(self, job: Job) -> int:
        return min(self.cluster.partitions, ceil(job.rows / self.constants.block_rows))

    # -- readers -------------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        c, left = self.constants, self._reading
        if not left:
            return
        rate = min(c.reader_rows_per_second, 1e6 / c.reader_us)
        each = rate * self.step_seconds * min(1.0, self.cluster.readers / len(left))
        total = 0.0
        for job in left:
            rows = min(each, job.rows - job.read)
            job.read += rows
            total += rows
            if job.rows - job.read < 1e-6:
                job.read, job.input_ended = job.rows, True
                self._commands.append(("inspected", job, 0))
                self._commands.append(("input ended", job, 0))
            elif self.now >= job.next_report:
                job.next_report = self.now + REPORT_SECONDS
                self._commands.append(("advanced", job, 0))
        self._reading = [job for job in left if not job.input_ended]
        self._used["readers"] += total / rate / self.cluster.readers

    # -- workers and Elasticsearch -------------------------------------------------------------------------------------

    @cached_property
    def _elasticsearch_us(self) -> float:
        """Microseconds of processor time in a step."""
        cluster = self.cluster
        cores = min(cluster.elasticsearch_cores, cluster.shards * (1 + cluster.replicas) * cluster.cores_per_shard)
        return (cores if cluster.shared_cores is None else cluster.shared_cores) * self.step_seconds * 1e6

    @cached_property
    def _row_us(self) -> float:
        """What a row takes of it."""
        if self.cluster.shared_cores is not None:
            return self.constants.row_us
        return self.constants.elasticsearch_us * (1 + self.cluster.replicas)

    def _worker_rows(self, worker: int) -> float:
        """Rows in a step, at most: what is left of a core beside the control table and the commands."""
        c = self.constants
        others = self._following
        if worker == CONTROL:
            commands = self._states / self.step_seconds * c.command_us
            others += (commands + self._open * c.timers_us * TIMER_LOOKS_PER_SECOND) / 1e6
        spent = min(self._owed_by[worker], max(0.0, 1 - others) * self.step_seconds * 1e6)
        self._owed_by[worker] -= spent
        others += spent / 1e6 / self.step_seconds
        in_flight = c.bulk_in_flight / (c.bulk_rows * c.elasticsearch_us / 1e6) * c.bulk_rows
        return self.step_seconds * min(max(0.02, 1 - others) * 1e6 / c.worker_us, in_flight)

    def _work(self) -> None:
        most = [self._worker_rows(number) for number in range(self.cluster.workers)]
        there = [sum(self._available(job, number) for job in jobs) for number, jobs in enumerate(self._on_worker)]
        wanted = [min(*pair) for pair in zip(most, there, strict=True)]
        total = sum(wanted)
        spent = min(self._owed, self._elasticsearch_us)
        self._owed -= spent
        self._used["elasticsearch"] += spent / self._elasticsearch_us * self.step_seconds
        if total <= 0:
            return
        scale = min(1.0, (self._elasticsearch_us - spent) / self._row_us / total)
        self._used["elasticsearch"] += total * scale * self._row_us / self._elasticsearch_us * self.step_seconds
        for number, rows in enumerate(wanted):
            self._by_worker[number] += rows * scale / most[number] * self.step_seconds
            self._share(number, rows * scale)

    def _share(self, worker: int, rows: float) -> None:
        """The jobs of a worker share these rows alike; what one does not need the others have."""
        jobs = self._on_worker[worker]
        waiting = sorted(((self._available(job, worker), number) for number, job in enumerate(jobs)))
        for place, (available, number) in enumerate(waiting):
            taken = min(available, rows / (len(waiting) - place))
            rows -= taken
            jobs[number].written[worker] += taken
        over = [job for job in jobs if job.input_ended and self._placed(job)[worker] - job.written[worker] < 1e-6]
        for job in over:
            job.written[worker] = self._placed(job)[worker]
            self._report(job, worker, len(jobs))
        if over:
            self._on_worker[worker] = [job for job in jobs if job not in over]

    def _report(self, job: Job, worker: int, jobs: int) -> None:
        """The lanes that are done together, between two checkpoints, are one report."""
        c, lanes = self.constants, self._lanes_at(job, worker)
        last_round = lanes * c.block_rows * jobs * c.worker_us / 1e6
        reports = min(lanes, 1 + int(last_round / FLUSH_SECONDS))
        for number in range(reports):
            self._commands.append(("done", job, len(range(number, lanes, reports))))

    def _available(self, job: Job, worker: int) -> float:
        if self.now < job.ready:
            return 0.0
        return self._placed(job)[worker] * job.read / job.rows - job.written[worker]

    def _place(self, job: Job) -> None:
        """A job that meets others at work waits for what is in flight: with the look at its first rows, and once more
        before its own. What it costs besides its rows has to be done meanwhile, beside the work on the others."""
        job.written = dict.fromkeys(self._placed(job), 0.0)
        if any(self._on_worker[worker] for worker in job.written):
            c, cores = self.constants, self.cluster.shared_cores
            row_us = c.elasticsearch_us if cores is None else c.row_us / cores
            job_us = c.job_elasticsearch_us if cores is None else c.job_us / (cores / 2)
            job.ready = self.now + (2 * c.bulk_in_flight * c.bulk_rows * row_us + job_us) / 1e6
        for worker in job.written:
            self._on_worker[worker].append(job)
            self._owed_by[worker] += self.constants.job_worker_us / len(job.written)

    def _placed(self, job: Job) -> dict[int, float]:
        """Worker -> rows of the job on its partitions."""
        size = int(job.rows)
        if size not in self._shares:
            lanes, blocks = self._lanes(job), ceil(job.rows / self.constants.block_rows)
            shares: dict[int, float] = {}
            for partition in range(lanes):
                count = (blocks - partition + self.cluster.partitions - 1) // self.cluster.partitions
                worker = partition % self.cluster.workers
                shares[worker] = shares.get(worker, 0.0) + count * job.rows / blocks
            self._shares[size] = shares
        return self._shares[size]

    def _lanes_at(self, job: Job, worker: int) -> int:
        return len(range(worker, self._lanes(job), self.cluster.workers))

    # -- what it has come to -------------------------------------------------------------------------------------------

    def outcome(self) -> Outcome:
        """What has happened so far."""
        written = sum(sum(job.written.values()) for job in self.jobs)
        read = sum(job.read for job in self.jobs)
        arrived = sum(job.rows for job in self.jobs)
        busy = {part: used / self.now for part, used in self._used.items()}
        busy["workers"] = sum(self._by_worker) / self.now / self.cluster.workers
        busy["busiest worker"] = max(self._by_worker) / self.now
        least = self.constants.least_seconds
        ended = tuple(sorted(job.ended - job.arrives + least for job in self.jobs if job.ended is not None))
        return Outcome(self.now, arrived, arrived - read, read - written, written, ended, busy)
