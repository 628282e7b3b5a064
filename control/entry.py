"""What commands must keep to where they come in, and what the control agent writes where it goes out. Pure."""

from __future__ import annotations

from typing import get_args

import msgspec

from control.reaction import Reaction
from schemas.bounds import JobId
from schemas.codec import UndecodableError, decode, encode
from schemas.commands import Command, InputEnded, Request
from schemas.events import History
from schemas.expectations import unknown_field
from schemas.job import Job
from schemas.plans import Plan


class Head(msgspec.Struct, frozen=True):
    """Whose command a record is, whatever else is wrong with it."""

    type: str
    job_id: JobId


_NAMES = frozenset(kind.__name__ for kind in get_args(Command))


def head_of(data: bytes | None) -> Head | None:
    """The job and the command that a record names; None: it does not even name these."""
    try:
        head: Head = decode(data, Head)
    except UndecodableError:
        return None
    return head if head.type in _NAMES else None


def surplus_problem(data: bytes, command: Command) -> str | None:
    """The first field that a request has and should not have, in words, nested ones included; None: there is none.

    `data` is the record that `command` was decoded from. In reports of our own processes unknown fields are passed
    over: those processes may be newer than this one.
    """
    if not (isinstance(command, Request) or (isinstance(command, InputEnded) and command.input is None)):
        return None
    return unknown_field(msgspec.json.decode(data), type(command))


def readable(reaction: Reaction) -> Reaction:
    """The reaction, if all that it would write can be read again.

    Raises:
        UndecodableError: it can't: some sum, say, has gone out of bounds.
    """
    for kind, messages in ((History, reaction.history), (Plan, [reaction.plan]), (Job, [reaction.job])):
        for message in messages:
            if message is not None:
                decode(encode(message), kind)
    return reaction
