"""The simulation beside what was measured on the machine that its constants are of."""

from __future__ import annotations

from dataclasses import dataclass

from bench.capacity.cluster import Cluster, Job, Simulation
from bench.capacity.constants import Measured
from bench.capacity.defaults import MEASURED

TOLERANCE = 0.4
"""A point may be off by so much of what was measured. Single runs of `bench upload` differ by half as much."""
SMALL_COMES_AFTER = 1.0
LONGEST_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Point:
    """One thing that was measured, and what the simulation says of it."""

    name: str
    measured: float
    simulated: float
    unit: str

    @property
    def off(self) -> float:
        """The difference, of what was measured."""
        return self.simulated / self.measured - 1

    def cells(self) -> list[str]:
        """For a table."""
        numbers = (f"{value:,.0f} {self.unit}" if value >= 100 else f"{value:.2f} {self.unit}" for value in self._both)
        return [self.name, *numbers, f"{self.off:+.0%}"]

    @property
    def _both(self) -> tuple[float, float]:
        return self.measured, self.simulated


def checked(found: Measured = MEASURED) -> list[Point]:
    """All points of a run."""
    return [_upload(found), _at_once(found), _behind(found)]


def _upload(found: Measured) -> Point:
    points = found.points
    cluster = Cluster(replicas=0, shared_cores=points.cores)
    run = Simulation(cluster, [Job(rows=points.upload_rows, arrives=0)], found.constants, 0.05)
    seconds = run.run(LONGEST_SECONDS, until_ended=True).percentile(100)
    name = f"an upload of {points.upload_rows:,} rows"
    return Point(name, points.upload_rows_per_second, points.upload_rows / seconds, "rows/s")


def _at_once(found: Measured) -> Point:
    points = found.points
    jobs = [Job(rows=points.rows_of_a_job, arrives=0) for _ in range(points.jobs)]
    run = Simulation(Cluster(replicas=0, shared_cores=points.jobs_cores), jobs, found.constants, 0.05)
    seconds = run.run(LONGEST_SECONDS, until_ended=True).percentile(100)
    name = f"{points.jobs:,} jobs of {points.rows_of_a_job:,} rows that begin at once"
    return Point(name, points.jobs_seconds, seconds, "s")


def _behind(found: Measured) -> Point:
    points = found.points
    small = Job(rows=points.small_rows, arrives=SMALL_COMES_AFTER)
    jobs = [Job(rows=points.behind_rows, arrives=0), small]
    run = Simulation(Cluster(replicas=0, shared_cores=points.cores), jobs, found.constants, 0.05)
    while small.ended is None and run.now < LONGEST_SECONDS:
        run.step()
    seconds = (small.ended or run.now) - small.arrives + found.constants.least_seconds
    return Point(f"{points.small_rows:,} rows behind {points.behind_rows:,}", points.small_seconds, seconds, "s")
