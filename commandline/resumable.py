"""Sends a file in parts to a job that is a draft, and goes on after a broken connection."""

from __future__ import annotations

import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Final

import httpx2

from commandline.connection import Api, Json, refusal
from commandline.errors import UNREACHABLE, ClientError, unreachable, usage
from commandline.sending import SentFile, opened
from runtime.retrying import Backoff

PART_BYTES: Final = 8 * 1024 * 1024
GIVE_UP_SECONDS: Final = 120.0
LARGE_BYTES: Final = 256 * 1024 * 1024
"""Files of so many bytes are sent in parts, if nothing else is said."""
_BACKOFF: Final = Backoff(first=0.5, longest=5.0)
_TIMEOUT: Final = httpx2.Timeout(120.0, connect=5.0)


def send_parts(
    api: Api,
    path: Path,
    job_id: str,
    progress: Callable[[int], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Json:
    """Send what has not come of a draft's file yet, and start the job; the job after that.

    Raises:
        ClientError: the file can't be read, or is another one than before; the API refuses, or does not answer for
            two minutes. What has come stays.
    """
    with opened(path) as file:
        sent = SentFile(path, file, progress)
        digest, hashed = sha256(), 0
        failing_since: float | None = None
        pauses = _BACKOFF.pauses()
        size = path.stat().st_size
        while True:
            try:
                offset = _offset(api, job_id)
                if offset > size:
                    raise usage(f"more has come than {path} has: it is not the file of job {job_id}")
                while hashed < offset:
                    sent.seek(hashed)
                    data = sent.read(min(PART_BYTES, offset - hashed))
                    digest.update(data)
                    hashed += len(data)
                while offset < size:
                    sent.seek(offset)
                    data = sent.read(PART_BYTES)
                    if offset + len(data) > hashed:
                        digest.update(data[hashed - offset :])
                        hashed = offset + len(data)
                    offset = _append(api, job_id, offset, data)
                    failing_since, pauses = None, _BACKOFF.pauses()
                return api.call(
                    "POST", f"/v1/jobs/{job_id}/start", json={"sha256": digest.hexdigest()}, timeout=_TIMEOUT
                )
            except ClientError as error:
                if error.exit_code != UNREACHABLE and not _elsewhere(error):
                    raise
                now = clock()
                failing_since = now if failing_since is None else failing_since
                if now - failing_since > GIVE_UP_SECONDS:
                    raise
                sleep(next(pauses))


def _elsewhere(error: ClientError) -> bool:
    """Whether another request is still sending the file, or has sent more of it: this one goes on behind it."""
    return error.http_code == 409 and ("another request" in str(error) or "go on from there" in str(error))


def _offset(api: Api, job_id: str) -> int:
    offset: int = api.call("GET", f"/v1/jobs/{job_id}/file")["offset"]
    return offset


def _append(api: Api, job_id: str, offset: int, data: bytes) -> int:
    headers = {"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
    try:
        answer = api.http.patch(f"/v1/jobs/{job_id}/file", content=data, headers=headers, timeout=_TIMEOUT)
    except httpx2.RequestError as error:
        raise unreachable(api.url, error) from error
    if not answer.is_success:
        try:
            body = answer.json()
        except ValueError:
            body = None
        raise refusal(answer.status_code, body)
    return int(answer.headers["upload-offset"])
