"""Every gate of a worker: what must be true right before a request goes out, with nothing awaited in between."""

from __future__ import annotations

import itertools
from collections.abc import Collection
from dataclasses import dataclass

from control.jobtable import JobTable
from control.predicates import runnable
from processor.elastic.bulk import Gate
from processor.errors import FencedError, StoppedError
from processor.lanes.lane import Lane
from processor.lanes.owned_lanes import CONCLUDING, Lanes
from processor.stream.lease import Lease
from schemas.job import Job


@dataclass(frozen=True, slots=True)
class Gates:
    """Makes them. Each asks for the lease first: a worker that Kafka has given up writes nothing at all."""

    lease: Lease
    jobs: JobTable
    lanes: Lanes

    def of_blocks(self, job: Job, lanes: Collection[Lane]) -> Gate:
        """For rows: nothing is written for a job that has moved on, nor for a lane that is another worker's."""

        def gate() -> None:
            self._require(all(map(self.lanes.is_current, lanes)))
            now = self.jobs.get(job.id)
            if now is None or now.epoch != job.epoch or not runnable(now):
                raise StoppedError

        return gate

    def of_second_half(self, gate: Gate) -> Gate:
        """For what follows from a write that is done: open for the first try, while the lease holds; then as `gate`.

        Whoever pauses the job waits for it, as for anything in flight.
        """
        gates = itertools.chain([self.lease.require], itertools.repeat(gate))
        return lambda: next(gates)()

    def of_conclusion(self, job: Job) -> Gate:
        """For what is done once for a job: only one worker does it, and only in the epoch that asked for it."""

        def gate() -> None:
            now = self.jobs.get(job.id)
            self._require(CONCLUDING in self.lanes.owned and now is not None and now.epoch == job.epoch)

        return gate

    def of_sweep(self) -> Gate:
        """For clearing away what jobs that are over have left: one worker does it, which knows that they are over."""
        return lambda: self._require(CONCLUDING in self.lanes.owned)

    def _require(self, ours: bool) -> None:
        self.lease.require()
        if not (self.lanes.open and ours):
            raise FencedError


def unguarded() -> None:
    """For reports: nothing follows from them, their ids are fixed, and a job's never goes back to an older state."""
