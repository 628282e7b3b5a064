"""Loads of a day, and the clusters that carry them: the smallest of a ladder that has a reserve in its busiest hour."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

from bench.capacity.cluster import Cluster, Job, Outcome, Simulation
from bench.capacity.constants import Constants
from bench.capacity.defaults import CONSTANTS
from schemas.topics import ROWS_DAYS

DAY = 86_400
RESERVE = 0.7
"""No part is to be busier than this in the busiest hour: the rest is for restarts, merges and a failed machine."""
PEAK = 3.0
"""The busiest hour has so many times the mean of the day."""
STEPS = 600
STEP_SECONDS = 0.1, 0.5
"""The least and the most."""
REPLICATION = 3
LADDER = (1, 2, 4, 8, 16, 32, 64, 100)


@dataclass(frozen=True, slots=True)
class Load:
    """What comes in on a day, in jobs of one size."""

    name: str
    jobs: int
    rows: int
    """Rows of a job."""
    kept_days: float = 30.0
    """`SLUICE_JOB_RETENTION_DAYS`."""
    peak: float = PEAK
    organisations: int = 100

    @property
    def rows_a_day(self) -> int:
        """Rows of all jobs of a day."""
        return self.jobs * self.rows

    @property
    def kept_jobs(self) -> int:
        """States in the control table."""
        return int(self.jobs * self.kept_days)


@dataclass(frozen=True, slots=True)
class Sized:
    """A load, the cluster for it, and how that does in the busiest hour."""

    load: Load
    cluster: Cluster
    outcome: Outcome
    fits: bool
    """False: the largest of the ladder, and it does not carry the load."""


def sized(load: Load, constants: Constants = CONSTANTS) -> Sized:
    """The smallest cluster of the ladder that carries the load with a reserve; if none does, the largest."""
    last = None
    for workers in LADDER:
        cluster = cluster_for(workers, load.kept_jobs, organisations=load.organisations)
        outcome = busiest_hour(load, cluster, constants)
        fits = max(outcome.busy[part] for part in ("control", "readers", "busiest worker", "elasticsearch")) <= RESERVE
        last = Sized(load, cluster, outcome, fits)
        if fits or outcome.busy["control"] > RESERVE:  # more workers do not help the one control agent
            break
    assert last is not None
    return last


def cluster_for(workers: int, kept_jobs: int = 0, partitions: int | None = None, organisations: int = 1) -> Cluster:
    """A cluster of `workers` workers: four cores of Elasticsearch for each; a reader for each four, and one more."""
    return Cluster(
        workers=workers,
        partitions=partitions or max(8, workers),
        readers=1 + ceil(workers / 4),
        elasticsearch_cores=4 * workers,
        shards=max(1, ceil(workers / 2)),
        kept_jobs=kept_jobs,
        organisations=organisations,
    )


def busiest_hour(load: Load, cluster: Cluster, constants: Constants = CONSTANTS) -> Outcome:
    """A stretch of that hour, in which jobs come at even distances: a minute, or as long as it takes twenty to come."""
    distance = DAY / load.jobs / load.peak
    seconds = min(max(60.0, 20 * distance), 3600.0)
    count = max(1, int(seconds / distance))
    jobs = [Job(rows=load.rows, arrives=number * distance) for number in range(count)]
    least, most = STEP_SECONDS
    return Simulation(cluster, jobs, constants, max(least, min(most, seconds / STEPS))).run(seconds)


def saturating(workers: int, rows: int, partitions: int | None = None) -> Outcome:
    """As many jobs of this size as a cluster can be given for a minute: what limits it?"""
    cluster = cluster_for(workers, partitions=partitions, organisations=100)
    most = workers * 1e6 / CONSTANTS.worker_us * 60
    count = min(6_000, max(2 * cluster.readers, ceil(1.2 * most / rows)))
    jobs = [Job(rows=rows, arrives=number * 40 / count) for number in range(count)]
    return Simulation(cluster, jobs, CONSTANTS, 0.2).run(60)


def table_megabytes(kept_jobs: int) -> float:
    """Memory of the control table, in every worker, reader and API process."""
    return kept_jobs * CONSTANTS.table_bytes_per_job / 1e6


def start_cpu_seconds(kept_jobs: int, lanes: int) -> float:
    """Processor time until a worker is ready: the whole table, and the lanes of its partitions."""
    c = CONSTANTS
    return c.start_seconds + (kept_jobs * c.table_record_us + lanes * c.lane_read_us) / 1e6


def kafka_gigabytes(rows_a_day: int) -> float:
    """Blocks of the days that Kafka keeps them, on all brokers together."""
    return rows_a_day * ROWS_DAYS * REPLICATION * CONSTANTS.kafka_bytes_per_row / 1e9


def look_seconds(own: int) -> float:
    """Time of the control agent for a job that is made and ends, by the jobs of its organisation in the table."""
    return own * CONSTANTS.own_job_us / 1e6


LOADS = (
    Load("one team", 50, 20_000, organisations=1),
    Load("ten teams", 200, 500_000, organisations=10),
    Load("large files", 50, 20_000_000),
    Load("a billion rows of 1,000 organisations", 10_000, 100_000, organisations=1_000),
    Load("... of 10,000 organisations", 100_000, 10_000, 7, organisations=10_000),
    Load("... of a hot one with all the jobs", 100_000, 10_000, 7, organisations=1),
    Load("... in jobs of 1,000 rows", 1_000_000, 1_000, 1, organisations=10_000),
    Load("... in two hours of the night", 1_000, 1_000_000, peak=12.0),
    Load("ten billion rows", 10_000, 1_000_000),
)


def size_all() -> Iterator[Sized]:
    """Each of the loads."""
    for load in LOADS:
        yield sized(load)
