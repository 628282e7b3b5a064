"""Whether a request for a job is the repeat of the one that made it. Pure."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from msgspec.structs import replace

from schemas.job import Job
from schemas.messages.codec import encode
from schemas.messages.commands import CreateJob


def request_digest(command: CreateJob) -> str:
    """The digest of everything that a request asks for. It leaves out who asks, and the identity of the file on disk: a
    file that is sent again has the same content and name, and another inode. Which column is which follows, and so does
    how the file is written. The place of the file is compared by itself, as it may not be known.
    """
    source = replace(command.source, identity=None, columns=None, format=None, origin=None)
    asked = replace(command, by="", source=source)
    return sha256(encode(asked)).hexdigest()


def differences(job: Job, command: CreateJob, dry_run: str | None = None) -> list[str]:
    """What `command` asks for that the request which made `job` did not; nothing: it is the same request again.

    `dry_run`: the one that the command is the start of.
    """
    if job.started_from != dry_run:
        return ["dry run"]
    command = _as_stored(job, command)
    if _same_place(job, command) and job.request == request_digest(command):
        return []
    different = [name for name, (first, second) in _parts(job, command).items() if first != second]
    if different or job.request is None:  # an older version kept no digest
        return different
    return ["options, reason or file name"]


def _as_stored(job: Job, command: CreateJob) -> CreateJob:
    """The command with the path of the job's file, if both files were sent for this job: each request stores the same
    file under another name.
    """
    folder, own, sent = f"sources/{job.id}/", job.source.path or "", command.source.path or ""
    if not (own.startswith(folder) and sent.startswith(folder)):
        return command
    return replace(command, source=replace(command.source, path=own))


def _same_place(job: Job, command: CreateJob) -> bool:
    """Whether both name the same place for their file. A process of an older version records none, and drops what
    another one has recorded: then it is not known, and the file's content decides."""
    first, second = job.source.origin, command.source.origin
    return first is None or second is None or first == second


def _parts(job: Job, command: CreateJob) -> dict[str, tuple[Any, Any]]:
    return {
        "operation": (job.operation, command.operation),
        "dataset": (job.dataset, command.dataset),
        "organisation": (job.organisation, command.organisation),
        "source": (job.source.kind, command.source.kind),
        "file": (job.source.sha256, command.source.sha256),
        "place of the file": (_same_place(job, command), True),
        "from": (job.date_from, command.date_from),
        "till": (job.date_till, command.date_till),
    }
