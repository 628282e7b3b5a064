"""``decide``: the events of a command, or why it is rejected.

Pure, as all of this folder: the time is the timestamp of the command's record, and other jobs are looked up through
`Context`. What can come of it stands in `control/transitions.py`.
"""

from __future__ import annotations

from control.creation.limits import request_problem
from control.errors import Rejected
from control.machine.consequences import consequences
from control.machine.context import Context
from control.machine.creations import creation_events, start_events
from control.machine.evolution import evolve_all
from control.machine.reports import announcement_events, report_events
from control.machine.requests import request_events, timer_events
from control.moves import legality
from control.timers import time_problem
from schemas.job import Job
from schemas.messages.commands import Command, CreateJob, InputEnded, Request, StartJob, TimerDue
from schemas.messages.events import Event


def decide(job: Job | None, command: Command, context: Context) -> tuple[Event, ...] | Rejected:
    """The events of a command, in order; none: the command is a repeat or out of date, and changes nothing."""
    problem = request_problem(command) if isinstance(command, Request) else None
    if problem is not None:
        return problem
    late = time_problem(command, job, context.at) if isinstance(command, Request) else None
    if late is not None:
        return Rejected(400, late)
    if isinstance(command, CreateJob):
        return creation_events(job, command, context)
    if isinstance(command, StartJob):
        return start_events(job, command, context)
    if job is None:
        return Rejected(404, f"there is no job {command.job_id}; `sluice jobs` lists them")
    if isinstance(command, Request):
        answer = legality(job, command)
        if isinstance(answer, Rejected):
            return answer
        return request_events(job, command, context) if answer == "move" else ()
    if isinstance(command, TimerDue):
        return timer_events(job, command, context)
    if isinstance(command, InputEnded) and command.input is None:
        return announcement_events(job, command.rows, context)
    events = report_events(job, command)
    return events + consequences(evolve_all(job, events, context), context) if events else ()
