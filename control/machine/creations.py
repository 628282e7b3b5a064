"""How a job comes about and begins: made, started from a dry run, its file received, its turn. Pure."""

from __future__ import annotations

from msgspec.structs import replace

from control.creation.admission import creation_problem, exclusive_key, recorded_problem, write_mode
from control.creation.exclusive import busy
from control.creation.inspection import to_inspect
from control.creation.quotas import draft_problem, place_problem, queue_problem, running_problem, usage_of
from control.creation.repeats import differences, request_digest
from control.creation.same_file import applied_meanwhile, same_file_problem
from control.creation.starting import real_job
from control.errors import Rejected
from control.machine.context import Context
from schemas.descriptors.modes import RESTORING
from schemas.job import EVEN_BLOCK_ROWS, BlockLimits, Job, Options, State
from schemas.messages.commands import CreateJob, StartDraft, StartJob
from schemas.messages.events import Created, Event, Failed, FileReceived, Started, TimerSet
from schemas.messages.formats import IMAGE_GROUPS, INSPECTION_FORMAT, SEALED_FORMAT, TIMERS, WRITE_MODES

S = State


def start_events(job: Job | None, command: StartJob, context: Context) -> tuple[Event, ...] | Rejected:
    """The events of the start of a dry run's real job; `job`: the one of this id, if there is one."""
    if job is not None and job.started_from == command.dry_run:
        return ()  # a repeat of the same start; the dry run itself may have left the table since
    creation = real_job(command, context.find(command.dry_run))
    return creation if isinstance(creation, Rejected) else creation_events(job, creation, context, command.dry_run)


def creation_events(
    job: Job | None, command: CreateJob, context: Context, started_from: str | None = None
) -> tuple[Event, ...] | Rejected:
    """The events of a creation; `job`: the one of this id, if there is one. `started_from`: the dry run's id."""
    if job is not None:
        different = differences(job, command, started_from)
        return _another(job, different) if different else ()
    problem = creation_problem(command, context.catalog) or recorded_problem(command, context.catalog)
    if problem is not None:
        return problem
    key = exclusive_key(command, context.catalog)
    kind = context.catalog.operations[command.operation]
    mode = write_mode(command, kind, context.catalog.datasets[command.dataset])
    later = _time_to_come(command.start_at, context)
    sealed = context.catalog.sealing and command.source.kind != "query"
    # A control agent that does not know the time to start would start the job at once.
    inspected = to_inspect(command, context.at)
    needs = max(
        WRITE_MODES if mode is not None and len(kind.modes) > 1 else 0,
        IMAGE_GROUPS if mode in RESTORING else 0,
        TIMERS if later is not None else 0,
        SEALED_FORMAT if sealed else 0,
        INSPECTION_FORMAT if inspected else 0,
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
        limits=_limits(context.catalog.limits, command.options),
        start_at=later,
        source=command.source,
        request=request_digest(command),
        started_from=started_from,
        date_from=command.date_from,
        date_till=command.date_till,
        exclusive_key=key,
        # Rows come by a topic in any order: the first rows may be the last to come, so no row waits for them.
        budget="open" if command.options.max_errors is None or command.source.kind == "topic" else "probing",
        inspection="due" if inspected else "none",
    )
    if command.draft:
        usage = usage_of(command.organisation, context.jobs_of(command.organisation))
        full = draft_problem(usage, command.organisation, context.catalog.quotas.of(command.organisation))
        return full or (Created(replace(created, state=S.DRAFT, draft=True)),)
    return _begun(created, (Created(created),), context)


def _limits(usual: BlockLimits | None, options: Options) -> BlockLimits | None:
    """How the job's rows are divided. Rows of a job with a rate come a block at a time: smaller ones are more even."""
    if usual is None or options.rows_per_second is None:
        return usual
    return replace(usual, rows=min(usual.rows, EVEN_BLOCK_ROWS))


def _time_to_come(at: int | None, context: Context) -> int | None:
    return at if at is not None and at > context.at else None


def _begun(job: Job, before: tuple[Event, ...], context: Context) -> tuple[Event, ...] | Rejected:
    """What becomes of a job that may begin now, as far as other jobs are concerned; `before`: what has led to this."""
    usage, quotas = (
        usage_of(job.organisation, context.jobs_of(job.organisation)),
        context.catalog.quotas.of(job.organisation),
    )
    if job.start_at is not None:  # before its time it keeps no other job from starting
        full = queue_problem(usage, job.organisation, quotas)
        return full or place_problem(job.source, usage, job.organisation, quotas, queueing=True) or before
    holder = context.holder(job.exclusive_key) if job.exclusive_key else None
    queueing = job.options.if_busy == "queue"
    if holder is not None and not queueing:
        return busy(holder, job, queueing=not job.draft)
    problem = same_file_problem(job, context.applied_before, queued=holder is not None)
    if problem is not None:
        return problem
    full = place_problem(job.source, usage, job.organisation, quotas, queueing=queueing)
    if full is None and holder is not None:
        full = queue_problem(usage, job.organisation, quotas)
    if full is not None:
        return full
    waits = holder is not None or running_problem(usage, job.organisation, quotas) is not None
    return before if waits else (*before, Started())


def file_received(job: Job, request: StartDraft, context: Context) -> tuple[Event, ...] | Rejected:
    """The events of a draft whose file has come."""
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
    received: tuple[Event, ...] = (FileReceived(request.source),)
    if request.start_at is None:
        return _begun(replace(job, source=request.source), received, context)
    later = _time_to_come(request.start_at, context)
    return _begun(replace(job, source=request.source, start_at=later), (*received, TimerSet(later)), context)


def turn_events(job: Job, context: Context) -> tuple[Event, ...]:
    """The events of a queued job whose turn has come."""
    problem = applied_meanwhile(job, context.applied_before)
    return (Started(),) if problem is None else (Failed(problem),)


def _another(job: Job, different: list[str]) -> Rejected:
    return Rejected(
        409,
        f"there is a job {job.id} already, and it is another one: its {', '.join(different)} differ",
        {"job_id": job.id},
    )
