"""What is said to those that have to wait for another job: which one it is, and what can be done about it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from api.jobs.reading.job_view import turn_awaited
from api.readmodel.job_index import JobIndex
from api.readmodel.seen import JobSeen
from control.creation.exclusive import KeyHolders, awaited, busy, holder
from control.moves import allowed_states
from schemas.job import BUSY, RESTING, Job, State
from schemas.messages.commands import ResumeJob, TerminateJob
from tests.support.in_memory.control import at, world_in

ADVISED = {r"\bterminate\b": TerminateJob, r"\bresume\b": ResumeJob}


def some_job(name: str, state: State = State.QUEUED, organisation: str = "acme", key: str | None = "k") -> Job:
    return Job(
        id=name,
        operation="upload",
        dataset="people",
        organisation=organisation,
        created_by="ada",
        state=state,
        created_at=0,
        command_offset=0,
        partitions=2,
        exclusive_key=key,
    )


WAITING = some_job("waits")


@pytest.mark.parametrize("state", sorted(BUSY))
@pytest.mark.parametrize("resume_at", [None, at(9)])
def test_what_is_advised_can_be_done_and_helps(state: State, resume_at: int | None) -> None:
    """Nobody is told to wait for a job that goes on only if somebody acts."""
    holding = replace(some_job("holds", state), resume_at=resume_at)
    refused = busy(holding, WAITING, queueing=True)
    assert f"job holds of organisation acme is {state} on dataset people" in refused.message
    assert refused.details == {"job_id": "holds"}
    assert "if_busy" in refused.message and "if_busy" not in busy(holding, WAITING, queueing=False).message
    waited = awaited(holding, WAITING)
    assert waited.startswith(f"job holds of organisation acme, which is {state}")
    advice = refused.message.partition(": ")[2]
    for told in (advice, waited.partition(": ")[2]):
        for word, request in ADVISED.items():
            assert not re.search(word, told) or state in allowed_states(request)
    moves_by_itself = state not in RESTING or resume_at is not None
    assert "wait for it" not in advice or moves_by_itself
    assert ": " in waited or moves_by_itself, "else it would wait for ever and not say so"


@pytest.mark.parametrize("state", sorted(BUSY))
def test_a_job_of_another_organisation_is_not_named(state: State) -> None:
    """A dataset's key may reach beyond the organisation (`sluice.exclusive_key`)."""
    holding = some_job("secret", state, organisation="other")
    refused = busy(holding, WAITING, queueing=True)
    for told in (refused.message, awaited(holding, WAITING), str(refused.details)):
        assert "secret" not in told and "organisation other" not in told and "terminate" not in told
    assert "a job of another organisation is" in refused.message


def test_a_failed_job_that_is_resumed_can_not_be_queued() -> None:
    world = world_in(State.FAILED)
    world.create("j2")
    world.pause("j2")
    world.rest(job_id="j2")
    world.resume()
    told = world.rejection().message
    assert "job j2 of organisation default is PAUSED on dataset people" in told
    assert told.endswith("two at once are not allowed: resume it or terminate it")


def test_a_queued_job_says_what_it_waits_for() -> None:
    index = JobIndex()
    index.fold(JobSeen("holds", some_job("holds", State.PAUSED)))
    assert turn_awaited(WAITING, index) == (
        "job holds of organisation acme, which is PAUSED: resume it or terminate it"
    )
    index.fold(JobSeen("holds", replace(some_job("holds", State.ROLLING_BACK), epoch=1)))
    assert turn_awaited(WAITING, index) == "job holds of organisation acme, which is ROLLING_BACK"
    index.fold(JobSeen("holds", None))
    for free in (WAITING, replace(WAITING, exclusive_key=None)):
        assert "its turn" in (turn_awaited(free, index) or "") and "jobs_running" in (turn_awaited(free, index) or "")
    assert turn_awaited(replace(WAITING, start_at=at(9)), index) is None, "start_at says it"


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(sorted(State)), st.booleans()), max_size=30))
def test_a_key_has_a_holder_exactly_if_a_look_at_all_jobs_finds_one(steps: list[tuple[str, State, bool]]) -> None:
    holders, jobs = KeyHolders(), dict[str, Job]()
    for name, state, removed in steps:
        if removed:
            holders.remove(jobs.pop(name, None))
        else:
            jobs[name] = some_job(name, state)
            holders.put(jobs[name])
        found = holders.of("k")
        if holder(jobs.values(), "k") is None:
            assert found is None
        else:
            assert found is not None and jobs[found].state in BUSY
