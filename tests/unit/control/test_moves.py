"""Every state x every request: the map of `control/moves.py`, swept."""

from __future__ import annotations

import re
from typing import get_args

import pytest
from msgspec.structs import replace

from control.moves import allowed_states
from schemas.job import RESTING, Source, State
from schemas.messages.commands import (
    CreateJob,
    PurgeEnded,
    Request,
    RollbackJob,
    SetRate,
    StartDraft,
    StartJob,
    StoresEmptied,
)
from tests.support.in_memory.control import REQUESTS, World, at, parsed, upload, world_in

MAP = """
                      pause           resume       terminate    keep_rows   rollback     retry   rate  create  purge
DRAFT                 409             409          ROLLED_BACK  TERMINATED  409          409     set  same  409
QUEUED                409             409          ROLLED_BACK  TERMINATED  409          409     set  same  409
RUNNING               PAUSING         same         TERMINATING  TERMINATING  409          409     set  same  409
PAUSING               same            409          TERMINATING  TERMINATING  409          409     set  same  409
PAUSED                same            RUNNING      ROLLING_BACK  TERMINATED  409          409     set  same  409
TERMINATING           409             409          same         differs     409          409     409  same  409
TERMINATED            409             409          differs      same        ROLLING_BACK  409     409  same  purges
COMPLETED             409             409          409          409         ROLLING_BACK  409     409  same  purges
COMPLETED_WITH_ERRORS  409             409          409          409         ROLLING_BACK  RUNNING  409  same  purges
FAILED                409             RUNNING      409          409         TERMINATING  409     set  same  409
ROLLING_BACK          ROLLING_BACK    same         same         differs     same         409     set  same  409
ROLLBACK_PAUSED       same            ROLLING_BACK  same         differs     same         409     set  same  409
ROLLED_BACK           409             409          same         differs     same         409     409  same  purges
"""
"""What a request leads to: a state, the next one; ``same``: it succeeds and changes nothing; ``set``: only the rate
changes; ``purges``: the state stays, and the purge begins; ``409``: refused; ``differs``: refused, since the job has
been terminated the other way (the ways here to TERMINATING and beyond take the rows out, the one to TERMINATED keeps
them)."""


CELLS = parsed(MAP)


def cells(*answers: str) -> list[tuple[State, str]]:
    return [(state, request) for state, request, answer in CELLS if answer in answers]


def moving_states(request: str) -> list[State]:
    """The states in which a request moves a job on, as the map has them."""
    return [state for state, name, answer in CELLS if name == request and answer not in ("same", "409", "differs")]


def ask(world: World, request: str) -> None:
    # Another creation under the same id would not be a repeat: the very one that made the job is sent again.
    made = [data for data in world.log if b'"job_id":"j1"' in data]
    world.send(made[0] if request == "create" else REQUESTS[request])


def test_the_map_has_every_state_and_every_request() -> None:
    assert {(state, request) for state, request, _ in CELLS} == {(s, r) for s in State for r in REQUESTS}
    elsewhere = {StartDraft, StartJob}  # of a draft and of a dry run, which have no column
    assert {type(request) for request in REQUESTS.values()} == set(get_args(Request)) - elsewhere


@pytest.mark.parametrize(("state", "request_name", "answer"), [cell for cell in CELLS if cell[2] in set(State)])
def test_a_request_moves_the_job_on(state: State, request_name: str, answer: str) -> None:
    world = world_in(state)
    before = world.job()
    ask(world, request_name)
    after = world.job()
    assert after.state == answer
    assert after.command_offset == len(world.log) - 1
    assert after.epoch > before.epoch, "work decided on before must be void"
    assert {record.by for record in world.history if record.command_offset == after.command_offset} == {"bob"}


@pytest.mark.parametrize(("state", "request_name"), cells("same"))
def test_a_repeat_succeeds_and_changes_nothing(state: State, request_name: str) -> None:
    world = world_in(state)
    before, history, plans = world.job(), len(world.history), len(world.plans)
    ask(world, request_name)
    assert world.job() == replace(before, command_offset=len(world.log) - 1), "the offset answers the caller"
    assert (len(world.history), len(world.plans)) == (history, plans)


@pytest.mark.parametrize(("state", "request_name"), cells("set"))
def test_the_rate_changes_and_nothing_else(state: State, request_name: str) -> None:
    world = world_in(state)
    before, plans = world.job(), len(world.plans)
    ask(world, request_name)
    options = replace(before.options, rows_per_second=750)
    assert world.job() == replace(before, options=options, command_offset=len(world.log) - 1)
    assert len(world.plans) == plans


@pytest.mark.parametrize(("state", "request_name"), cells("purges"))
def test_a_purge_begins_once_and_ends_once(state: State, request_name: str) -> None:
    world = world_in(state)
    before, plans = world.job(), len(world.plans)
    ask(world, request_name)
    purging = world.job()
    assert purging == replace(before, epoch=before.epoch + 1, purging=True, command_offset=len(world.log) - 1)
    ask(world, request_name)
    assert world.job() == replace(purging, command_offset=len(world.log) - 1), "a repeat"
    if state is not State.ROLLED_BACK:
        world.rollback()
        assert (world.rejection().code, "is being purged" in world.rejection().message) == (409, True)
    world.send(PurgeEnded(job_id="j1", epoch=before.epoch))
    assert world.job().purged_at is None, "the report of an earlier purge"
    world.send(PurgeEnded(job_id="j1", epoch=purging.epoch, problem="the disk is read-only"))
    assert (world.job().purging, world.job().purge_problem) == (False, "the disk is read-only")
    ask(world, request_name)
    world.send(PurgeEnded(job_id="j1", epoch=world.job().epoch))
    done = world.job()
    assert (done.state, done.purging, done.purge_problem) == (state, False, None)
    assert done.purged_at == at(len(world.log) - 1) == done.lacks("row_errors")
    assert world.events()[-4:] == ["PurgeBegun", "PurgeFailed", "PurgeBegun", "Purged"]
    ask(world, request_name)
    assert world.events()[-1] == "Purged"
    assert len(world.plans) == plans


def test_the_file_of_a_job_that_another_one_reads_is_not_purged() -> None:
    world = World()
    file = Source(path="sources/j1/people.csv", bytes=5)
    world.send(replace(upload(dry_run=True), source=file))
    world.complete()
    world.send(replace(upload("j2"), source=file))
    ask(world, "purge")
    assert world.rejection().details == {"job_id": "j2"}
    world.complete("j2")
    ask(world, "purge")
    assert world.job().purging


def test_what_is_gone_is_not_used_again() -> None:
    world = world_in(State.COMPLETED_WITH_ERRORS)
    world.send(StoresEmptied(job_id="j1", stores=["row_errors", "uploaded_files"]))
    assert world.events()[-1] == "Expired"
    world.send(StoresEmptied(job_id="j1", stores=["row_errors"]))
    assert world.job().expired == {"row_errors": at(len(world.log) - 2), "uploaded_files": at(len(world.log) - 2)}
    world.send(REQUESTS["retry"])
    assert "were removed" in world.rejection().message
    tried = world_in(State.COMPLETED, dry_run=True)
    tried.send(StoresEmptied(job_id="j1", stores=["uploaded_files"]))
    tried.send(StartJob(job_id="j2", dry_run="j1"))
    assert (tried.rejection().code, "was removed" in tried.rejection().message) == (409, True)


@pytest.mark.parametrize(("state", "request_name"), cells("409"))
def test_a_refusal_changes_nothing_and_names_the_states_that_allow_it(state: State, request_name: str) -> None:
    world = world_in(state)
    before = world.job()
    ask(world, request_name)
    refusal = world.rejection()
    assert world.job() == before
    assert (refusal.code, refusal.command_offset, refusal.by) == (409, len(world.log) - 1, "bob")
    assert refusal.command == type(REQUESTS[request_name]).__name__
    assert f"job j1 is {state}" in refusal.message
    allowed = moving_states(request_name)
    assert refusal.details == {"state": state, "allowed": allowed}
    for name in allowed:
        assert name in refusal.message


@pytest.mark.parametrize(("state", "request_name"), cells("differs"))
def test_a_terminate_that_wants_the_other_thing_with_the_rows_is_refused(state: State, request_name: str) -> None:
    """It must not look as if it had taken effect."""
    world = world_in(state)
    before = world.job()
    ask(world, request_name)
    assert world.job() == before
    assert world.rejection().code == 409
    assert ("rows kept" if state is State.TERMINATED else "rows taken out") in world.rejection().message


@pytest.mark.parametrize("request_name", ["pause", "resume", "terminate", "rollback", "retry", "rate", "purge"])
def test_the_api_can_tell_beforehand_where_a_request_is_allowed(request_name: str) -> None:
    assert list(allowed_states(type(REQUESTS[request_name]))) == moving_states(request_name)


@pytest.mark.parametrize(
    ("state", "request_name", "advice"),
    [
        (State.PAUSING, "resume", "wait until it is PAUSED"),
        (State.COMPLETED, "terminate", "use rollback"),
        (State.FAILED, "terminate", "use rollback"),
        (State.COMPLETED, "retry", "it has no row errors"),
        (State.FAILED, "retry", "resume it first"),
        (State.RUNNING, "rollback", "use terminate"),
        (State.PAUSED, "rollback", "use terminate"),
    ],
)
def test_a_refusal_says_what_to_do_instead(state: State, request_name: str, advice: str) -> None:
    world = world_in(state)
    ask(world, request_name)
    assert advice in world.rejection().message


ADVISED = {r"\bterminate\b": "terminate", r"\bresume\b": "resume", r"\brollback\b|\broll it back\b": "rollback"}
"""Words of an advice, and the request that they ask for."""


@pytest.mark.parametrize(("state", "request_name"), [*cells("409"), *((state, "force") for state in State)])
def test_what_a_refusal_advises_is_possible(state: State, request_name: str) -> None:
    """In states that a job does not leave by itself no advice says to wait; each request that it names is possible."""
    world = world_in(state)
    if request_name == "force":
        world.send(RollbackJob(job_id="j1", by="bob", force=True))
        if world.job().command_offset == len(world.log) - 1:  # it was not refused
            return
    else:
        ask(world, request_name)
    advice = "".join(re.split("; |without force: ", world.rejection().message, maxsplit=1)[1:])
    for words, advised in ADVISED.items():
        if re.search(words, advice):
            assert state in moving_states(advised), advice
    if re.search(r"\bwait\b", advice):
        assert state not in RESTING - {State.QUEUED}, advice


@pytest.mark.parametrize("request_name", [name for name in REQUESTS if name != "create"])
def test_a_job_that_does_not_exist_is_404(request_name: str) -> None:
    world = World()
    ask(world, request_name)
    assert world.rejection().code == 404
    assert not world.states


@pytest.mark.parametrize("state", State)
def test_another_job_under_the_same_id_is_refused(state: State) -> None:
    world = world_in(state)
    before = world.job()
    other = CreateJob(job_id="j1", operation="upload", dataset="teams", source=upload().source)
    world.send(other)
    assert world.rejection().code == 409
    assert world.job() == before


@pytest.mark.parametrize("rate", [0, -1])
def test_a_rate_that_no_worker_could_keep_is_refused(rate: float) -> None:
    world = world_in(State.RUNNING)
    world.send(SetRate(job_id="j1", rows_per_second=rate))
    assert world.rejection().code == 400
    assert world.job().options.rows_per_second is None


def test_a_rate_can_be_taken_away_again() -> None:
    world = World()
    world.create(rows_per_second=100)
    world.send(SetRate(job_id="j1"))
    assert world.job().options.rows_per_second is None
