"""The map of a job's life: which event takes a job from which state to which one, who causes it, and how.

`control/machine/` decides by rules; this map says what these rules can lead to. A test compares the two, from every
state that a job can reach. docs/states.md is made of this map: see `control/states_page.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from schemas.job import APPLYING, ENDED, UNDOING, State
from schemas.messages.commands import (
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

S = State
OPERATOR: Final = "an operator"
AGENT: Final = "the control agent"
READER: Final = "a reader"
WORKER: Final = "a worker"


@dataclass(frozen=True, slots=True)
class Transition:
    """One event, and what it does to the state of a job."""

    event: type
    before: tuple[State | None, ...]
    """The states in which it can happen; None: the job is not there yet."""
    after: State | None
    """The state that it leads to; None: the state stays what it was."""
    who: str
    cause: str
    """What `who` does; `who` and `cause` together are a sentence."""
    by: tuple[type | None, ...] = ()
    """The commands that stand for this event; None: no command, since the turn of a queued job comes by itself."""
    upon: tuple[type, ...] = ()
    """The commands after whose own event it follows in the same step."""


_APPLYING = tuple(state for state in S if state in APPLYING)
_UNDOING = tuple(state for state in S if state in UNDOING)
_ENDED = tuple(state for state in S if state in ENDED)
_ENDS_OF_WORK = (LanesDone, InputEnded, ResumeJob, TimerDue)

TRANSITIONS: Final[tuple[Transition, ...]] = (
    Transition(Created, (None,), S.QUEUED, OPERATOR, "makes the job", (CreateJob, StartJob)),
    Transition(Created, (None,), S.DRAFT, OPERATOR, "makes the job, whose file is still to come", (CreateJob,)),
    Transition(FileReceived, (S.DRAFT,), S.QUEUED, OPERATOR, "starts it, as its file has come", (StartDraft,)),
    Transition(
        Started, (S.QUEUED,), S.RUNNING, AGENT, "finds that no other job holds its exclusive key",
        (None,), (CreateJob, StartJob, StartDraft, ResumeJob, TimerDue),
    ),
    Transition(
        Failed, (S.QUEUED,), S.FAILED, AGENT, "finds at its turn that its file has been applied meanwhile", (None,),
        (ResumeJob, TimerDue),
    ),
    Transition(PauseRequested, (S.RUNNING,), S.PAUSING, OPERATOR, "pauses it", (PauseJob,)),
    Transition(
        PauseRequested, (S.RUNNING,), S.PAUSING, AGENT, "finds more row errors than max_errors allows",
        upon=(LanesCounted, ResumeJob, TimerDue),
    ),
    Transition(
        PauseRequested, (S.RUNNING,), S.PAUSING, AGENT, "finds that the first rows look like an accident",
        upon=(RowsInspected,),
    ),
    Transition(
        Paused, (S.PAUSING,), S.PAUSED, WORKER, "proves that the last partition has stopped", upon=(LanesRested,)
    ),
    Transition(Resumed, (S.PAUSED,), S.RUNNING, OPERATOR, "resumes it", (ResumeJob,)),
    Transition(Resumed, (S.PAUSED,), S.RUNNING, AGENT, "finds that the time to go on has come", (TimerDue,)),
    Transition(Resumed, (S.FAILED,), S.RUNNING, OPERATOR, "resumes it, as it failed while applying rows", (ResumeJob,)),
    Transition(FileBegun, (S.RUNNING,), None, WORKER, "has dealt with the last block of an export", upon=_ENDS_OF_WORK),
    Transition(
        Completed, (S.RUNNING,), S.COMPLETED, WORKER, "has dealt with the last block, and no row has errors",
        upon=_ENDS_OF_WORK,
    ),
    Transition(Completed, (S.RUNNING,), S.COMPLETED, WORKER, "has made the file of an export", (FileFinished,)),
    Transition(
        Completed, (S.RUNNING,), S.COMPLETED_WITH_ERRORS, WORKER, "has dealt with the last block, and rows have errors",
        upon=_ENDS_OF_WORK,
    ),
    Transition(
        Completed, (S.RUNNING,), S.COMPLETED_WITH_ERRORS, WORKER,
        "has made the file of an export, and rows have errors", (FileFinished,),
    ),
    Transition(RetryStarted, (S.COMPLETED_WITH_ERRORS,), S.RUNNING, OPERATOR, "sends corrected rows", (RetryErrors,)),
    Transition(
        TerminationRequested, (S.DRAFT, S.QUEUED, *_APPLYING), S.TERMINATING, OPERATOR, "terminates it", (TerminateJob,)
    ),
    Transition(
        TerminationRequested, (S.FAILED,), S.TERMINATING, OPERATOR, "rolls it back before every partition has stopped",
        (RollbackJob,),
    ),
    Transition(
        Terminated, (S.TERMINATING,), S.TERMINATED, WORKER,
        "proves that the last partition has stopped, and the rows are kept", upon=(LanesRested,),
    ),
    Transition(
        Terminated, (S.TERMINATING,), S.TERMINATED, AGENT,
        "knows that every partition had stopped before, and the rows are kept", upon=(TerminateJob,),
    ),
    Transition(
        RollbackStarted, (S.TERMINATING,), S.ROLLING_BACK, WORKER,
        "proves that the last partition has stopped, and the rows are taken out", upon=(LanesRested,),
    ),
    Transition(
        RollbackStarted, (S.TERMINATING,), S.ROLLING_BACK, AGENT,
        "knows that every partition had stopped before, and the rows are taken out", upon=(TerminateJob,),
    ),
    Transition(
        RollbackStarted, (S.COMPLETED, S.COMPLETED_WITH_ERRORS, S.TERMINATED, S.FAILED), S.ROLLING_BACK, OPERATOR,
        "rolls it back", (RollbackJob,),
    ),
    Transition(
        RollbackStarted, (S.ROLLED_BACK,), S.ROLLING_BACK, OPERATOR,
        "rolls it back with force, as others have changed documents since", (RollbackJob,),
    ),
    Transition(PauseRequested, (S.ROLLING_BACK,), None, OPERATOR, "pauses the rollback", (PauseJob,)),
    Transition(
        Paused, (S.ROLLING_BACK,), S.ROLLBACK_PAUSED, WORKER,
        "proves that the last partition of a paused rollback has stopped", upon=(LanesRested,),
    ),
    Transition(Resumed, (S.ROLLBACK_PAUSED,), S.ROLLING_BACK, OPERATOR, "resumes the rollback", (ResumeJob,)),
    Transition(
        Resumed, (S.ROLLBACK_PAUSED,), S.ROLLING_BACK, AGENT, "finds that the time to go on has come", (TimerDue,)
    ),
    Transition(
        Resumed, (S.FAILED,), S.ROLLING_BACK, OPERATOR, "resumes it, as it failed in a rollback", (ResumeJob,),
    ),
    Transition(
        UndoFinished, (S.ROLLING_BACK,), None, WORKER, "has undone the last block", upon=_ENDS_OF_WORK
    ),
    Transition(
        UndoFinished, (S.ROLLING_BACK,), None, AGENT, "knows of no block to undo",
        upon=(TerminateJob, RollbackJob, LanesRested),
    ),
    Transition(RollbackRepeated, (S.ROLLING_BACK,), None, WORKER, "has counted rows that are left", (UndoChecked,)),
    Transition(
        Failed, (S.ROLLING_BACK,), S.FAILED, WORKER, "has counted rows that are left after a round that took none out",
        (UndoChecked,),
    ),
    Transition(RolledBack, (S.ROLLING_BACK,), S.ROLLED_BACK, WORKER, "has counted that no row is left", (UndoChecked,)),
    Transition(
        RolledBack, (S.ROLLING_BACK,), S.ROLLED_BACK, AGENT, "knows that the job has not been allowed to write a row",
        upon=(TerminateJob, RollbackJob, LanesRested),
    ),
    Transition(Failed, (*_APPLYING, *_UNDOING), S.FAILED, READER, "can't read the source to its end", (InputFailed,)),
    Transition(Failed, (*_APPLYING, *_UNDOING), S.FAILED, WORKER, "can't go on with it", (WorkFailed,)),
    Transition(
        RateSet, (S.DRAFT, S.QUEUED, *_APPLYING, *_UNDOING, S.FAILED), None, OPERATOR, "sets its rate", (SetRate,)
    ),
    Transition(PurgeBegun, _ENDED, None, OPERATOR, "purges it", (PurgeJob,)),
    Transition(Purged, _ENDED, None, WORKER, "has removed all that holds its values", (PurgeEnded,)),
    Transition(PurgeFailed, _ENDED, None, WORKER, "can't remove something", (PurgeEnded,)),
    Transition(
        Expired, _ENDED, None, WORKER, "has removed what a store had, as its retention was over", (StoresEmptied,)
    ),
    Transition(
        TimerSet, (S.PAUSING, S.PAUSED, *_UNDOING), None, OPERATOR,
        "sets another time at which it goes on, or none any more", (PauseJob,),
    ),
    Transition(
        TimerSet, (S.QUEUED,), None, OPERATOR, "gives it another time to start, as its file has come",
        upon=(StartDraft,),
    ),
    Transition(TimerSet, (S.QUEUED,), None, OPERATOR, "lets it start before its time", (ResumeJob,)),
    Transition(TimerSet, (S.QUEUED,), None, AGENT, "finds that the time to start has come", (TimerDue,)),
    Transition(
        InputAnnounced, (S.QUEUED, *_APPLYING, S.FAILED), None, "the sender of the rows", "says how many there are",
        (InputEnded,),
    ),
    Transition(
        InputMoved, (*_APPLYING, *_UNDOING, S.FAILED), None, READER, "reports how far it has read", (InputAdvanced,)
    ),
    Transition(
        InputCompleted, (*_APPLYING, *_UNDOING, S.FAILED), None, READER, "reports that it has published everything",
        (InputEnded,),
    ),
    Transition(
        LanesFinished, (*_APPLYING, *_UNDOING, S.FAILED), None, WORKER, "reports partitions that are done", (LanesDone,)
    ),
    Transition(
        LanesStopped, (S.PAUSING, S.TERMINATING, S.FAILED, S.ROLLING_BACK), None, WORKER,
        "proves that partitions have stopped", (LanesRested,),
    ),
    Transition(
        LanesTallied, (*_APPLYING, S.FAILED), None, WORKER, "reports its counts of a job with max_errors",
        (LanesCounted,),
    ),
    Transition(
        ProbePassed, (S.RUNNING,), None, AGENT, "finds no more row errors in the first rows than max_errors allows",
        upon=(LanesCounted, ResumeJob, TimerDue),
    ),
    Transition(
        Suspected, (S.RUNNING,), None, WORKER, "finds that the first rows look like an accident",
        (RowsInspected,),
    ),
    Transition(
        Inspected, (S.RUNNING,), None, WORKER, "finds nothing odd in the first rows", (RowsInspected,),
    ),
)  # fmt: skip
"""The transitions in the order of a job's life; events that do not change the state come last."""


def moved_by(request: type) -> frozenset[State]:
    """The states in which this request brings an event about, other than to set the time of a timer."""
    steps = (step for step in TRANSITIONS if request in step.by and step.event is not TimerSet)
    return frozenset(state for step in steps for state in step.before if state is not None)
