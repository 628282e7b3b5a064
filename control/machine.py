"""The job state machine: ``decide(state, command, context)`` gives events or a rejection, ``evolve`` the next state.

Both are pure: the time is the timestamp of the command's record, and other jobs are looked up through `Context`.
What they can lead to stands in `control/transitions.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import assert_never

from msgspec.structs import replace

from control.budget import counted, overspent, probed, watched
from control.creation.admission import (
    Catalog,
    creation_problem,
    exclusive_key,
    makes_file,
    recorded_problem,
    write_mode,
)
from control.creation.inspection import awaits_inspection, looked_at, pauses, to_inspect
from control.creation.limits import request_problem, source_problem
from control.creation.quotas import (
    place_problem,
    queue_problem,
    rows_problem,
    running_problem,
    size_problem,
    stored_files,
    stored_problem,
    usage_of,
)
from control.creation.repeats import differences, request_digest
from control.creation.same_file import Find, applied_meanwhile, same_file_problem
from control.creation.starting import real_job
from control.errors import Rejected
from control.moves import legality
from control.predicates import counting, halting, making_file, pausing, takes_more_rows, under_way
from control.timers import held, time_problem, timer_of
from runtime.text.formatting import iso_time
from schemas.job import ENDED, Input, Job, LaneTotals, State
from schemas.messages.commands import (
    Command,
    CreateJob,
    FileFinished,
    InputAdvanced,
    InputEnded,
    InputFailed,
    LanesCounted,
    LanesDone,
    LanesRested,
    PauseJob,
    PurgeEnded,
    PurgeJob,
    Report,
    Request,
    ResumeJob,
    RetryErrors,
    RollbackJob,
    RowsInspected,
    SetRate,
    StartDraft,
    StartJob,
    StoresEmptied,
    TerminateJob,
    TimerDue,
    UndoChecked,
    WorkFailed,
)
from schemas.messages.events import (
    Completed,
    Created,
    Event,
    Expired,
    Failed,
    FileBegun,
    FileReceived,
    InputAnnounced,
    InputCompleted,
    InputMoved,
    Inspected,
    LanesFinished,
    LanesStopped,
    LanesTallied,
    Paused,
    PauseRequested,
    ProbePassed,
    PurgeBegun,
    Purged,
    PurgeFailed,
    RateSet,
    Resumed,
    RetryStarted,
    RollbackRepeated,
    RollbackStarted,
    RolledBack,
    Started,
    Suspected,
    Terminated,
    TerminationRequested,
    TimerSet,
    UndoFinished,
)
from schemas.messages.formats import INSPECTION_FORMAT, SEALED_FORMAT, TIMERS, WRITE_MODES

S = State


@dataclass(frozen=True, slots=True)
class Context:
    """What a decision may know beyond the job itself."""

    offset: int
    """The command's offset."""
    at: int
    """The command record's timestamp, milliseconds since 1970."""
    partitions: int
    """Partitions of the rows topic now; a new job keeps this number."""
    catalog: Catalog
    holder: Callable[[str], str | None]
    """The id of the job that holds an exclusive key now; None: it is free."""
    find: Callable[[str], Job | None] = field(default=lambda _: None)
    """Another job, by its id."""
    applied_before: Find = field(default=lambda _: None)
    """The job that has applied the file of another one, or is applying it."""
    jobs_of: Callable[[str], Iterable[Job]] = field(default=lambda _: ())
    """Every job of an organisation that the control table has."""
    not_over: Callable[[], Iterable[Job]] = field(default=lambda: ())
    """Every job that has not ended."""


def decide(job: Job | None, command: Command, context: Context) -> tuple[Event, ...] | Rejected:
    """The events of a command, in order; none: the command is a repeat or out of date, and changes nothing."""
    problem = request_problem(command) if isinstance(command, Request) else None
    if problem is not None:
        return problem
    late = time_problem(command, context.at) if isinstance(command, Request) else None
    if late is not None:
        return Rejected(400, late)
    if isinstance(command, CreateJob):
        return _create(job, command, context)
    if isinstance(command, StartJob):
        return _start(job, command, context)
    if job is None:
        return Rejected(404, f"there is no job {command.job_id}; `sluice jobs` lists them")
    if isinstance(command, Request):
        answer = legality(job, command)
        if isinstance(answer, Rejected):
            return answer
        return _moved(job, command, context) if answer == "move" else ()
    if isinstance(command, TimerDue):
        return _timer(job, command, context)
    if isinstance(command, InputEnded) and command.input is None:
        return _announced(job, command.rows, context)
    events = _reported(job, command)
    return events + _consequences(evolve_all(job, events, context), context) if events else ()


def _start(job: Job | None, command: StartJob, context: Context) -> tuple[Event, ...] | Rejected:
    if job is not None and job.started_from == command.dry_run:
        return ()  # a repeat of the same start; the dry run itself may have left the table since
    creation = real_job(command, context.find(command.dry_run))
    return creation if isinstance(creation, Rejected) else _create(job, creation, context, command.dry_run)


def _create(
    job: Job | None, command: CreateJob, context: Context, started_from: str | None = None
) -> tuple[Event, ...] | Rejected:
    if job is not None:
        different = differences(job, command, started_from)
        return _another(job, different) if different else ()
    problem = creation_problem(command, context.catalog) or recorded_problem(command, context.catalog)
    if problem is not None:
        return problem
    key = exclusive_key(command, context.catalog)
    kind = context.catalog.operations[command.operation]
    mode = write_mode(command, kind, context.catalog.datasets[command.dataset])
    later = command.start_at if command.start_at is not None and command.start_at > context.at else None
    sealed = context.catalog.sealing and command.source.kind != "query"
    # A control agent that does not know the time to start would start the job at once.
    needs = max(
        WRITE_MODES if mode is not None and len(kind.modes) > 1 else 0,
        TIMERS if later is not None else 0,
        SEALED_FORMAT if sealed else 0,
        INSPECTION_FORMAT if to_inspect(command) else 0,
    )
    created = Job(
        id=command.job_id,
        operation=command.operation,
        dataset=command.dataset,
        organisation=command.organisation,
        created_by=command.by,
        state=S.QUEUED,
        created_at=context.at,
        command_offset=context.offset,
        partitions=context.partitions,
        reason=command.reason,
        options=command.options,
        mode=mode,
        sealed=sealed,
        needs=needs,
        start_at=later,
        source=command.source,
        request=request_digest(command),
        started_from=started_from,
        date_from=command.date_from,
        date_till=command.date_till,
        exclusive_key=key,
        # Rows come by a topic in any order: the first rows may be the last to come, so no row waits for them.
        budget="open" if command.options.max_errors is None or command.source.kind == "topic" else "probing",
        inspection="due" if to_inspect(command) else "none",
    )
    if command.draft:
        return (Created(replace(created, state=S.DRAFT, draft=True)),)
    return _begun(created, (Created(created),), context)


def _begun(job: Job, before: tuple[Event, ...], context: Context) -> tuple[Event, ...] | Rejected:
    """What becomes of a job that may begin now, as far as other jobs are concerned; `before`: what has led to this."""
    if job.start_at is not None:
        return before  # it is in nobody's way until then
    holder = context.holder(job.exclusive_key) if job.exclusive_key else None
    queueing = job.options.if_busy == "queue"
    if holder is not None and not queueing:
        return Rejected(409, _busy(holder, job), {"job_id": holder})
    problem = same_file_problem(job, context.applied_before, queued=holder is not None)
    if problem is not None:
        return problem
    usage, quotas = (
        usage_of(job.organisation, context.jobs_of(job.organisation)),
        context.catalog.quotas.of(job.organisation),
    )
    full = place_problem(job.source, usage, job.organisation, quotas, queueing=queueing)
    if full is None and holder is not None:
        full = queue_problem(usage, job.organisation, quotas)
    if full is not None:
        return full
    waits = holder is not None or running_problem(usage, job.organisation, quotas) is not None
    return before if waits else (*before, Started())


def _file_received(job: Job, request: StartDraft, context: Context) -> tuple[Event, ...] | Rejected:
    if not request.source.path or not request.source.sha256:
        return Rejected(400, "a job starts with a file that is complete: source.path and source.sha256 name it")
    asked = CreateJob(
        job_id=job.id,
        operation=job.operation,
        dataset=job.dataset,
        organisation=job.organisation,
        source=request.source,
        options=job.options,
    )
    problem = creation_problem(asked, context.catalog) or recorded_problem(asked, context.catalog)
    if problem is not None:
        return problem
    return _begun(replace(job, source=request.source), (FileReceived(request.source),), context)


def turn(job: Job, context: Context) -> tuple[Event, ...]:
    """The events of a queued job whose turn has come."""
    problem = applied_meanwhile(job, context.applied_before)
    return (Started(),) if problem is None else (Failed(problem),)


def _another(job: Job, different: list[str]) -> Rejected:
    return Rejected(
        409,
        f"there is a job {job.id} already, and it is another one: its {', '.join(different)} differ",
        {"job_id": job.id},
    )


def _busy(holder: str, job: Job) -> str:
    return (
        f"job {holder} of organisation {job.organisation} is at work on dataset {job.dataset}, and two at once are not "
        f'allowed: wait for it, terminate it, or ask to be queued behind it (if_busy: "queue")'
    )


def _moved(job: Job, request: Request, context: Context) -> tuple[Event, ...] | Rejected:
    match request:
        case CreateJob() | StartJob():
            raise AssertionError("a creation is not a move")
        case StartDraft():
            return _file_received(job, request, context)
        case PauseJob():
            return (TimerSet(request.resume_at),) if held(job) else (PauseRequested(resume_at=request.resume_at),)
        case ResumeJob():
            return _start_now(job, context) if job.state is S.QUEUED else _resume(job, context)
        case TerminateJob():
            return _terminate(job, request, context)
        case RollbackJob():
            busy = _another_restores(job, context)
            if busy is not None:
                return busy
            if job.state is S.FAILED and job.phase == "undo":
                return (Resumed(),)
            if job.state is S.FAILED and job.started_at is not None and not _all_rested(job):
                return (TerminationRequested(keep_rows=False),)
            return _rollback(job, context, request.force)
        case RetryErrors():
            return _retry(job, request, context)
        case PurgeJob():
            return _purge(job, context)
        case SetRate():
            return (RateSet(request.rows_per_second),)
        case _:
            assert_never(request)


def _announced(job: Job, rows: int | None, context: Context) -> tuple[Event, ...] | Rejected:
    """The events of the message in which the sender of a topic's rows says how many there are."""
    if job.source.kind != "topic":
        return Rejected(409, f"job {job.id} does not read its rows from a topic: its reader finds their end by itself")
    if rows is None or rows < 0:
        return Rejected(400, "the end of the input needs the field rows: the number of rows, from 0 on")
    if job.announced_rows is not None:
        if job.announced_rows == rows:
            return ()
        return Rejected(
            409,
            f"the sender of job {job.id} announced before that it has {job.announced_rows:,} rows, not {rows:,}; "
            f"this can't be changed: terminate the job and start another one",
            {"rows": job.announced_rows},
        )
    if not takes_more_rows(job):
        return Rejected(409, f"job {job.id} is {job.state}: it takes no more rows", {"state": job.state})
    too_many = rows_problem(rows, job.organisation, context.catalog.quotas.of(job.organisation))
    if too_many is not None:
        return too_many
    return (InputAnnounced(rows),)


def _resume(job: Job, context: Context) -> tuple[Event, ...] | Rejected:
    # A failed job has given its exclusive key back: another job may hold it by now.
    if job.state is S.FAILED and job.phase == "apply" and job.exclusive_key:
        holder = context.holder(job.exclusive_key)
        if holder is not None:
            return Rejected(409, _busy(holder, job), {"job_id": holder})
    if job.state is S.FAILED and job.phase == "apply" and (full := _full(job, context)) is not None:
        return full
    if job.state is S.FAILED and job.phase == "undo":
        busy = _another_restores(job, context)
        if busy is not None:
            return busy
    resumed: tuple[Event, ...] = (Resumed(),)
    return resumed + _consequences(evolve_all(job, resumed, context), context)


def _timer(job: Job, command: TimerDue, context: Context) -> tuple[Event, ...] | Rejected:
    """The events of a timer; none, if it is another one by now, or its time has not come by the record's time."""
    if command.due_at != timer_of(job) or context.at < command.due_at or pausing(job):
        return ()
    return _start_now(job, context) if job.state is S.QUEUED else _resume(job, context)


def _start_now(job: Job, context: Context) -> tuple[Event, ...]:
    """The events of a job whose time to start has come: it starts, or queues as any other."""
    free = job.exclusive_key is None or context.holder(job.exclusive_key) is None
    return (TimerSet(None), *turn(job, context)) if free else (TimerSet(None),)


def _another_restores(job: Job, context: Context) -> Rejected | None:
    """Why documents can't be given back, or taken out, now: another job may write over them, or gives them back."""
    holder = context.holder(job.exclusive_key) if job.exclusive_key and job.mode is not None else None
    if holder is None or holder == job.id:
        return None
    other = context.find(holder)
    if not job.restores and not (other is not None and other.restores and other.phase == "undo"):
        return None
    return Rejected(
        409,
        f"job {holder} of organisation {job.organisation} is at work on dataset {job.dataset}, and documents are not "
        f"given back meanwhile: wait for it or terminate it, then roll back",
        {"job_id": holder},
    )


def _retry(job: Job, request: RetryErrors, context: Context) -> tuple[Event, ...] | Rejected:
    if request.source.kind != "file" or not request.source.path or not request.source.sha256:
        return Rejected(400, "corrected rows come as a file: source.path and source.sha256 name it")
    problem = source_problem(request.source)
    if problem is not None:
        return Rejected(400, problem)
    if (gone := job.lacks("row_errors")) is not None:
        return Rejected(409, f"the row errors of job {job.id} were removed on {iso_time(gone)}: upload the rows anew")
    if request.errors_of_run != job.run:
        return Rejected(409, f"the row errors of job {job.id} have changed meanwhile: look at them again")
    # An ended job has given its exclusive key back: another job may hold it by now.
    holder = context.holder(job.exclusive_key) if job.exclusive_key else None
    if holder is not None:
        return Rejected(409, _busy(holder, job), {"job_id": holder})
    quotas = context.catalog.quotas.of(job.organisation)
    problem_of_size = size_problem(request.source, job.organisation, quotas) or stored_problem(
        request.source, usage_of(job.organisation, context.jobs_of(job.organisation)), job.organisation, quotas
    )
    if problem_of_size is not None:
        return problem_of_size
    return _full(job, context) or (RetryStarted(request.source),)


def _purge(job: Job, context: Context) -> tuple[Event, ...] | Rejected:
    paths = {path for path, _ in stored_files(job)}
    reader = next(
        (
            other.id
            for other in context.not_over()
            if other.id != job.id and paths & {path for path, _ in stored_files(other)}
        ),
        None,
    )
    if reader is None:
        return (PurgeBegun(),)
    text = f"job {reader} reads the file of job {job.id} and is not over: wait until it is, or terminate it"
    return Rejected(409, text, {"job_id": reader})


def _full(job: Job, context: Context) -> Rejected | None:
    """Why a job that is not at work may not go on: its organisation has as many at work as it may. Nothing keeps one
    from being taken out."""
    quotas = context.catalog.quotas.of(job.organisation)
    return running_problem(usage_of(job.organisation, context.jobs_of(job.organisation)), job.organisation, quotas)


def _terminate(job: Job, request: TerminateJob, context: Context) -> tuple[Event, ...] | Rejected:
    if request.keep_rows and makes_file(job.operation, context.catalog):
        return Rejected(400, f"job {job.id} makes a file, and half of one is not kept: terminate it without keep_rows")
    requested: tuple[Event, ...] = (TerminationRequested(request.keep_rows),)
    # Nothing of a queued or a paused job is in flight: no further proof is needed.
    if job.state in (S.DRAFT, S.QUEUED):
        return (*requested, Terminated()) if request.keep_rows else (*requested, *_rollback(job, context))
    if job.state is S.PAUSED:
        if request.keep_rows:
            return (*requested, Terminated())
        return (*requested, *_rollback(job, context))
    return requested


def _rollback(job: Job, context: Context, force: bool = False) -> tuple[Event, ...]:
    last_row = max((lane.totals.last_row for lane in job.lanes_rested.values()), default=0)
    if job.applied is not None:
        last_row = max(last_row, job.applied.last_row)
    if last_row and not makes_file(job.operation, context.catalog):
        return (RollbackStarted(last_row, force),)
    if job.started_at is None:
        return (RollbackStarted(0), RolledBack())
    # A worker removes the file of an export as a whole before it counts. Of the other jobs no lane has counted a row,
    # but a worker that died before its checkpoint may have written some: a worker counts them.
    return (RollbackStarted(0), UndoFinished(LaneTotals()))


def _all_rested(job: Job) -> bool:
    return all(partition in job.lanes_rested for partition in range(job.partitions))


def _reported(job: Job, report: Report) -> tuple[Event, ...]:
    """The events a report stands for; none where it is out of date or comes a second time."""
    match report:
        case UndoChecked():
            if not counting(job) or report.epoch != job.epoch:
                return ()
            if report.remaining:
                return (RollbackRepeated(report.remaining, report.last_row),)
            return (RolledBack(report.rows_undone),)
        case PurgeEnded():
            if not job.purging or report.epoch != job.epoch:
                return ()
            return (Purged(),) if report.problem is None else (PurgeFailed(report.problem),)
        case StoresEmptied():
            emptied = [store for store in report.stores if job.lacks(store) is None]
            return (Expired(emptied),) if emptied and job.state in ENDED else ()
        case FileFinished():
            current = making_file(job) and report.epoch == job.epoch
            return (Completed(_settled(job, _sum(job))),) if current else ()
        case LanesCounted():
            known, none = job.lanes_counted, LaneTotals()
            more = {p: totals for p, totals in report.lanes.items() if totals.blocks > known.get(p, none).blocks}
            return (LanesTallied(more),) if more and watched(job) and under_way(job) else ()
        case RowsInspected():
            if not awaits_inspection(job) or report.epoch != job.epoch or job.state is not S.RUNNING:
                return ()
            if report.suspicion is None:
                return (Inspected(),)
            return (Suspected(report.suspicion, pauses(job, report.suspicion, report.own_rows)),)
        case LanesRested():
            news = {p: lane for p, lane in report.lanes.items() if p not in job.lanes_rested and p < job.partitions}
            current = report.run == job.run and report.epoch == job.epoch
            return (LanesStopped(news),) if halting(job) and current and news else ()
        case InputAdvanced():
            current = report.run == job.run and under_way(job)
            so_far = job.current_input
            moved = report.input.blocks > so_far.blocks or (report.input.frozen is not None and so_far.frozen is None)
            return (InputMoved(report.input),) if current and moved and _goes_on(so_far, report.input) else ()
        case InputEnded():
            current = report.run == job.run and under_way(job) and not job.current_input.ended
            if not current or report.input is None or len(report.input.blocks_per_partition) != job.partitions:
                return ()
            if not _goes_on(job.current_input, report.input):
                return ()
            return (InputCompleted(replace(report.input, ended=True)),)
        case LanesDone():
            current = report.run == job.run and under_way(job)
            finished = {p: totals for p, totals in report.lanes.items() if p not in job.lanes_done}
            return (LanesFinished(finished),) if current and finished else ()
        case InputFailed() | WorkFailed():
            if report.run != job.run or not under_way(job) or job.state is S.FAILED:
                return ()
            # A job whose input has ended needs no more of its source.
            needless = isinstance(report, InputFailed) and job.current_input.ended
            return () if needless else (Failed(),)
        case _:
            assert_never(report)


def _goes_on(known: Input, news: Input) -> bool:
    """Whether a report continues the known input. An export has one point in time: the first that a reader reports."""
    return not known.ended and known.frozen in (None, news.frozen)


def _consequences(job: Job, context: Context) -> tuple[Event, ...]:
    """The events that follow from the job's state: its lanes have stopped or are done, or it has too many errors."""
    if pausing(job) and _all_rested(job):
        return (Paused(),)
    if job.state is S.TERMINATING and _all_rested(job):
        return (Terminated(),) if job.keep_rows else _rollback(job, context)
    if job.state is S.RUNNING and job.inspection == "suspicious":
        return (PauseRequested(suspected=True),)
    if job.state is S.RUNNING and watched(job) and overspent(job, counted(job)):
        return (PauseRequested(budget_spent=True),)
    progress = job.current_input
    done = progress.ended and all(
        partition in job.lanes_done for partition, blocks in enumerate(progress.blocks_per_partition) if blocks
    )
    if job.state is S.RUNNING and done and not job.finishing:
        totals = _settled(job, _sum(job))
        return (FileBegun(totals),) if makes_file(job.operation, context.catalog) else (Completed(totals),)
    if job.state is S.ROLLING_BACK and done and not job.checking and not job.halting:
        return (UndoFinished(_sum(job)),)
    return (ProbePassed(),) if job.state is S.RUNNING and probed(job) else ()


def _settled(job: Job, run: LaneTotals) -> LaneTotals:
    """Totals of the apply phase when its lanes have stopped; `run` are the totals of the lanes in their current run."""
    if job.applied is None:
        return run
    return job.applied.corrected(run) if job.retrying else job.applied


def _sum(job: Job) -> LaneTotals:
    return sum(job.lanes_done.values(), LaneTotals())


def evolve_all(job: Job | None, events: tuple[Event, ...], context: Context) -> Job:
    """The state after these events of one command."""
    for event in events:
        job = evolve(job, event, context.at, context.offset)
    assert job is not None, "the first event of a job is Created"
    return job


def evolve(job: Job | None, event: Event, at: int, offset: int) -> Job:
    """The state after `event`, which followed from the command at `offset`, whose record is of the time `at`."""
    after = _evolved(job, event, at, offset)
    if after.start_at is not None and after.state not in (S.QUEUED, S.DRAFT):
        after = replace(after, start_at=None)
    if after.resume_at is not None and not held(after):
        after = replace(after, resume_at=None)
    return after if job is not None and after.state is job.state else replace(after, state_since=at)


def _evolved(job: Job | None, event: Event, at: int, offset: int) -> Job:
    if isinstance(event, Created):
        return event.job
    assert job is not None, "the first event of a job is Created"
    job = replace(job, command_offset=offset)
    match event:
        case FileReceived():
            return replace(job, state=S.QUEUED, source=event.source)
        case Started():
            return replace(job, state=S.RUNNING, started_at=at, epoch=job.epoch + 1)
        case PauseRequested():
            budget = "spent" if event.budget_spent else job.budget
            rested = replace(job, epoch=job.epoch + 1, lanes_rested={}, budget=budget, resume_at=event.resume_at)
            if job.state is S.ROLLING_BACK:
                return replace(rested, halting=True)
            return replace(rested, state=S.PAUSING)
        case Paused():
            state = S.ROLLBACK_PAUSED if job.phase == "undo" else S.PAUSED
            return replace(job, state=state, halting=False)
        case Resumed():
            state = S.ROLLING_BACK if job.phase == "undo" else S.RUNNING
            return replace(
                job,
                state=state,
                epoch=job.epoch + 1,
                lanes_rested={},
                halting=False,
                ended_at=None,
                started_at=job.started_at or at,
                budget="waived" if job.budget == "spent" else job.budget,
                inspection="waived" if job.inspection == "suspicious" else job.inspection,
                needs=looked_at(job) if job.inspection == "suspicious" else job.needs,
            )
        case TerminationRequested():
            kept = job.lanes_rested if job.state is S.PAUSED else {}
            return replace(
                job,
                state=S.TERMINATING,
                epoch=job.epoch + 1,
                lanes_rested=kept,
                keep_rows=event.keep_rows,
                ended_at=None,
            )
        case Terminated():
            return replace(
                job, state=S.TERMINATED, ended_at=at, applied=_settled(job, _rested_totals(job)), lanes_rested={}
            )
        case RetryStarted():
            return replace(
                _next_run(job),
                state=S.RUNNING,
                retry=event.source,
                retry_input=Input(),
                ended_at=None,
                # An operator who corrects rows knows of the errors: they do not pause the job once more.
                budget="waived" if job.options.max_errors is not None else job.budget,
            )
        case RollbackStarted():
            again = job.state is S.ROLLED_BACK
            return replace(
                _next_run(job),
                force=event.force,
                state=S.ROLLING_BACK,
                phase="undo",
                finishing=False,
                undo_rows=event.last_row,
                applied=job.applied if again else _settled(job, _rested_totals(job)),
                undone=job.undone if again else None,
                ended_at=None,
                keep_rows=False,
            )
        case UndoFinished():
            return replace(job, checking=True, undone=(job.undone or LaneTotals()).another_round(event.totals))
        case RollbackRepeated():
            return replace(_next_run(job), undo_rows=max(job.undo_rows, event.last_row))
        case RolledBack():
            undone = (job.undone or LaneTotals()) + LaneTotals(rows_undone=event.rows_undone)
            return replace(job, state=S.ROLLED_BACK, ended_at=at, checking=False, undone=undone)
        case PurgeBegun():
            return replace(job, epoch=job.epoch + 1, purging=True, purge_problem=None)
        case Purged():
            return replace(job, purging=False, purged_at=at)
        case PurgeFailed():
            return replace(job, purging=False, purge_problem=event.problem)
        case Expired():
            return replace(job, expired={**job.expired, **dict.fromkeys(event.stores, at)})
        case RateSet():
            return replace(job, options=replace(job.options, rows_per_second=event.rows_per_second))
        case TimerSet():
            return replace(job, start_at=event.at) if job.state is S.QUEUED else replace(job, resume_at=event.at)
        case InputMoved() | InputCompleted():
            if job.phase == "undo":
                return replace(job, undo_input=event.input)
            return replace(job, retry_input=event.input) if job.run else replace(job, input=event.input)
        case InputAnnounced():
            return replace(job, announced_rows=event.rows)
        case LanesStopped():
            return replace(job, lanes_rested={**job.lanes_rested, **event.lanes})
        case LanesTallied():
            return replace(job, lanes_counted={**job.lanes_counted, **event.lanes})
        case ProbePassed():
            return replace(job, budget="open")
        case Inspected():
            return replace(job, inspection="done", needs=looked_at(job))
        case Suspected():
            inspection, needs = ("suspicious", job.needs) if event.pauses else ("done", looked_at(job))
            return replace(job, inspection=inspection, suspicion=event.suspicion, needs=needs)
        case LanesFinished():
            return replace(job, lanes_done={**job.lanes_done, **event.lanes})
        case FileBegun():
            return replace(job, finishing=True)
        case Completed():
            state = S.COMPLETED_WITH_ERRORS if event.totals.rows_failed else S.COMPLETED
            budget = "open" if job.budget == "probing" else job.budget  # it was shorter than a probe
            return replace(job, state=state, ended_at=at, applied=event.totals, budget=budget, finishing=False)
        case Failed():
            return replace(job, state=S.FAILED, epoch=job.epoch + 1, ended_at=at, lanes_rested={}, halting=False)
        case _:
            assert_never(event)


def _next_run(job: Job) -> Job:
    return replace(
        job, run=job.run + 1, epoch=job.epoch + 1, undo_input=Input(), lanes_done={}, lanes_rested={}, checking=False
    )


def _rested_totals(job: Job) -> LaneTotals:
    return sum((lane.totals for lane in job.lanes_rested.values()), LaneTotals())
