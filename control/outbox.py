"""What the control agent has decided and not yet written: many commands' effects go to Kafka in one go.

Commands that come while an earlier one is being written wait together. Their history is written first, all of it, then
their plans, then their states, each in the order of the commands. A crash in between leaves what a crash of one command
leaves, for several: the states that are written are those of the first commands, whose history and plans are written.
So the newest offset in a state tells where to go on, as before.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from control.jobtable import JobTable
from control.reaction import Reaction
from schemas.job import BUSY_OR_QUEUED, ENDED, Job
from schemas.messages.codec import encode
from schemas.messages.events import CommandRejected, JobEvent
from schemas.topics import TopicName


class Written(NamedTuple):
    """A record to be written."""

    topic: TopicName
    key: bytes
    value: bytes | None
    """The record's value; None: a tombstone."""
    headers: tuple[tuple[str, bytes], ...] = ()
    """The record's own headers, beside those that every record has: the trace of the command that led to it."""


Publish = Callable[[Sequence[Written]], Awaitable[None]]
"""Write records, those of a partition in this order, and return once Kafka has all of them for good."""


@dataclass(slots=True)
class Outbox:
    """The effects of commands, in their order."""

    history: list[JobEvent | CommandRejected] = field(default_factory=list)
    states: list[Job] = field(default_factory=list)
    steps: tuple[list[Written], list[Written], list[Written]] = field(default_factory=lambda: ([], [], []))
    """The records of `job-events`, of `plans` and of `jobs`: all of one step are written before the next."""

    def add(self, reaction: Reaction, headers: tuple[tuple[str, bytes], ...]) -> None:
        """Take in what follows from one command."""
        events, plans, states = self.steps
        self.history.extend(reaction.history)
        events.extend(Written("job-events", one.job_id.encode(), encode(one), headers) for one in reaction.history)
        if reaction.plan is not None:
            plans.append(Written("plans", reaction.plan.job_id.encode(), encode(reaction.plan), headers))
        if reaction.job is not None:
            self.states.append(reaction.job)
            states.append(Written("jobs", reaction.job.id.encode(), encode(reaction.job), headers))


class StatesAhead:
    """The control table as the next command meets it: with the states that are decided and not yet written.

    The table itself has only what Kafka has, since the worker acts on it.
    """

    def __init__(self, jobs: JobTable) -> None:
        self._jobs = jobs
        self._ahead: dict[str, Job] = {}

    def put(self, job: Job) -> None:
        """A state that is decided."""
        self._ahead[job.id] = job

    def written(self, job: Job) -> None:
        """Kafka has this state: the table takes it in."""
        self._jobs.put(job)
        if self._ahead.get(job.id) is job:
            del self._ahead[job.id]

    def forget(self) -> None:
        """Forget the effects that are not written: the next agent decides on those commands again."""
        self._ahead.clear()

    def get(self, job_id: str) -> Job | None:
        """The job's newest state."""
        return self._ahead.get(job_id) or self._jobs.get(job_id)

    def not_ended(self) -> list[Job]:
        """The jobs that have not ended."""
        if not self._ahead:
            return self._jobs.not_ended()
        known = {job.id: job for job in self._jobs.not_ended()}
        return [job for job in (known | self._ahead).values() if job.state not in ENDED]

    def busy_or_queued(self) -> list[Job]:
        """The jobs that are at work, or wait for their turn."""
        if not self._ahead:
            return self._jobs.busy_or_queued()
        known = {job.id: job for job in self._jobs.busy_or_queued()}
        return [job for job in (known | self._ahead).values() if job.state in BUSY_OR_QUEUED]

    def of(self, organisation: str) -> list[Job]:
        """The jobs of one organisation."""
        known = self._jobs.of(organisation)
        ahead = {job.id: job for job in self._ahead.values() if job.organisation == organisation}
        return list(({job.id: job for job in known} | ahead).values()) if ahead else known
