"""The queue: which jobs have their turn when a job ends. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from control.predicates import holds_key
from schemas.job import BUSY, Job, State
from schemas.policies.quotas import QuotaBook

Begin = Callable[[Job], Job | None]
"""Has a queued job begin; answers its next state, or None if it can't have its turn now and keeps its place."""


def take_turns(jobs: Iterable[Job], quotas: QuotaBook, begin: Begin, most: int) -> bool:
    """Have the queued jobs begin that may: the oldest of each exclusive key, as many as their organisation may have at
    work. A job that fails at its turn leaves it to the next one.

    It ends when `most` jobs have had their turn, and then answers whether there is a further one.
    """
    known = list(jobs)
    taken = {job.exclusive_key for job in known if job.exclusive_key and holds_key(job)}
    running = Counter(job.organisation for job in known if job.state in BUSY)
    waiting = (job for job in known if job.state is State.QUEUED and job.start_at is None)
    for job in sorted(waiting, key=lambda job: (job.created_at, job.id)):
        if job.exclusive_key in taken or running[job.organisation] >= quotas.of(job.organisation).jobs_running:
            continue
        if most == 0:
            return True
        after = begin(job)
        if after is not None:
            most -= 1
        if after is None or holds_key(after):
            running[job.organisation] += 1
            if job.exclusive_key:
                taken.add(job.exclusive_key)
    return False
