"""The control agent: it takes commands in the order of their offsets, and alone writes the states of jobs.

For each command it writes the history, then the plan, then the state; its caller acknowledges the command after that. A
crash in between repeats the first two: each carries the command's offset, and its readers tolerate a repeat. What
follows from commands that come together is written together (`control/outbox.py`).
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from control.authorization.authorizer import Authorizer, CommandRecord
from control.authorization.senders import BY_TOPIC, Headers, header_of, is_asked
from control.creation.admission import Catalog
from control.creation.exclusive import holder
from control.creation.queue import take_turns
from control.creation.same_file import AppliedFiles
from control.entry import Head, command_in, job_named, readable, surplus_problem
from control.errors import Rejected, UndecidedError, UnwrittenError
from control.jobtable import JobTable
from control.machine.context import Context
from control.outbox import Outbox, Publish, StatesAhead, Written
from control.predicates import holds_key
from control.reaction import Reaction, react, rejection, start, unreadable
from runtime.telemetry.log_events import as_event
from runtime.telemetry.tracing import trace_headers
from schemas.bounds import LAST_MOMENT, moment
from schemas.job import ENDED, Job
from schemas.messages.codec import UndecodableError
from schemas.messages.commands import Command
from schemas.messages.events import CommandRejected, JobEvent
from schemas.messages.request_headers import ORIGIN_HEADER, as_asked
from schemas.topics import DAY_MS

log = logging.getLogger(__name__)

_KEY_BYTES = 64
"""If a record is no command, the history names this many bytes of its key: as many as a job id may have."""
PUT_BACK_SECONDS = 1.0
"""How often a report is put back about a job that this version does not understand."""
SWEEP_MS = 3600 * 1000
"""How often the agent looks for jobs that ended long ago."""
SWEEP_JOBS = 100
"""Ended jobs that the agent removes at a time, at most: the sender of the next command waits meanwhile."""
START_JOBS = 100
"""Queued jobs that have their turn at a time, at most, for the same reason."""


class ControlAgent:
    """Carries out commands, one after another."""

    def __init__(
        self,
        jobs: JobTable,
        catalog: Catalog,
        partitions: int,
        publish: Publish,
        retention_days: float = 30,
        clock: Callable[[], int] = lambda: LAST_MOMENT,
        on_history: Callable[[JobEvent | CommandRejected], None] = lambda _: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        authorizer: Authorizer | None = None,
    ) -> None:
        """`partitions`: how many the topic `rows` has; new jobs keep this number. Jobs that ended longer ago than
        `retention_days` leave the control table; the history and the reports keep them. `clock` gives the time now, in
        milliseconds since 1970. `on_history` is told each record of the history once it is written. `authorizer`: None
        takes every record as what it says it is.
        """
        self._jobs = jobs
        self._states = StatesAhead(jobs)
        self._outbox = Outbox()
        self._writing = asyncio.Lock()
        self._broken = False
        """A write has failed. The agent may have decided on later commands by a state that is not in Kafka."""
        self._catalog = catalog
        self._partitions = partitions
        self._publish = publish
        self._retention_ms = retention_days * DAY_MS
        self._clock = clock
        self._on_history = on_history
        self._sleep = sleep
        self._authorizer = authorizer
        self._put_back: set[bytes] = set()
        self._swept_at = 0
        self._newest_offset = -1
        """Offset of the newest command that a state has taken in: the agent has decided on all commands before it."""
        self._turns_at: int | None = None
        """The time of the command behind which further queued jobs have their turn; None: none has."""

    async def take_over(self, at: int, end: int) -> None:
        """Go on where the agent before this one stopped; `end` is the offset that the next command will have.

        It starts the queued jobs whose turn has come: the agent before this one may have died before it could.
        """
        self.forget()
        if self._authorizer is not None:
            self._authorizer.reset()
        # A state may claim an offset beyond the end of the topic. It must not hide the commands that will have it.
        self._newest_offset = max((job.command_offset for job in self._jobs if job.command_offset < end), default=-1)
        self._start_next(at)
        await self.settle()

    @property
    def has_turns_left(self) -> bool:
        """Whether queued jobs have their turn that have not begun: `continue_turns` goes on with them."""
        return self._turns_at is not None

    def continue_turns(self) -> bool:
        """Have further queued jobs begin, as the next command would; answers whether there were any. Nothing shows of
        it until it is settled."""
        if self._turns_at is None:
            return False
        self._start_next(self._turns_at)
        return True

    async def settle(self) -> None:
        """Write what follows from the commands that have been taken. Raises the errors of `publish`.

        Once it has returned, all commands that were taken before the call may be acknowledged.

        Raises:
            UnwrittenError: an earlier call has failed.
        """
        async with self._writing:
            self._require_written()
            outbox, self._outbox = self._outbox, Outbox()
            for record in outbox.history:
                _log(record)
            try:
                for step in outbox.steps:
                    if step:
                        await self._publish(step)
            except BaseException:
                self._broken = True
                raise
            for record in outbox.history:
                self._on_history(record)
            for job in outbox.states:
                self._states.written(job)

    def forget(self) -> None:
        """Commands that have been taken and not settled are another agent's: it gets them again, and decides anew. So
        are the turns of queued jobs that are left."""
        self._outbox = Outbox()
        self._turns_at = None
        self._states.forget()
        self._broken = False

    def _require_written(self) -> None:
        if self._broken:
            raise UnwrittenError("an earlier command could not be carried out; it comes again, with those behind it")

    async def handle(self, offset: int, at: int, key: bytes | None, value: bytes | None, headers: Headers = ()) -> None:
        """Carry out one command, as `take` and `settle` do for several."""
        try:
            await self.take(offset, at, key, value, headers)
        except UndecodableError:
            await self.settle()
            raise
        await self.settle()

    async def take(self, offset: int, at: int, key: bytes | None, value: bytes | None, headers: Headers = ()) -> None:
        """Decide on the command record at `offset`, whose timestamp is `at` (milliseconds since 1970).

        The agent answers every command, and can then take the next one: besides UndecodableError only the errors of
        `publish` and of the authorizer's reading are raised. Nothing shows of it until it is settled.

        Raises:
            UndecodableError: the record is no command of any job. Its refusal stands in the history.
            UnwrittenError: as `settle`.
            UndecidedError: Kafka does not answer who has sent it.
        """
        self._require_written()
        if offset <= self._newest_offset:
            return  # Kafka delivers it again. Judged anew, a command that was refused then could be carried out now.
        at = moment(at)
        context = self._context(offset, at)
        named, record = job_named(value), CommandRecord(offset, at, value or b"", headers)
        is_report = named is not None and named.is_report
        if named is not None and is_report and not await self._is_report_of_ours(record, named, context):
            return
        if named is not None and await self._left_alone(value, named, context):
            return
        try:
            command = command_in(value)
        except UndecodableError as error:
            log.warning(
                "command at offset %d can't be read: %s",
                offset,
                error,
                extra=as_event("command.unreadable", offset=offset),
            )
            if named is not None and named.is_command:
                self._carry_out(Reaction(history=(unreadable(named.job_id, str(error), context, named.type),)))
                return
            job_id = (key or b"?")[:_KEY_BYTES].decode("utf-8", "replace")
            self._carry_out(Reaction(history=(unreadable(job_id, f"not a command: {error}", context),)))
            raise
        if not (is_report or is_asked(command)):
            raise UndecodableError("a report whose type can't be told at a glance")  # it would come in unseen
        before = self._states.get(command.job_id)
        reaction = await self._judged(before, record, command, context)
        self._carry_out(reaction)
        after = reaction.job
        has_ended = before is not None and after is not None and holds_key(before) and not holds_key(after)
        if has_ended or self.has_turns_left:
            self._start_next(at)
        # The clock is asked as well: a record with a timestamp in the far future must not remove jobs.
        today = min(at, self._clock())
        if today - self._swept_at > SWEEP_MS:
            await self._sweep(today)

    async def _is_report_of_ours(self, record: CommandRecord, named: Head, context: Context) -> bool:
        """Whether a report is to be carried out; the history has why it is refused, and nothing of a repeat."""
        verdict = True if self._authorizer is None else await self._authorizer.report(record)
        if isinstance(verdict, bool):
            return verdict
        refusal = unreadable(named.job_id, verdict.message, context, named.type, verdict.code)
        self._carry_out(Reaction(history=(refusal,)))
        return False

    async def _admitted(self, record: CommandRecord, command: Command) -> Command | Rejected:
        """The command under the name of its sender; or why its sender may not ask for it."""
        if self._authorizer is None or not is_asked(command):
            return command
        return await self._authorizer.asked(record, command, self._organisation_of)

    def _organisation_of(self, job_id: str) -> str | None:
        job = self._states.get(job_id)
        return None if job is None else job.organisation

    async def _left_alone(self, value: bytes | None, named: Head, context: Context) -> bool:
        """Whether a command is of a job that a newer version has written: a request is refused, a report put back.

        A report must not be lost: a newer control agent has to take it in. It goes to the end of the topic again.
        """
        if named.job_id not in self._jobs.not_understood or value is None:
            return False
        job_id = named.job_id
        if not named.is_report:
            problem = (
                f"a newer version of Sluice has written job {job_id}, and the worker in control does not know what it "
                f"is to do: end the rollout, or go forward again, and ask again"
            )
            self._carry_out(Reaction(history=(unreadable(job_id, problem, context, named.type, 409),)))
            return True
        if value in self._put_back:  # the topic has been gone through once
            self._put_back.clear()
            await self._sleep(PUT_BACK_SECONDS)
        self._put_back.add(value)
        log.info("job %s: a report waits for a newer worker", job_id, extra=as_event("job.deferred", job=job_id))
        await self._publish([Written("reports", job_id.encode(), value)])
        return True

    async def _judged(self, before: Job | None, record: CommandRecord, command: Command, context: Context) -> Reaction:
        """Decide on a command; returns what follows from it. An unexpected error refuses this one command."""
        try:
            surplus = surplus_problem(record.value, command)
            if surplus is not None:
                return _refusing(command, surplus, context)
            admitted = await self._admitted(record, command)
            if isinstance(admitted, Rejected):
                unknown = replace(command, by=BY_TOPIC) if is_asked(command) else command
                return Reaction(history=(rejection(unknown, admitted, context),))
            command = as_asked(admitted, header_of(record.headers, ORIGIN_HEADER))
            return readable(react(before, command, context))
        except UndecidedError:
            raise
        except UndecodableError as error:
            return _refusing(command, f"its outcome would be out of bounds: {error}", context)
        except Exception:
            log.exception(
                "command at offset %d failed unexpectedly",
                context.offset,
                extra=as_event("command.failed", job=command.job_id, offset=context.offset),
            )
            problem = f"something went wrong inside the control agent; a worker's log has the cause at {context.offset}"
            return _refusing(command, problem, context, 500)

    async def _sweep(self, at: int) -> None:
        # The newest state stays: if Kafka loses the offsets of the group, it tells which commands were carried out.
        expired = [
            job
            for job in self._jobs
            if job.command_offset < self._newest_offset
            and job.state in ENDED
            and job.ended_at is not None
            and not job.purging
            and job.id not in self._jobs.not_understood
            and at - job.ended_at > self._retention_ms
        ]
        if expired:
            await self.settle()  # what is written later than that state may not be lost either
            leaving = [job for job in expired[:SWEEP_JOBS] if self._jobs.is_newest(job)]
            await self._publish([Written("jobs", job.id.encode(), None) for job in leaving])
            for job in leaving:
                self._jobs.remove(job.id)
        if len(expired) <= SWEEP_JOBS:
            self._swept_at = at

    def _start_next(self, at: int) -> None:
        # With the offset of the newest command: before-images are ordered by those at which their jobs have begun.
        files = AppliedFiles(self._states.of, self._catalog)
        context = dataclasses.replace(self._context(self._newest_offset, at), applied_before=files.before)

        def begin(job: Job) -> Job | None:
            if job.id in self._jobs.not_understood:
                return None
            try:
                reaction = readable(start(job, context))
            except Exception:
                log.exception("job %s can't be started", job.id, extra=as_event("job.stuck", job=job.id))
                return None
            self._carry_out(reaction)
            if reaction.job is not None:
                files.add(reaction.job)
            return reaction.job

        left = take_turns(self._states.busy_or_queued(), self._catalog.quotas, begin, START_JOBS)
        self._turns_at = at if left else None

    def _context(self, offset: int, at: int) -> Context:
        return Context(
            offset,
            at,
            self._partitions,
            self._catalog,
            lambda key: holder(self._states.busy_or_queued(), key),
            self._states.get,
            AppliedFiles(self._states.of, self._catalog).before,
            self._states.of,
            self._states.not_ended,
            self._states.busy_or_queued,
        )

    def _carry_out(self, reaction: Reaction) -> None:
        self._outbox.add(reaction, tuple(trace_headers()))
        if reaction.job is not None:
            self._states.put(reaction.job)
            self._newest_offset = max(self._newest_offset, reaction.job.command_offset)


def _log(record: JobEvent | CommandRejected) -> None:
    match record:
        case JobEvent(job_id=job_id, event=what, state=state, job=job):
            told = as_event("job.event", job=job_id, epoch=job.epoch, what=what, state=str(state))
        case CommandRejected(job_id=job_id, message=what, command=command):
            told = as_event("job.event", job=job_id, what="refused", command=command)
    log.info("job %s: %s", job_id, what, extra=told)


def _refusing(command: Command, problem: str, context: Context, code: int = 400) -> Reaction:
    return Reaction(history=(rejection(command, Rejected(code, problem), context),))
