"""The end of before-images: those of jobs that ended long ago, or that the control table does not have any more."""

from __future__ import annotations

from control.jobtable import JobTable
from processor.elastic.bulk import BulkSink, Gate
from processor.elastic.orphans import delete_orphans
from processor.operations.modes.changes import changes_index
from processor.operations.modes.images import images_index
from processor.operations.modes.rollback.outcomes import undone_index
from schemas.job import ENDED, Job


async def sweep_images(sink: BulkSink, prefix: str, jobs: JobTable, gate: Gate, ended_before: int) -> int:
    """Delete the images of jobs that ended before this time, in milliseconds since 1970, and what was recorded of their
    changes and rollbacks; answers how many documents there were.

    Raises as `delete_orphans`.
    """

    def long_over(job: Job) -> bool:
        return job.state in ENDED and job.ended_at is not None and job.ended_at < ended_before

    indices = images_index(prefix), changes_index(prefix), undone_index(prefix)
    return sum([await delete_orphans(sink, index, jobs, gate, expired=long_over) for index in indices])
