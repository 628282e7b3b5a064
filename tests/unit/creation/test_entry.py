"""Forms that a command may have in the topic."""

from __future__ import annotations

import json
from typing import Any

import pytest

from control.entry import command_in, surplus_problem
from schemas.job import State
from schemas.messages.codec import UndecodableError
from schemas.messages.commands import CreateJob, RollbackJob
from tests.support.in_memory.control import world_in

JOB = {"type": "CreateJob", "job_id": "0" * 26, "by": "crm", "operation": "upload", "dataset": "people"}


def record(**fields: Any) -> bytes:
    return json.dumps({**JOB, "organisation": "acme", **fields}).encode()


def test_a_source_may_be_one_word_and_options_may_have_their_other_names() -> None:
    short = record(source="topic", options={"constants": {"country": "NL"}})
    full = record(source={"kind": "topic"}, options={"set": {"country": "NL"}})
    command = command_in(short)
    assert isinstance(command, CreateJob) and command == command_in(full)
    assert (command.source.kind, command.options.set) == ("topic", {"country": "NL"})
    assert surplus_problem(short, command) is None


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"source": "topics"}, "source"),
        ({"source": "topic", "options": {"constants": {}, "set": {}}}, "two names of one option"),
        ({"source": "topic", "options": {"constant": {}}}, "unknown field `constant`"),
        ({"source": "topic", "options": "constants"}, "options"),
    ],
    ids=str,
)
def test_other_forms_are_refused_with_what_is_wrong(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(UndecodableError, match=words):
        command_in(record(**fields))


def test_the_history_has_why_somebody_asked_for_what_was_refused() -> None:
    world = world_in(State.RUNNING)
    world.send(RollbackJob(job_id=world.job().id, by="ann", reason="the wrong file"))
    refusal = world.rejection()
    assert (refusal.by, refusal.reason, refusal.code) == ("ann", "the wrong file", 409)
