"""Files that the API answers with: bytes as they come, or written to a file here."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, Final

from client.errors import Unreachable
from client.protocol.exchange import answered, path
from client.protocol.steps import Call, Close, Coded, Effect, Emit, Flow, Next, Open, Pause, Policy, Reply, Retry, Steps
from client.requests.files import Target
from client.requests.naming import JobLike, id_of

_SILENCE_SECONDS: Final = 60.0
_AS_IT_IS: Final = {"Accept-Encoding": "identity"}
"""A range of bytes is one of the file, not of what was compressed for the way."""


def result(job: JobLike) -> Flow[bytes]:
    """The CSV that an export made, in pieces as they come. A connection that is lost goes on where it broke off.

    Raises:
        Conflict: the file is not complete yet, or the export has failed.
        NotFound: the job makes no file, or it is not there any more.
    """
    return Flow(_pieces(_call(job, "result")))


def errors_csv(job: JobLike) -> Flow[bytes]:
    """All row errors as CSV, with what each row had: ready to be corrected and sent again by `retry_errors`."""
    return Flow(_pieces(_call(job, "errors.csv")))


def changes_csv(job: JobLike) -> Flow[bytes]:
    """All that a dry run would change as CSV, a line for each value."""
    return Flow(_pieces(_call(job, "changes.csv")))


def undone_csv(job: JobLike, *, outcome: str | None = None) -> Flow[bytes]:
    """What a rollback has done with each row, as CSV."""
    return Flow(_pieces(_call(job, "undone.csv", {"outcome": outcome})))


def save_result(job: JobLike, file: str | Path) -> Steps[Path]:
    """Write the CSV that an export made to a file, which is there as a whole or not at all. Raises as `result` too.

    Raises:
        UnwritableFile: the file can't be written.
    """
    return _saved(result(job), Path(file))


def save_errors(job: JobLike, file: str | Path) -> Steps[Path]:
    """Write all row errors to a CSV file, as `errors_csv` has them. Raises as `save_result`."""
    return _saved(errors_csv(job), Path(file))


def _call(job: JobLike, what: str, params: Mapping[str, Any] | None = None) -> Call[bytes]:
    return Call(
        method="GET",
        path=path("jobs", id_of(job), what),
        params=params or {},
        headers=_AS_IT_IS,
        timeout_seconds=_SILENCE_SECONDS,
    )


def _saved(flow: Flow[bytes], file: Path) -> Steps[Path]:
    target = Target(file)
    steps, done = flow.steps, None
    with target.writing() as written:
        try:
            effect = next(steps)
            while True:
                if isinstance(effect, Emit):
                    written.write(effect.value.content)
                    effect = next(steps)
                    continue
                try:
                    done = yield effect
                except Exception as error:
                    effect = steps.throw(error)
                else:
                    effect = steps.send(done)
        except StopIteration:
            pass
    return Coded(b"", None, lambda nothing: file)


def _pieces(call: Call[bytes]) -> Generator[Effect, Any, None]:
    """Emits a file's bytes. What has a tag (ETag) goes on after a lost connection, if it still is the same file."""
    retry: Retry = yield Policy()
    pauses = retry.pauses()
    reply: Reply = yield from answered(call, Open)
    tag, come, left = reply.headers.get("etag"), 0, retry.attempts - 1
    while True:
        try:
            while (data := (yield Next(reply))) is not None:
                yield Emit(Coded(data, bytes))
                come, left = come + len(data), retry.attempts - 1
            yield Close(reply)
            return
        except Unreachable as lost:
            yield Close(reply)
            if tag is None or left == 0:
                raise
            left -= 1
            yield Pause(next(pauses))
            reply = yield from answered(_rest(call, come, tag), Open)
            if reply.status != 206 and come:
                yield Close(reply)
                raise lost


def _rest(call: Call[bytes], come: int, tag: str) -> Call[bytes]:
    headers = {**call.headers, "Range": f"bytes={come}-", "If-Range": tag} if come else call.headers
    return Call(method="GET", path=call.path, params=call.params, headers=headers, timeout_seconds=call.timeout_seconds)
