"""Requests to the API, and its refusals as sentences."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import httpx

from api.client.address import api_key, api_url
from api.client.errors import ClientError, exit_code_for, unreachable, usage

Json = dict[str, Any]

_TIMEOUT = httpx.Timeout(30.0, connect=5.0)
_SEND_TIMEOUT = httpx.Timeout(120.0, connect=5.0)
_LISTED = 1000


class Api:
    """One connection to the API."""

    def __init__(self, transport: httpx.BaseTransport | None = None) -> None:
        self.url = api_url()
        key = api_key()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.http = httpx.Client(
            base_url=self.url, headers=headers, timeout=_TIMEOUT, transport=transport, trust_env=False
        )

    def call(self, method: str, path: str, **more: Any) -> Json:
        """The JSON of an answer.

        Raises:
            ClientError: the API refuses (its own words), or can't be reached.
        """
        try:
            response = self.http.request(method, path, **more)
        except httpx.TransportError as error:
            raise unreachable(self.url, error) from error
        return self._json(response)

    def _json(self, response: httpx.Response) -> Json:
        try:
            body = response.json()
        except ValueError:
            body = None
        if response.is_success and isinstance(body, dict):
            return body
        raise refusal(response.status_code, body)

    def send_file(self, path: Path, job: Json, key: str | None, progress: Callable[[int], None] | None = None) -> Json:
        """Make a job and send its file along; `progress` is told the bytes sent so far.

        Raises:
            ClientError: the file can't be read, the API refuses, or can't be reached.
        """
        with opened(path) as file:
            parts = [
                ("job", (None, json.dumps(job).encode(), "application/json")),
                ("file", (path.name, _Counted(file, progress), "text/csv")),
            ]
            headers = {"Idempotency-Key": key} if key else {}
            return self.call("POST", "/v1/jobs", files=parts, headers=headers, timeout=_SEND_TIMEOUT)

    def job(self, name: str) -> Json:
        """The job of this id, or of the only id that begins so, or the newest one (``last``).

        Raises:
            ClientError: there is none, or several.
        """
        if name == "last":
            newest: list[Json] = self.call("GET", "/v1/jobs", params={"limit": 1})["jobs"]
            if not newest:
                raise usage("there are no jobs yet")
            return newest[0]
        if not name or not all(sign.isalnum() or sign in "-_" for sign in name):
            raise usage(f"{name!r} is not a job id; `sluice jobs` lists them")
        try:
            return self.call("GET", f"/v1/jobs/{name}")
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

    def jobs(self, limit: int | None = None, **filters: Any) -> Iterator[Json]:
        """Jobs, newest first."""
        after = None
        left = limit
        while left is None or left > 0:
            size = _LISTED if left is None else min(left, _LISTED)
            page = self.call("GET", "/v1/jobs", params=_given({**filters, "limit": size, "after": after}))
            yield from page["jobs"]
            after = page["next"]
            left = None if left is None else left - len(page["jobs"])
            if after is None:
                return

    @contextmanager
    def stream(self, path: str, timeout: float = 60.0) -> Iterator[httpx.Response]:
        """A good answer, to be read piece by piece.

        Raises:
            ClientError: the API refuses, or can't be reached, or breaks off.
        """
        try:
            with self.http.stream("GET", path, timeout=httpx.Timeout(timeout, connect=5.0)) as response:
                if not response.is_success:
                    response.read()
                    self._json(response)
                yield response
        except httpx.TransportError as error:
            raise unreachable(self.url, error) from error

    def save(self, path: str, target: Path) -> None:
        """Write a good answer to a file, which is there complete or not at all.

        Raises:
            ClientError: as `stream`; or the file can't be written.
        """
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            with self.stream(path) as answer, part.open("wb") as file:
                for chunk in answer.iter_bytes():
                    file.write(chunk)
            part.replace(target)
        except OSError as error:
            raise usage(f"{target} can't be written: {error.strerror}") from error
        finally:
            part.unlink(missing_ok=True)


def refusal(http_code: int, body: Any) -> ClientError:
    """What the API said, in its own words where they can be read."""
    detail = body.get("error") if isinstance(body, dict) else None
    message = detail.get("message") if isinstance(detail, dict) else None
    text = str(message) if message else f"the API answered {http_code} in a way that can't be read"
    return ClientError(text, exit_code_for(http_code), http_code)


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """A file to be sent.

    Raises:
        ClientError: it can't be read.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise usage(f"there is no file {path}") from None
    except OSError as error:
        raise usage(f"the file {path} can't be read: {error.strerror}") from None
    with file:
        yield file


def _given(values: Json) -> Json:
    return {name: value for name, value in values.items() if value is not None}


class _Counted:
    """A file that tells how much of it has been read: what httpx needs of one, and no more."""

    def __init__(self, file: IO[bytes], progress: Callable[[int], None] | None) -> None:
        self._file = file
        self._progress = progress

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        if self._progress is not None:
            self._progress(self._file.tell())
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def fileno(self) -> int:
        return self._file.fileno()

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._file)
