"""What a job's state allows, state by state."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from control.predicates import (
    counting,
    has_caught_up,
    held,
    holds_key,
    is_newer,
    pausing,
    quiescing,
    run_over,
    runnable,
    taken_out,
    takes_more_rows,
    terminated,
    under_way,
)
from schemas.job import Job, State
from tests.support.in_memory.control import world_in

RULES = """
                      holds_key runnable pausing quiescing run_over under_way takes_more_rows held terminated taken_out
DRAFT                 -         -        -       -         -        -         yes             -    -          -
QUEUED                -         -        -       -         -        -         yes             -    -          -
RUNNING               yes       yes      -       -         -        yes       yes             -    -          -
PAUSING               yes       -        yes     yes       -        yes       yes             yes  -          -
PAUSED                yes       -        -       -         -        yes       yes             yes  -          -
TERMINATING           yes       -        -       yes       yes      -         -               -    yes        -
TERMINATED            -         -        -       -         yes      -         -               -    yes        -
COMPLETED             -         -        -       -         yes      -         -               -    -          -
COMPLETED_WITH_ERRORS -         -        -       -         yes      -         -               -    -          -
FAILED                -         -        -       yes       -        yes       yes             -    -          -
ROLLING_BACK          yes       yes      -       -         -        yes       -               -    -          yes
ROLLBACK_PAUSED       yes       -        -       -         -        yes       -               yes  -          yes
ROLLED_BACK           -         -        -       -         yes      -         -               -    -          yes
"""
NAMED: dict[str, Callable[[Job], bool]] = {
    rule.__name__: rule
    for rule in (
        holds_key,
        runnable,
        pausing,
        quiescing,
        run_over,
        under_way,
        takes_more_rows,
        held,
        terminated,
        taken_out,
    )
}


@pytest.mark.parametrize("line", RULES.strip("\n").splitlines()[1:], ids=lambda line: line.split()[0])
def test_each_rule_in_each_state(line: str) -> None:
    state, *answers = line.split()
    names = RULES.strip("\n").splitlines()[0].split()
    job = world_in(State(state)).job()
    assert {name: NAMED[name](job) for name in names} == {
        name: answer == "yes" for name, answer in zip(names, answers, strict=True)
    }


def test_the_table_has_every_state() -> None:
    assert {line.split()[0] for line in RULES.strip("\n").splitlines()[1:]} == set(State)


def test_a_rollback_that_is_about_to_pause_waits_for_proof_and_counts_nothing() -> None:
    job = replace(world_in(State.ROLLING_BACK).job(), checking=True)
    assert counting(job) and not runnable(job)
    paused = replace(job, halting=True)
    assert pausing(paused) and quiescing(paused) and not counting(paused)


def test_of_two_states_the_one_with_the_later_command_or_else_the_higher_epoch_is_newer() -> None:
    job = replace(world_in(State.RUNNING).job(), command_offset=7, epoch=3)
    assert is_newer(job, None)
    assert is_newer(replace(job, command_offset=8, epoch=1), job)
    assert is_newer(replace(job, epoch=4), job)
    assert not is_newer(job, job)
    assert not is_newer(replace(job, command_offset=6, epoch=9), job)
    assert has_caught_up(job, 7, 3) and not has_caught_up(job, 7, 4) and not has_caught_up(job, 8, 0)
