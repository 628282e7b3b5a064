"""What a job in a state in -ING still waits for, as a sentence. Pure."""

from __future__ import annotations

from control.predicates import counting, quiescing
from schemas.job import Job


def waiting_for(job: Job) -> str:
    """The reports or the count that a job in a state in -ING still waits for."""
    if job.purging:
        return "all that holds values of the job to be removed"
    missing = [str(number) for number in range(job.partitions) if number not in job.lanes_rested]
    if quiescing(job):
        return (
            f"partitions {', '.join(missing)} of {job.partitions} have not yet reported that nothing is in flight; "
            f"a worker that stopped is replaced within half a minute: check `sluice status`"
        )
    if counting(job):
        return "the count that shows that none of the job's rows are left"
    left = [str(number) for number in range(job.partitions) if number not in job.lanes_done]
    return f"the rows to be taken out: partitions {', '.join(left)} of {job.partitions} are at work"
