"""What a job's state allows: one rule each, for the control agent, the readers, the workers and the API. Pure.

The sets of states in `schemas/job.py` (ENDED, RESTING, BUSY and the like) are the rules that need the state alone.
"""

from __future__ import annotations

from schemas.job import BUSY, ENDED, PAUSES, UNDOING, Job, State
from schemas.messages.blocks import BlockHead
from schemas.messages.formats import FORMAT


def is_newer(job: Job, known: Job | None) -> bool:
    """Whether a state of a job is newer than the one that is known of it, if any."""
    return known is None or _age(job) > _age(known)


def has_caught_up(job: Job, command_offset: int, epoch: int) -> bool:
    """Whether a state has taken in the command at this offset, which led to this epoch."""
    return _age(job) >= (command_offset, epoch)


def _age(job: Job) -> tuple[int, int]:
    # A job that starts when its turn comes raises its epoch, and has no command for that.
    return job.command_offset, job.epoch


def holds_key(job: Job) -> bool:
    """Whether the job keeps its exclusive key from other jobs."""
    return job.state in BUSY


def understood(job: Job) -> bool:
    """Whether this process may work on the job. One that a newer version has written otherwise it leaves alone."""
    return job.needs <= FORMAT


def runnable(job: Job) -> bool:
    """Whether blocks of the job may be read, and applied (or undone), now."""
    if not understood(job):
        return False
    if job.phase == "apply":
        return job.state is State.RUNNING
    return job.state is State.ROLLING_BACK and not job.halting and not job.checking


def making_file(job: Job) -> bool:
    """Whether a worker is to make the job's file: every block is applied."""
    return job.finishing and runnable(job)


def counting(job: Job) -> bool:
    """Whether a worker is to count the rows that a rollback has left."""
    return job.state is State.ROLLING_BACK and job.checking and not job.halting and understood(job)


def pausing(job: Job) -> bool:
    """Whether the job will be paused as soon as its lanes have stopped."""
    return job.state is State.PAUSING or job.halting


def held(job: Job) -> bool:
    """Whether the job is paused, or about to be: only then does it have a time at which it goes on."""
    return pausing(job) or job.state in PAUSES


def paused_since(job: Job) -> int | None:
    """When the job's pause began; None: it has none, or that is not known. A job that is paused has been since its last
    lane was proved to have stopped."""
    return job.state_since if job.state is State.PAUSING or job.state in PAUSES else None


def paused_itself(job: Job) -> bool:
    """Whether the job is paused, or about to be, for its row errors or for what its first rows look like."""
    return held(job) and job.phase == "apply" and (job.budget == "spent" or job.inspection == "suspicious")


def quiescing(job: Job) -> bool:
    """Whether the control agent waits for proof that the job's lanes have stopped."""
    return job.state in (State.TERMINATING, State.FAILED) or pausing(job)


def run_over(job: Job) -> bool:
    """Whether workers and readers do no more work in the run that the job is in."""
    return job.state in ENDED or job.state is State.TERMINATING


def terminated(job: Job) -> bool:
    """Whether the job is terminated, or being terminated. Its rows may be taken out after that."""
    return job.state in (State.TERMINATING, State.TERMINATED)


def taken_out(job: Job) -> bool:
    """Whether the job's rows are taken out, or about to be."""
    return job.state in UNDOING or job.state is State.ROLLED_BACK


def taking_out(job: Job) -> bool:
    """Whether the job's rows are being taken out: now, once its lanes have stopped, or when it is resumed."""
    return job.state in UNDOING or (job.state is State.TERMINATING and not job.keep_rows)


def under_way(job: Job) -> bool:
    """Whether reports about the job's rows still count: it has started and is not over. A failed job may be resumed."""
    return job.state not in (State.DRAFT, State.QUEUED) and not run_over(job)


def takes_more_rows(job: Job) -> bool:
    """Whether the sender of a topic's rows may still send new ones, or say how many there are."""
    return job.phase == "apply" and not run_over(job)


def void(job: Job, head: BlockHead) -> bool:
    """Whether a block is of no use any more: its run is over."""
    return head.run < job.run or (head.run == job.run and run_over(job))
