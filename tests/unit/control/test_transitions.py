"""The map of transitions against `decide` and `evolve`, from every state that a job can reach."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, get_args

from msgspec.structs import replace

from control.creation.inspection import awaits_inspection
from control.errors import Rejected
from control.machine.context import Context
from control.machine.decision import decide
from control.machine.evolution import evolve
from control.reaction import start
from control.timers import timer_of
from control.transitions import TRANSITIONS, moved_by
from schemas.job import ENDED, Input, Job, LaneTotals, Source, State
from schemas.messages.commands import (
    Command,
    CreateJob,
    FileFinished,
    InputAdvanced,
    InputEnded,
    LanesCounted,
    PauseJob,
    PurgeEnded,
    PurgeJob,
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
)
from schemas.messages.events import Event, Failed, Started, TimerSet
from schemas.suspicion import Suspicion
from tests.support.in_memory.control import (
    CATALOG,
    PARTITIONS,
    at,
    input_ended,
    input_failed,
    lanes_done,
    rested,
    upload,
    work_failed,
    world_in,
)

Step = tuple[type, State | None, State, type | None, bool]
"""An event, the states before and after it, the command that brought it, and whether it is the command's own event."""

SUSPICION = Suspicion(kind="unusual", columns=("phone",), fit=0.9, rows=1000, message="phone is unlike itself")
NOTHING = LaneTotals()
WRITTEN = LaneTotals(rows_applied=5, blocks=1, last_row=10)
KEPT = LaneTotals(rows_kept=2, blocks=1, last_row=10)
WITH_ERRORS = LaneTotals(rows_applied=4, rows_failed=1, blocks=1, last_row=10)
PROBED = LaneTotals(rows_applied=1000, blocks=1, last_row=1000)
OVERSPENT = LaneTotals(rows_applied=500, rows_failed=500, blocks=1, last_row=1000)
OTHER = replace(world_in(State.RUNNING).job(), id="other")
DRY_RUN = replace(world_in(State.COMPLETED, dry_run=True).job(), id="dry")


def sweep() -> set[Step]:
    """Every step of a job's life: from each state that can be reached, each command is decided on."""
    found: set[Step] = set()
    known: set[Any] = set()
    todo: deque[Job | None] = deque([None])

    def take(before: Job | None, events: tuple[Event, ...], command: type | None) -> None:
        job = before
        for number, event in enumerate(events):
            state = job.state if job else None
            job = evolve(job, event, at(7), 7)
            found.add((type(event), state, job.state, command, number == 0))
        if job is not None and events and (seen := outline(job)) not in known:
            known.add(seen)
            todo.append(job)

    contexts = {(held, second): context(held, second) for held in (False, True) for second in (7, 8)}
    while todo:
        job = todo.popleft()
        if job is not None and job.state is State.QUEUED:
            assert [record.event for record in start(job, context()).history] == [Started.__name__]
            take(job, (Started(),), None)
            # The other outcome of a turn: see test_control_same_file.py.
            take(job, (Failed("applied meanwhile"),), None)
            for early in (ResumeJob, TimerDue) if job.start_at is not None else ():
                take(job, (TimerSet(None), Failed("applied meanwhile")), early)
        for command in commands(job):
            for held in (False, True) if job is None else (False,):
                verdict = decide(job, command, contexts[held, 8 if isinstance(command, TimerDue) else 7])
                if not isinstance(verdict, Rejected):
                    take(job, verdict, type(command))
    return found


def context(held: bool = False, second: int = 7) -> Context:
    return Context(7, at(second), PARTITIONS, CATALOG, lambda _: OTHER if held else None, lambda _: DRY_RUN)


def commands(job: Job | None) -> Iterator[Command]:
    """What people, readers and workers may send to a job in this state; None: there is no job yet."""
    if job is None:
        yield upload(max_errors=10)
        yield replace(upload(), source=Source(name="people.csv"), draft=True)
        yield replace(upload(if_busy="queue"), source=Source(kind="topic"))
        export = Source(kind="query")
        yield CreateJob(job_id="j1", operation="export", dataset="people", source=export, date_from="2026-01-01")
        yield StartJob(job_id="j1", dry_run="dry")
        yield replace(upload(), start_at=at(7) + 5)
        return
    run: dict[str, Any] = {"job_id": job.id, "phase": job.phase, "run": job.run}
    corrected = Source(path="r.csv", sha256="c0", bytes=3)
    yield StartDraft(job_id=job.id, source=Source(path="j1.csv", sha256="a1"))
    yield StartDraft(job_id=job.id, source=Source(path="j1.csv", sha256="a1"), start_at=at(7) + 5)
    yield PauseJob(job_id=job.id)
    yield PauseJob(job_id=job.id, resume_at=at(7) + 5)
    if (due_at := timer_of(job)) is not None:
        yield TimerDue(job_id=job.id, due_at=due_at)
    yield ResumeJob(job_id=job.id)
    yield TerminateJob(job_id=job.id)
    yield TerminateJob(job_id=job.id, keep_rows=True)
    yield RollbackJob(job_id=job.id)
    yield RollbackJob(job_id=job.id, force=True)
    yield RetryErrors(job_id=job.id, source=corrected, errors_of_run=job.run)
    yield SetRate(job_id=job.id, rows_per_second=9)
    yield PurgeJob(job_id=job.id)
    yield PurgeEnded(job_id=job.id, epoch=job.epoch)
    yield PurgeEnded(job_id=job.id, epoch=job.epoch, problem="the disk is read-only")
    yield StoresEmptied(job_id=job.id, epoch=job.epoch, stores=["row_errors"])
    yield InputAdvanced(input=Input(blocks=1, rows=5), **run)
    yield InputEnded(job_id=job.id, rows=10)
    yield input_ended(job, (1, 1))
    yield input_ended(job, (0, 0))
    yield input_failed(job)
    yield work_failed(job)
    for lanes in ((0,), (0, 1)):
        yield rested(job, lanes, NOTHING)
        yield rested(job, lanes, WRITTEN)
        yield lanes_done(job, lanes, WRITTEN)
        yield lanes_done(job, lanes, KEPT)
        yield lanes_done(job, lanes, WITH_ERRORS)
    yield LanesCounted(job_id=job.id, lanes={0: PROBED})
    yield LanesCounted(job_id=job.id, lanes={0: OVERSPENT})
    yield RowsInspected(job_id=job.id, epoch=job.epoch)
    yield RowsInspected(job_id=job.id, epoch=job.epoch, suspicion=SUSPICION, own_rows=1000)
    yield FileFinished(job_id=job.id, epoch=job.epoch)
    yield UndoChecked(job_id=job.id, epoch=job.epoch, remaining=0)
    yield UndoChecked(job_id=job.id, epoch=job.epoch, remaining=3, last_row=7)


def outline(job: Job) -> Any:
    """What tells states apart: numbers that only grow are left out, so that there is an end of states.

    So is what a job that has ended keeps of its lanes: a rollback or a retry begins them anew.
    """
    if job.state in ENDED:
        job = replace(job, lanes_rested={}, lanes_counted={}, undo_input=Input())
    if job.phase == "undo":
        job = replace(job, lanes_counted={}, budget="open")
    done = job.lanes_done.values()
    return (
        (job.operation, job.options.max_errors, job.source.kind, job.started_at is None, min(job.run, 1)),
        (job.state, job.phase, job.halting, job.checking, job.finishing, job.budget, _inspection(job)),
        (job.resume_at is not None, job.start_at is not None),
        job.keep_rows and job.state is State.TERMINATING,
        (job.purging, job.purged_at is None),
        (job.current_input.ended, job.current_input.blocks_per_partition),
        (tuple(sorted(job.lanes_rested)), any(lane.totals.last_row for lane in job.lanes_rested.values())),
        (tuple(sorted(job.lanes_done)), any(t.rows_kept if job.phase == "undo" else t.rows_failed for t in done)),
        job.applied and (job.applied.rows_failed > 0, job.applied.last_row > 0),
        tuple(sorted((lane, totals.rows_failed) for lane, totals in job.lanes_counted.items())),
        (job.force, job.undone is not None and job.undone.rows_kept > 0) if job.phase == "undo" else (),
    )


def _inspection(job: Job) -> str:
    """A job that was looked at, or never is, goes on in one way."""
    return job.inspection if awaits_inspection(job) or job.inspection == "suspicious" else "over"


def mapped() -> set[Step]:
    """The steps that the map allows."""
    return {
        (step.event, before, step.after or before or State.QUEUED, command, own)
        for step in TRANSITIONS
        for before in step.before
        for own, causes in ((True, step.by), (False, step.upon))
        for command in causes
    }


def in_words(steps: set[Step]) -> list[str]:
    return sorted(
        f"{event.__name__}: {before} -> {after} {'by' if own else 'upon'} {command.__name__ if command else 'nothing'}"
        for event, before, after, command, own in steps
    )


def test_the_control_agent_does_what_the_map_says_and_nothing_else() -> None:
    done, allowed = sweep(), mapped()
    assert in_words(done - allowed) == [], "the map lacks these"
    assert in_words(allowed - done) == [], "no command from any state leads to these"


def test_every_event_and_every_state_is_in_the_map() -> None:
    assert {step.event for step in TRANSITIONS} == set(get_args(Event))
    assert {step.after for step in TRANSITIONS} - {None} == set(State)


def test_a_request_moves_a_job_where_the_map_has_an_event_of_its_own_for_it() -> None:
    assert moved_by(PauseJob) == {State.RUNNING, State.ROLLING_BACK}
    assert moved_by(ResumeJob) == {State.PAUSED, State.ROLLBACK_PAUSED, State.FAILED}
