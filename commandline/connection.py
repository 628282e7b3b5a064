"""The typed client's steps, gone through for a command: answers are the API's JSON as it is, errors ClientErrors."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NoReturn

import httpx2
import typer

from client.errors import (
    FileProblem,
    Refused,
    SluiceError,
    Unreachable,
    UnreadableAnswer,
    UnwritableFile,
    WrongArgument,
)
from client.http import Connection
from client.protocol.retrying import Retry
from client.protocol.steps import Coded, Effect, Flow, Send, Steps
from client.requests import administration, making, reports
from client.requests.files import Progress
from client.sync import Shell
from commandline.address import api_key, api_url, tls_context
from commandline.errors import FAILED, INTERRUPTED, ClientError, exit_code_for, no_api, unreachable, usage
from runtime.text.terminal import say

Json = dict[str, Any]

RETRY: Final = Retry(attempts=1, longest_seconds=5.0)
"""A person at a terminal is told at once what is wrong; only what takes long goes on after a lost connection."""


class Api:
    """A client of the API."""

    def __init__(
        self,
        transport: httpx2.BaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = api_url()
        connection = Connection(url=self.url, key=api_key(), trusted=tls_context(), retry=RETRY)
        self.sleep = sleep
        """Waits for so many seconds, between two looks at a job."""
        with plainly():
            self._shell = _Shell(connection, transport, clock, sleep)

    def json(self, steps: Steps[Any], look: str = "`sluice jobs`") -> Json:
        """The JSON that the steps end with; empty where the answer has none.

        `look`: the command that shows whether what was asked for is recorded. The user is told of it after Ctrl-C, if
        there is no answer yet.

        Raises:
            ClientError: the API refuses (with its message), or can't be reached; a file can't be used.
            typer.Exit: the user has interrupted it, and has been told that.
        """
        try:
            with plainly():
                return _object(self._shell.value(steps))
        except KeyboardInterrupt:
            if not self._shell.unanswered:
                raise
            say(f"It is not known whether the command was recorded; see {look}.")
            raise typer.Exit(INTERRUPTED) from None

    def each(self, flow: Flow[Any]) -> Iterator[Json]:
        """The JSON of each thing that the steps hand out. Raises as `json`."""
        with plainly():
            for found in self._shell.each(flow):
                yield _object(found)

    def pieces(self, flow: Flow[bytes]) -> Iterator[bytes]:
        """The bytes that the steps hand out. Raises as `json`."""
        with plainly():
            for found in self._shell.each(flow):
                yield found.content

    def call(
        self, method: str, path: str, *, params: Json | None = None, json: Any = None, timeout: float | None = None
    ) -> Json:
        """Any request; the answer's JSON. Raises as `json`."""
        return self.json(administration.request(method, path, params=params, json=json, timeout=timeout))

    def send_file(
        self, path: Path, job: Json, key: str | None, progress: Progress | None = None, look: str = "`sluice jobs`"
    ) -> Json:
        """Make a job from a file, sent as a whole; `progress` is called with the bytes sent so far. `look`: as in
        `json`."""
        return self.json(making.send_file(path, job, key or None, in_parts=False, progress=progress), look)

    def job(self, name: str) -> Json:
        """The job with this id, or the only one whose id begins so, or the newest one (``last``).

        Raises:
            ClientError: there is no such job, or there are several.
        """
        if name == "last":
            newest = list(self.jobs(1))
            if not newest:
                raise usage("there are no jobs yet")
            return newest[0]
        if not name or not all(sign.isalnum() or sign in "-_" for sign in name):
            raise usage(f"{name[:60]!r} is not a job id; `sluice jobs` lists them")
        try:
            return self.json(reports.job(name))
        except ClientError as error:
            if error.http_code != 404:
                raise
        found = [job for job in self.jobs() if job["id"].startswith(name)]
        if len(found) == 1:
            return found[0]
        if not found:
            raise usage(f"there is no job {name}; `sluice jobs` lists them")
        some = ", ".join(job["id"] for job in found[:5])
        raise usage(f"{len(found)} job ids begin with {name} ({some} ...); give more of it")

    def jobs(self, limit: int | None = None, **filters: str | None) -> Iterator[Json]:
        """Jobs, newest first."""
        return self.each(reports.jobs(limit=limit, **filters))


class _Shell(Shell):
    """A shell that knows whether a command may be recorded that has no answer."""

    unanswered = False

    def _do(self, effect: Effect, streams: list[httpx2.Response]) -> Any:
        records = isinstance(effect, Send) and effect.call.method != "GET" and effect.call.records
        self.unanswered |= records
        done = super()._do(effect, streams)
        if records:
            self.unanswered = False
        return done


@contextmanager
def plainly() -> Iterator[None]:
    """Turns errors of the client into ClientErrors."""
    try:
        yield
    except SluiceError as error:
        raise _plain(error) from error


def _plain(error: SluiceError) -> ClientError:
    match error:
        case Unreachable():
            return unreachable(api_url(), error.__cause__ if isinstance(error.__cause__, Exception) else None)
        case Refused():
            return ClientError(error.message, exit_code_for(error.http_status), error.http_status)
        case UnreadableAnswer():
            plain = no_api(str(error))
            plain.http_code = error.http_status
            return plain
        case UnwritableFile():
            return ClientError(str(error), FAILED)
        case FileProblem() | WrongArgument():
            return usage(str(error))
    return ClientError(str(error), FAILED)


def _object(found: Coded[Any]) -> Json:
    if found.kind is None or (found.kind is Any and not found.content):
        return {}
    try:
        body = json.loads(found.content, parse_constant=_no_number)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise UnreadableAnswer("the API answered in a way that can't be read")
    return body


def _no_number(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
