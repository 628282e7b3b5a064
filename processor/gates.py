"""Every gate of a worker: what must hold right before a request goes out, with nothing awaited in between."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection
from dataclasses import dataclass

from control.jobtable import JobTable
from control.predicates import runnable
from processor.elastic.bulk import Gate
from processor.errors import FencedError, StoppedError
from processor.lanes.lane import Lane
from processor.lanes.owned_lanes import JOB_STEP_PARTITION, Lanes
from processor.stream.lease import Lease
from schemas.job import Job


@dataclass(frozen=True, slots=True)
class Gates:
    """Makes the gates. Each asks for the lease first: a worker without a lease writes nothing at all."""

    lease: Lease
    jobs: JobTable
    lanes: Lanes

    def of_blocks(self, job: Job, lanes: Collection[Lane]) -> Gate:
        """The gate for writing blocks: closed once the job is in another epoch, or a lane is another worker's."""

        def gate() -> None:
            self._require(all(map(self.lanes.is_current, lanes)))
            now = self.jobs.get(job.id)
            if now is None or now.epoch != job.epoch or not runnable(now):
                raise StoppedError

        return gate

    def of_second_half(self, gate: Gate) -> Gate:
        """The gate for a request that completes a finished write: for the first try only the lease counts, then `gate`.

        A pause waits for it, as for anything in flight.
        """
        gates = itertools.chain([self.lease.require], itertools.repeat(gate))
        return lambda: next(gates)()

    def of_job_step(self, job: Job) -> Gate:
        """The gate for steps that are done once for a job: open in the owner of partition 0, in the epoch that asked
        for the step."""

        def gate() -> None:
            self._require(JOB_STEP_PARTITION in self.lanes.owned)
            now = self.jobs.get(job.id)
            if now is None or now.epoch != job.epoch:
                raise StoppedError

        return gate

    def of_sweep(self) -> Gate:
        """The gate for deleting what ended jobs have left: open in the owner of partition 0."""
        return lambda: self._require(self.lanes.does_job_steps)

    def _require(self, owned: bool) -> None:
        self.lease.require()
        if not (self.lanes.open and owned):
            raise FencedError


def for_several(some_pass: Callable[[], bool]) -> Gate:
    """The gate for a request of several jobs: closed if none of the jobs passes its own gate."""

    def gate() -> None:
        if not some_pass():
            raise FencedError

    return gate


def unguarded() -> None:
    """The gate for reports, always open: their ids are fixed, and a job's report never goes back to an older state."""
