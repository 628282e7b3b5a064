"""Requests that make jobs. Each carries an idempotency key, so that a repeat of it returns the job of the first."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import IO, Any, Final, TypeAlias, Unpack

from client.answers import Estimate, Job
from client.errors import WrongArgument
from client.options import JobOptions
from client.protocol.exchange import asked, decoded, finite
from client.protocol.steps import Call, Coded, Steps
from client.requests.files import READ_SECONDS, Progress, SentFile, SentStream, opened, part_of, shown_name
from client.requests.naming import JobLike, id_of
from client.requests.parts import continue_upload

File: TypeAlias = str | Path | bytes | IO[bytes]
"""A path; the address of a file that the API fetches (``https://``, ``s3://``); a file's content; or a stream of it,
which is sent once and not repeated."""

LARGE_BYTES: Final = 256 * 1024 * 1024
"""The client sends a file of this size or more in parts, unless the caller says otherwise."""
_SEND_SECONDS: Final = 120.0


def upload(
    file: File,
    dataset: str,
    *,
    organisation: str | None = None,
    reason: str | None = None,
    start_at: str | None = None,
    idempotency_key: str | None = None,
    in_parts: bool | None = None,
    progress: Progress | None = None,
    **options: Unpack[JobOptions],
) -> Steps[Job]:
    """Upload a CSV file's rows into a dataset; returns the new job, which goes on by itself.

    The file may be in gzip or zip. `organisation`: the key's own, if left out. `start_at`: ISO 8601, with an offset. A
    file of 256 MiB or more is sent in parts (`in_parts`: None), each of which is sent again if the connection is lost.
    `progress` is called with the bytes sent so far. `options`: see `client.options.JobOptions`.

    Raises:
        BadRequest: the header does not fit the dataset, or an option is wrong.
        Conflict: another job holds the data, or has applied this file already; ``details`` names it.
        TooLarge, TooManyRequests, DiskFull: a limit.
        FileProblem: the file can't be read here.
    """
    asked_for = job_of("upload", dataset, organisation, options, reason, start_at)
    return send_file(file, asked_for, idempotency_key, in_parts=in_parts, progress=progress)


def teams(
    file: File,
    *,
    organisation: str | None = None,
    reason: str | None = None,
    start_at: str | None = None,
    idempotency_key: str | None = None,
    **options: Unpack[JobOptions],
) -> Steps[Job]:
    """Create the teams that a CSV file lists. As `upload`."""
    return send_file(file, job_of("teams", "teams", organisation, options, reason, start_at), idempotency_key)


def run(
    operation: str,
    file: File,
    dataset: str | None = None,
    *,
    organisation: str | None = None,
    reason: str | None = None,
    start_at: str | None = None,
    idempotency_key: str | None = None,
    **options: Unpack[JobOptions],
) -> Steps[Job]:
    """Run an operation of the installation's own over a CSV file's rows. As `upload`."""
    return send_file(file, job_of(operation, dataset, organisation, options, reason, start_at), idempotency_key)


def from_topic(
    dataset: str | None,
    *,
    operation: str = "upload",
    organisation: str | None = None,
    reason: str | None = None,
    start_at: str | None = None,
    idempotency_key: str | None = None,
    **options: Unpack[JobOptions],
) -> Steps[Job]:
    """Make a job whose rows services produce to the inbox topic; `end` says how many there are. As `upload`."""
    asked_for = job_of(operation, dataset, organisation, options, reason, start_at)
    return create({**asked_for, "source": "topic"}, idempotency_key)


def again(
    job: JobLike,
    *,
    reason: str | None = None,
    start_at: str | None = None,
    idempotency_key: str | None = None,
    **options: Unpack[JobOptions],
) -> Steps[Job]:
    """Make a job of the stored file of another one, with its options but for those given.

    Raises:
        Gone: the file is not kept any more.
        NotFound, Conflict, BadRequest: as `upload`.
    """
    asked_for = job_of(None, None, None, options, reason, start_at)
    return create({**asked_for, "source": {"job": id_of(job)}}, idempotency_key)


def export(
    dataset: str,
    date_from: date | str,
    date_till: date | str | None = None,
    *,
    organisation: str | None = None,
    reason: str | None = None,
    start_at: str | None = None,
    confirm: bool = False,
    idempotency_key: str | None = None,
    **options: Unpack[JobOptions],
) -> Steps[Job]:
    """Export a dataset's rows from the first day to the last, both included, in the order of their dates.

    `save_result` gets the file once the job has COMPLETED.

    Raises:
        Conflict: it is ten times larger than any before; `confirm` says that it is meant.
        BadRequest: a date is none, or the dataset has no date.
    """
    asked_for = job_of("export", dataset, organisation, options, reason, start_at)
    asked_for |= _days(date_from, date_till) | ({"confirm": True} if confirm else {})
    return create(asked_for, idempotency_key)


def estimate(
    dataset: str, date_from: date | str, date_till: date | str | None = None, *, organisation: str | None = None
) -> Steps[Estimate]:
    """How many rows and bytes an export would have; nothing is started."""
    body = job_of("export", dataset, organisation, {}, None, None) | _days(date_from, date_till)
    return estimate_of(body)


def estimate_of(body: Mapping[str, Any]) -> Steps[Estimate]:
    """As `estimate`, of an export in REST's JSON."""
    return asked(Call(method="POST", path="/v1/exports/estimate", answer=Estimate, json=dict(body), records=False))


def create(job: Mapping[str, Any], idempotency_key: str | None = None) -> Steps[Job]:
    """Make a job of REST's own JSON: ``operation``, ``dataset``, ``organisation``, ``source``, ``options`` ..."""
    headers = key_header(idempotency_key)
    limit = READ_SECONDS if _names_a_file(job) else None
    body = dict(job)
    return asked(Call(method="POST", path="/v1/jobs", answer=Job, json=body, headers=headers, timeout_seconds=limit))


def _names_a_file(job: Mapping[str, Any]) -> bool:
    """Whether the API has to read a file that is there already, or fetch one, before the job is made."""
    source = job.get("source")
    return job.get("file") is not None or (isinstance(source, Mapping) and not {"job", "url"}.isdisjoint(source))


def send_file(
    file: File,
    job: Mapping[str, Any],
    idempotency_key: str | None = None,
    *,
    in_parts: bool | None = None,
    progress: Progress | None = None,
    name: str | None = None,
) -> Steps[Job]:
    """Make a job of a file, and of what is to be done with it in REST's own JSON. Raises as `upload`."""
    if isinstance(file, str) and re.match(r"[a-z0-9]+://", file):
        return (yield from create({**job, "source": {"url": file}}, idempotency_key))
    headers = key_header(idempotency_key)
    described = ("job", (None, json.dumps(finite(dict(job)), ensure_ascii=False).encode(), "application/json"))
    if isinstance(file, bytes):
        return (yield from _form(lambda: [described, part_of(name or "rows.csv", file)], headers))
    if not isinstance(file, str | Path):
        stream = part_of(name or "stream.csv", SentStream(file, name or "the stream"))
        return (yield from _form(lambda: [described, stream], headers, read_once=True))
    path = Path(file)
    with ExitStack() as stack:
        content = stack.enter_context(opened(path))
        size = path.stat().st_size
        if in_parts or (in_parts is None and size >= LARGE_BYTES):
            made = yield from draft(shown_name(path), size, job, idempotency_key)
            return (yield from continue_upload(decoded(made.content, Job), path, progress=progress))

        def parts() -> Sequence[tuple[str, Any]]:
            content.seek(0)
            return [described, part_of(shown_name(path), SentFile(path, content, progress))]

        return (yield from _form(parts, headers))


def draft(name: str, size: int | None, job: Mapping[str, Any], idempotency_key: str | None = None) -> Steps[Job]:
    """Make a job whose file comes in parts: it is a DRAFT until `continue_upload` has sent it."""
    source = {"upload": name} | ({} if size is None else {"bytes": size})
    return create({**job, "source": source}, idempotency_key)


def _form(parts: Any, headers: Mapping[str, str], *, read_once: bool = False) -> Steps[Job]:
    call: Call[Job] = Call(
        method="POST",
        path="/v1/jobs",
        answer=Job,
        form=parts,
        headers=headers,
        timeout_seconds=_SEND_SECONDS,
        read_once=read_once,
    )
    reply: Coded[Job] = yield from asked(call)
    return reply


def key_header(key: str | None) -> dict[str, str]:
    """The header for an idempotency key; None: one that is made for this request.

    Raises:
        WrongArgument: it can't be a header's value.
    """
    if key is None:
        return {"Idempotency-Key": secrets.token_urlsafe(18)}
    if not re.fullmatch(r"[!-~]([ -~]*[!-~])?", key):
        raise WrongArgument("an idempotency key has only ASCII characters, and no spaces at its ends")
    return {"Idempotency-Key": key}


def job_of(
    operation: str | None,
    dataset: str | None,
    organisation: str | None,
    options: Mapping[str, Any],
    reason: str | None,
    start_at: str | None,
) -> dict[str, Any]:
    """What is to be done, in REST's JSON."""
    given = {
        "operation": operation, "dataset": dataset, "organisation": organisation, "options": dict(options),
        "reason": reason, "start_at": start_at,
    }  # fmt: skip
    return {name: value for name, value in given.items() if value is not None}


def _days(first: date | str, last: date | str | None) -> dict[str, str]:
    return {"from": str(first)} | ({} if last is None else {"till": str(last)})
