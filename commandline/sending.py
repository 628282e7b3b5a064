"""How a file is sent to the API: as a whole, in parts, or as the address of one that the API fetches."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from shlex import quote
from typing import Any, Final

import typer

from commandline.concluding import conclude
from commandline.errors import FAILED, ClientError, usage
from commandline.job_parameters import StartParameters

_HAS_USE: Final = frozenset({"QUEUED", "RUNNING", "PAUSING", "PAUSED", "COMPLETED"})
"""States of a job that applies its file, will do so, or has done so."""


def send(file: str | None, job: dict[str, Any], starting: StartParameters, *, from_topic: bool = False) -> None:
    """Make a job of this JSON with its file: a path, an address, or ``-``; or, `from_topic`, without one. Then show it.

    Raises:
        ClientError: there is no file and no `from_topic`, or both; the file can't be read; the API refuses.
    """
    from client.requests.making import create, send_file
    from commandline.connection import Api

    if (file is None) != from_topic:
        raise usage("name a file, or say --from-topic; not both")
    key = starting.idempotency_key or None
    look = _look(key)
    if file is None:
        made = Api().json(create({**job, "source": "topic"}, key), look)
        conclude(made, wait=starting.wait, as_json=starting.as_json)
        return
    if file == "-":
        made = Api().json(send_file(sys.stdin.buffer, job, key, name="stdin.csv"), look)
    elif re.match(r"[a-z0-9]+://", file):
        made = Api().json(send_file(file, job, key), look)
    elif _is_large(Path(file)):
        send_in_parts(Path(file), job, starting)
        return
    else:
        made = _sent(Path(file), job, key, quiet=starting.as_json)
    _show_made(made, starting)


def _sent(file: Path, job: dict[str, Any], key: str | None, *, quiet: bool) -> dict[str, Any]:
    from commandline.connection import Api
    from commandline.view.output import sending

    with sending(file.name, _size(file), quiet=quiet) as progress:
        return Api().send_file(file, job, key, progress, _look(key))


def _look(key: str | None) -> str:
    """Where a user sees whether a new job was recorded, and how it is asked for again. `key`: its idempotency key."""
    again = (
        f"the same command with --idempotency-key {quote(key)}" if key else "with --idempotency-key a repeated command"
    )
    return f"`sluice jobs` ({again} makes no second job)"


def _is_large(file: Path) -> bool:
    from client.requests.making import LARGE_BYTES

    return _size(file) >= LARGE_BYTES


def _size(file: Path) -> int:
    """Bytes of a file that can be sent; raises ClientError where it can't."""
    from client.requests.files import opened
    from commandline.connection import plainly

    with plainly(), opened(file):
        return file.stat().st_size


def send_in_parts(file: Path, job: dict[str, Any], starting: StartParameters) -> None:
    """Make a job of this JSON and send its file in parts; say first how to go on if that breaks off."""
    from client.requests.files import shown_name
    from client.requests.making import draft
    from commandline.connection import Api
    from commandline.view.output import say

    key = starting.idempotency_key or None
    made = Api().json(draft(shown_name(file), _size(file), job, key), _look(key))
    if made["state"] == "DRAFT":  # it may be the job of an earlier request with the same key
        again = f"sluice upload {quote(str(file))} --continue {made['id']}"
        say(f"Job {made['id']} takes the file in parts. If this breaks off: {again}")
    _show_made(_with_rest(file, made["id"], quiet=starting.as_json), starting)


def send_rest(file: Path, name: str, starting: StartParameters) -> None:
    """Send what the draft does not have of its file, start it, and show it. A job that has been started with this very
    file is shown as it is.

    Raises:
        ClientError: the job has another file, or has ended without one.
        typer.Exit: its file is of no use any more, as it has not COMPLETED.
    """
    from client.requests.parts import sha256_of
    from commandline.connection import Api, plainly
    from commandline.view.output import say

    job = Api().job(name)
    if job["state"] == "DRAFT":
        _show_made(_with_rest(file, job["id"], quiet=starting.as_json), starting)
        return
    with plainly():
        same = job["source"]["sha256"] == sha256_of(file)
    if not same:
        because = f" ({job['reason']})" if job["reason"] else ""
        text = (
            f"job {job['id']} is {job['state']}{because} and does not have this file, which it takes while it is DRAFT"
        )
        raise ClientError(text, FAILED)
    say(f"Job {job['id']} has this file already: nothing was sent.")
    _show_made(job, starting)
    if job["state"] not in _HAS_USE:
        raise typer.Exit(FAILED)


def _with_rest(file: Path, job_id: str, *, quiet: bool) -> dict[str, Any]:
    from client.requests.parts import continue_upload
    from commandline.connection import Api
    from commandline.view.output import sending

    with sending(file.name, _size(file), quiet=quiet) as progress:
        return Api().json(continue_upload(job_id, file, progress=progress), look=f"`sluice job {job_id}`")


def send_again(name: str, job: dict[str, Any], starting: StartParameters) -> None:
    """Make a job of this JSON from the stored file of the job of this name."""
    from client.requests.making import create
    from commandline.connection import Api

    api = Api()
    key = starting.idempotency_key or None
    made = api.json(create({**job, "source": {"job": api.job(name)["id"]}}, key), _look(key))
    _show_made(made, starting)


def _show_made(made: dict[str, Any], starting: StartParameters) -> None:
    """Say how the file of a new job is read, and show the job as `conclude` does."""
    from commandline.view.output import say
    from commandline.view.wording import columns_line, format_line

    for told in () if starting.as_json else (format_line(made), columns_line(made)):
        if told:
            say(told)
    conclude(made, wait=starting.wait, as_json=starting.as_json)
