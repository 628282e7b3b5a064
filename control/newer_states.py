"""States and history of jobs that a newer version has written, as far as this one can read them. Pure.

The rule for messages of other versions is in docs/decisions/0044-messages-of-other-versions.md: requests are read
strictly, states tolerantly; and a process that does not understand a state leaves that job alone.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from schemas.job import Job, Options, State
from schemas.messages.codec import UndecodableError, decode, encode, fit
from schemas.messages.events import History, JobEvent
from schemas.messages.formats import FORMAT

_MOST_NEEDED: Final = 1_000_000
"""A state that needs such a format, or a later one, was written by no version."""


class _Known(msgspec.Struct, frozen=True):
    """The fields that a state has in every version; a record that lacks one is no state."""

    id: str
    operation: str
    dataset: str
    organisation: str
    created_by: str
    state: str
    created_at: int
    command_offset: int
    partitions: int


def newer_state(value: bytes) -> Job | None:
    """The job in a state that can't be decoded, if a newer version has written it; None: it is no state of any version.

    A newer version has written a state if `needs` says so, or if an option or the state has a name that this version
    does not know. In the answer, fields that can't be read are as in a new job, an unknown state is PAUSED, and `needs`
    is above this process's format. Nothing in a state makes it raise an error: every process reads all states.
    """
    try:
        known = decode(value, _Known)
        fields: dict[str, Any] = decode(value, dict[str, Any])
    except UndecodableError:
        return None
    found = fields.pop("needs", 0)
    needs = found if type(found) is int and 0 <= found < _MOST_NEEDED else 0
    newer = needs > FORMAT
    if known.state not in list(State) and re.fullmatch(r"[A-Z][A-Z_]{2,40}", known.state):
        newer, fields["state"] = True, str(State.PAUSED)
    options = fields.get("options")
    if isinstance(options, dict) and not options.keys() <= set(Options.__struct_fields__):
        newer = True
        fields["options"] = {name: content for name, content in options.items() if name in Options.__struct_fields__}
    if not newer:
        return None
    fields["needs"] = max(needs, FORMAT + 1)
    readable = {name: content for name, content in fields.items() if _reads(known, name, content)}
    told = f"a newer version of Sluice has written this job; this process is of format {FORMAT} and leaves it alone"
    try:
        job: Job = fit({**msgspec.to_builtins(known), **readable, "reason": readable.get("reason") or told}, Job)
    except UndecodableError:
        return None
    return job


def _reads(known: _Known, name: str, content: Any) -> bool:
    """Whether this version can read one field of a state."""
    if name not in Job.__struct_fields__:
        return False
    try:
        fit({**msgspec.to_builtins(known), "state": str(State.PAUSED), name: content}, Job)
    except UndecodableError:
        return False
    return True


def read_history(value: bytes | None) -> Any:
    """A record of the history: `History`. The job in it may be in a state that a newer version has written.

    Raises:
        UndecodableError: it is none.
    """
    try:
        return decode(value, History)
    except UndecodableError:
        try:
            fields: dict[str, Any] = decode(value, dict[str, Any])
            job = newer_state(encode(fields["job"]))
            if job is None:
                raise
            return fit({**fields, "job": msgspec.to_builtins(job), "state": str(job.state)}, JobEvent)
        except (ValueError, KeyError, TypeError, RecursionError):
            pass
        raise
