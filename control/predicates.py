"""What a job's state allows: one rule each, for the control agent, the workers and the API. Pure."""

from __future__ import annotations

from schemas.blocks import BlockHead
from schemas.job import ENDED, Job, State


def runnable(job: Job) -> bool:
    """Whether blocks of the job may be applied (or undone) now."""
    if job.phase == "apply":
        return job.state is State.RUNNING
    return job.state is State.ROLLING_BACK and not job.halting and not job.checking


def counting(job: Job) -> bool:
    """Whether a worker is to count the rows that a rollback has left."""
    return job.state is State.ROLLING_BACK and job.checking and not job.halting


def halting(job: Job) -> bool:
    """Whether the control agent waits for proof that the job's lanes have stopped."""
    return job.state in (State.PAUSING, State.TERMINATING, State.FAILED) or job.halting


def void(job: Job, head: BlockHead) -> bool:
    """Whether a block is of no use any more: its run is over."""
    over = job.state in ENDED or job.state is State.TERMINATING
    return head.run < job.run or (head.run == job.run and over)
