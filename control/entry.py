"""Checks of the commands that come in, and of the records that the control agent is about to write. Pure."""

from __future__ import annotations

from typing import Any, get_args

import msgspec

from control.authorization.senders import is_asked
from control.reaction import Reaction
from schemas.bounds import JobId
from schemas.descriptors.expectations import unknown_field
from schemas.job import Job
from schemas.messages.codec import UndecodableError, decode, encode
from schemas.messages.commands import Command, InputEnded, Report, TimerDue
from schemas.messages.events import History
from schemas.messages.plans import Plan
from schemas.other_forms import in_full, may_have


class Head(msgspec.Struct, frozen=True):
    """The job and the type of a command; they can often be read where the rest can't."""

    type: str
    job_id: JobId
    input: Any = None

    @property
    def is_report(self) -> bool:
        """Whether readers and workers alone may send it. Who sends rows to the inbox says how many there are, too."""
        return self.type in REPORTS and (self.type != InputEnded.__name__ or self.input is not None)

    @property
    def is_command(self) -> bool:
        """Whether this version knows commands of this type."""
        return self.type in _COMMANDS


_COMMANDS = frozenset(kind.__name__ for kind in get_args(Command))
REPORTS = frozenset(kind.__name__ for kind in get_args(Report | TimerDue))
"""The names of the reports. Those of a newer version are unknown, and so are its requests: both are refused."""


def job_named(data: bytes | None) -> Head | None:
    """The job and the type that a record names, which may be one of a newer version; None: it names none."""
    try:
        head: Head = decode(data, Head)
    except UndecodableError:
        return None
    return head


def command_in(data: bytes | None) -> Command:
    """The command that a record is; it may have one of the forms of `in_full`.

    Raises:
        UndecodableError: it is none.
    """
    if data is not None and may_have(data):
        try:
            data = encode(in_full(decode(data, dict[str, Any])))
        except UndecodableError:
            pass  # which the types of commands say better
        except ValueError as error:
            raise UndecodableError(str(error)) from error
    command: Command = decode(data, Command)
    return command


def surplus_problem(data: bytes, command: Command) -> str | None:
    """The first field, in words, that a request has and its type has not, also in nested objects; None: there is none.

    `data` is the record that `command` was decoded from. Reports may have unknown fields: the reader or worker that
    sends them may be of a newer version than this process.
    """
    if not is_asked(command):
        return None
    try:
        fields: dict[str, Any] = in_full(decode(data, dict[str, Any]))
    except UndecodableError as error:  # a decoder that knows the fields has passed over what is in the others
        return f"a field that there is not can't be read: {error}"
    return unknown_field(fields, type(command))


def readable(reaction: Reaction) -> Reaction:
    """The same reaction, once every record that it writes has been encoded and decoded on trial.

    Raises:
        UndecodableError: a record could not be read again, because a sum in it is out of bounds, for example.
    """
    for kind, messages in ((History, reaction.history), (Plan, [reaction.plan]), (Job, [reaction.job])):
        for message in messages:
            if message is not None:
                decode(encode(message), kind)
    return reaction
