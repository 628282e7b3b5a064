"""The end of an input that comes by a topic: who may say it, what it leads to, and what a repeat of it is."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from schemas.job import Input, LaneTotals, Source, State
from schemas.messages.commands import InputAdvanced, InputEnded
from tests.support.in_memory.control import World, at, upload, world_in


def filling() -> World:
    """A running job whose rows come by a topic."""
    world = World()
    world.send(replace(upload(), source=Source(kind="topic")))
    return world


def say(world: World, rows: int | None, job_id: str = "j1") -> None:
    world.send(InputEnded(job_id=job_id, rows=rows, by="crm"))


def test_the_number_of_rows_is_kept_and_recorded_with_who_said_it() -> None:
    world = filling()
    say(world, 250)
    assert (world.job().announced_rows, world.state) == (250, State.RUNNING)
    record = world.history[-1]
    assert (record.by, record.at, world.events()[-1]) == ("crm", at(1), "InputAnnounced")


def test_a_job_goes_on_until_its_rows_are_there_and_dealt_with() -> None:
    world = filling()
    say(world, 10)
    world.send(InputAdvanced(job_id="j1", input=Input(blocks=1, rows=7, first_missing=8)))
    assert world.state is State.RUNNING and world.job().input.first_missing == 8
    world.end_input()
    assert world.state is State.RUNNING
    world.lanes_done()
    assert world.state is State.COMPLETED


def test_the_first_rows_are_not_waited_for_to_judge_the_others() -> None:
    world = World()
    world.send(replace(upload(max_errors=5), source=Source(kind="topic")))
    assert world.job().budget == "open"


def test_a_job_without_rows_completes_at_once() -> None:
    world = filling()
    say(world, 0)
    world.end_input(0, 0)
    assert world.state is State.COMPLETED
    assert world.job().applied == LaneTotals()


def test_a_repeat_succeeds_and_changes_nothing_but_another_number_is_refused() -> None:
    world = filling()
    say(world, 10)
    say(world, 10)
    assert world.job().command_offset == 2, "the request that waits finds the answer to this command"
    assert world.events().count("InputAnnounced") == 1
    say(world, 11)
    assert world.rejection().code == 409 and "has 10 rows, not 11" in world.rejection().message
    assert (world.rejection().by, world.job().announced_rows) == ("crm", 10)


@pytest.mark.parametrize("rows", [None, -1])
def test_it_is_said_with_a_number(rows: int | None) -> None:
    world = filling()
    say(world, rows)
    assert world.rejection().code == 400


def test_nobody_has_to_say_where_a_file_ends() -> None:
    world = world_in(State.RUNNING)
    say(world, 10)
    assert world.rejection().code == 409 and "does not read its rows from a topic" in world.rejection().message


def test_there_must_be_such_a_job() -> None:
    world = World()
    say(world, 10, "nobody")
    assert world.rejection().code == 404


def test_a_paused_job_may_be_told_but_not_one_that_is_over() -> None:
    world = filling()
    world.pause()
    world.rest()
    say(world, 10)
    assert world.state is State.PAUSED and world.job().announced_rows == 10
    over = filling()
    over.terminate()
    say(over, 10)
    assert over.rejection().code == 409 and "TERMINATING: it takes no more rows" in over.rejection().message
