"""The file of a draft, sent in parts as tus (tus.io) defines them.

After a lost connection the client asks the server for its offset, and goes on there.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from client.answers import FilePart, Job
from client.errors import Conflict, FileProblem, Unavailable, Unreachable
from client.protocol.exchange import answered, asked, decoded, path
from client.protocol.steps import Call, Coded, Now, Part, Pause, Policy, Retry, Steps
from client.requests.acting import starting
from client.requests.files import Progress, SentFile, opened
from client.requests.naming import JobLike, id_of

PART_BYTES: Final = 8 * 1024 * 1024
_SEND_SECONDS: Final = 120.0
_ELSEWHERE: Final = frozenset({"FILE_BUSY", "OFFSET_MISMATCH"})
"""Reasons of a refused part or start after which the offset is to be asked for anew."""


def continue_upload(job: JobLike, file: str | Path, *, progress: Progress | None = None) -> Steps[Job]:
    """Send the rest of a draft's file, from the offset that the server has, and start the job.

    A job that has been started with this very file is returned as it is, whatever has become of it since.

    Raises:
        FileProblem: the file can't be read, or is shorter than the server's offset.
        Conflict: the file is another one than the one whose beginning the server has, or the job has ended without it.
        Unreachable, Unavailable: the API does not answer for long (twice `Retry.give_up_seconds`). The server keeps the
            bytes that it has.
    """
    return _sent(id_of(job), Path(file), progress)


def sha256_of(file: Path) -> str:
    """SHA-256 of a file here, in hexadecimal. Raises FileProblem: it can't be read."""
    with opened(file) as content:
        sent = _Hashed(SentFile(file, content), file.stat().st_size)
        return sent.digest(sent.size)


def file_offset(job: JobLike) -> Steps[FilePart]:
    """How many bytes of a draft's file the server has: the next part begins there."""
    return asked(_asking(id_of(job)))


def _sent(job_id: str, file: Path, progress: Progress | None) -> Steps[Job]:
    retry: Retry = yield Policy()
    pauses = retry.pauses()
    failing_since: float | None = None
    with opened(file) as content:
        sent = _Hashed(SentFile(file, content, progress), file.stat().st_size)
        while True:
            try:
                try:
                    reply = yield from answered(_asking(job_id))
                    offset = decoded(reply.content, FilePart).offset
                    if offset > sent.size:
                        raise FileProblem(f"the server has more bytes than {file}: it is not the file of job {job_id}")
                    while offset < sent.size:
                        offset = yield from _append(job_id, offset, sent.part(offset))
                        failing_since, pauses = None, retry.pauses()
                    return (yield from asked(starting(job_id, {"sha256": sent.digest(sent.size)})))
                except Conflict as error:
                    if error.details.get("state", "DRAFT") == "DRAFT":
                        raise
                    return (yield from _started(job_id, sent.digest(sent.size), error))
            except (Unreachable, Unavailable, Conflict) as error:
                if isinstance(error, Conflict) and not _elsewhere(error):
                    raise
                now: float = yield Now()
                failing_since = now if failing_since is None else failing_since
                if now - failing_since > 2 * retry.give_up_seconds:
                    raise
            yield Pause(next(pauses))


def _append(job_id: str, offset: int, data: bytes) -> Part[int]:
    """Send a part; the offset behind it."""
    headers = {"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
    # Not repeatable: a part whose answer was lost may have come, and the offset has to be asked for.
    call: Call[Any] = Call(
        method="PATCH",
        records=False,
        path=path("jobs", job_id, "file"),
        content=data,
        headers=headers,
        timeout_seconds=_SEND_SECONDS,
        repeatable=False,
    )
    reply = yield from answered(call)
    return int(reply.headers["upload-offset"])


def _asking(job_id: str) -> Call[FilePart]:
    return Call(method="GET", path=path("jobs", job_id, "file"), answer=FilePart)


def _started(job_id: str, digest: str, refused: Conflict) -> Steps[Job]:
    """The job, which is no draft any more: an earlier start, whose answer may have been lost, was with this file.

    Raises:
        Conflict: `refused`; it has another file, or none.
    """
    reply = yield from answered(Call(method="GET", path=path("jobs", job_id)))
    if decoded(reply.content, Job).source.sha256 != digest:
        raise refused
    return Coded(reply.content, Job)


def _elsewhere(error: Conflict) -> bool:
    """Whether another request is still sending the file, or has sent more of it: this one goes on behind it."""
    words = ("another request", "go on from there")  # of servers that give no reason
    return error.details.get("reason") in _ELSEWHERE or any(some in error.message for some in words)


class _Hashed:
    """A file that is read in parts, and hashed once however often a part is read."""

    def __init__(self, file: SentFile, size: int) -> None:
        self._file = file
        self._digest = sha256()
        self._hashed = 0
        self.size = size

    def part(self, offset: int) -> bytes:
        """The part that begins at `offset`."""
        self.digest(offset)
        self._file.seek(offset)
        data = self._file.read(PART_BYTES)
        self._take(offset, data)
        return data

    def digest(self, until: int) -> str:
        """SHA-256 of at least the first `until` bytes, in hexadecimal."""
        while self._hashed < until:
            self._file.seek(self._hashed)
            self._take(self._hashed, self._file.read(min(PART_BYTES, until - self._hashed)))
        return self._digest.hexdigest()

    def _take(self, offset: int, data: bytes) -> None:
        if offset + len(data) > self._hashed:
            self._digest.update(data[self._hashed - offset :])
            self._hashed = offset + len(data)
