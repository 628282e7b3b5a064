"""What a request says in a header of its record: a control agent of an older version passes it over there, and would
refuse the request for a field that it does not know.

For fields that the API adds although its caller asked for nothing new. A signature does not cover headers, so what
is here may change how the repeats of a request are judged, and nothing that is carried out.
"""

from __future__ import annotations

import re
from typing import Final, TypeVar

from msgspec.structs import replace

from schemas.messages.commands import Command, CreateJob

C = TypeVar("C", bound=Command)

ORIGIN_HEADER: Final = "sluice-origin"
_ORIGIN: Final = re.compile(rb"[0-9a-f]{64}")


def as_written(command: Command) -> tuple[Command, dict[str, bytes]]:
    """The command as the record's value has it, and the headers with the rest."""
    if not isinstance(command, CreateJob) or command.source.origin is None:
        return command, {}
    value = replace(command, source=replace(command.source, origin=None))
    return value, {ORIGIN_HEADER: command.source.origin.encode()}


def as_asked(command: C, origin: bytes | None) -> C:
    """The command that was written as `command`; `origin`: the value of the header `ORIGIN_HEADER`, or None. Any bytes
    may be in it: what is no digest is passed over."""
    if not isinstance(command, CreateJob) or origin is None or not _ORIGIN.fullmatch(origin):
        return command
    return replace(command, source=replace(command.source, origin=origin.decode()))
