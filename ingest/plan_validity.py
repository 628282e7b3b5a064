"""Whether a plan may be worked on, from what the control table says of its job."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from control.predicates import has_caught_up, runnable, understood
from ingest.sources import phase_of
from schemas.job import Input, Job
from schemas.messages.plans import Plan


class PlanValidity(Enum):
    """The decision about a plan."""

    WAIT = "wait"
    """The control agent sends a plan before it writes the job's state: the state is still to come."""
    WORK = "work"
    VOID = "void"


def judge(plan: Plan, job: Job | None, has_passed: Callable[[int], bool]) -> PlanValidity:
    """What to do with `plan`. `has_passed(offset)`: whether the control table has taken in a later command.

    A job that is unknown though later commands have been taken in has been removed.
    """
    if job is None:
        return PlanValidity.VOID if has_passed(plan.command_offset) else PlanValidity.WAIT
    if not understood(job):
        return PlanValidity.WAIT  # for a reader that understands it
    if not has_caught_up(job, plan.command_offset, plan.epoch):
        return PlanValidity.WAIT
    current = (job.epoch, job.run, job.phase) == (plan.epoch, plan.run, phase_of(plan))
    current = current and runnable(job) and not job.current_input.ended
    return PlanValidity.WORK if current else PlanValidity.VOID


def starting_point(plan: Plan, job: Job, reached: Input | None = None) -> Input:
    """The latest of the checkpoints: the plan's own, the one recorded since, and how far this reader has come with the
    plan before it was stopped, of which the record may still be on its way.
    """
    recorded = job.current_input
    begin = recorded if recorded.blocks > plan.checkpoint.blocks else plan.checkpoint
    return reached if reached is not None and reached.blocks > begin.blocks else begin
