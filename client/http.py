"""Sends requests to the API, and turns its refusals into ClientErrors."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NoReturn

import httpx2

from client.address import api_key, api_url, tls_context
from client.arguments import idempotency
from client.errors import ClientError, exit_code_for, no_api, unreachable, usage
from client.saving import Target
from client.sending import Stream, file_part, opened

Json = dict[str, Any]

_TIMEOUT = httpx2.Timeout(30.0, connect=5.0)
_SEND_TIMEOUT = httpx2.Timeout(120.0, connect=5.0)
_FETCH_TIMEOUT = httpx2.Timeout(2 * 3600.0, connect=5.0)
"""The API has a limit of its own for fetching a file."""
_LISTED = 1000


class Api:
    """A client of the API."""

    def __init__(self, transport: httpx2.BaseTransport | None = None) -> None:
        self.url = api_url()
        key, trusted = api_key(), tls_context(self.url)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.http = httpx2.Client(
            base_url=self.url, headers=headers, timeout=_TIMEOUT, transport=transport, trust_env=False, verify=trusted
        )

    def call(self, method: str, path: str, **more: Any) -> Json:
        """Send a request; returns the answer's JSON.

        Raises:
            ClientError: the API refuses (with its message), or can't be reached.
        """
        with self._problems():
            response = self.http.request(method, path, **more)
        return self._json(response)

    @contextmanager
    def _problems(self) -> Iterator[None]:
        try:
            yield
        except httpx2.RequestError as error:
            raise unreachable(self.url, error) from error
        except UnicodeEncodeError:
            raise usage("an argument of the command is not UTF-8 text; write it in UTF-8") from None
        except httpx2.InvalidURL:
            raise usage("an argument of the command is too long for a URL, or holds what no URL can") from None

    def _json(self, response: httpx2.Response) -> Json:
        try:
            body = json.loads(response.content, parse_constant=_no_number)
        except (ValueError, RecursionError):
            body = None
        if response.is_success and isinstance(body, dict):
            return body
        if response.status_code == 204:
            return {}
        raise refusal(response.status_code, body)

    def send_file(self, path: Path, job: Json, key: str | None, progress: Callable[[int], None] | None = None) -> Json:
        """Make a job from a file; `progress` is called with the bytes sent so far.

        Raises:
            ClientError: the file can't be read, the API refuses, or can't be reached.
        """
        headers = idempotency(key)
        with opened(path) as file, self._problems():
            described = json.dumps(job, ensure_ascii=False).encode()
            parts = [("job", (None, described, "application/json")), ("file", file_part(path, file, progress))]
            return self.call("POST", "/v1/jobs", files=parts, headers=headers, timeout=_SEND_TIMEOUT)

    def send_stream(self, file: IO[bytes], job: Json, key: str | None) -> Json:
        """Make a job from what comes of a stream. Raises as `send_file`."""
        described = json.dumps(job, ensure_ascii=False).encode()
        parts = [("job", (None, described, "application/json")), ("file", ("stdin.csv", Stream(file), "text/csv"))]
        return self.call("POST", "/v1/jobs", files=parts, headers=idempotency(key), timeout=_SEND_TIMEOUT)

    def fetch_file(self, url: str, job: Json, key: str | None) -> Json:
        """Make a job from a file that the API fetches from its address.

        Raises:
            ClientError: the API refuses, or can't be reached.
        """
        body = {**job, "source": {"url": url}}
        return self.call("POST", "/v1/jobs", json=body, headers=idempotency(key), timeout=_FETCH_TIMEOUT)

    def job(self, name: str) -> Json:
        """The job with this id, or the only one whose id begins so, or the newest one (``last``).

        Raises:
            ClientError: there is no such job, or there are several.
        """
        if name == "last":
            newest: list[Json] = self.call("GET", "/v1/jobs", params={"limit": 1})["jobs"]
            if not newest:
                raise usage("there are no jobs yet")
            return newest[0]
        if not name or not all(sign.isalnum() or sign in "-_" for sign in name):
            raise usage(f"{name[:60]!r} is not a job id; `sluice jobs` lists them")
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
            if after is None or not page["jobs"]:
                return

    @contextmanager
    def stream(self, path: str, timeout: float = 60.0) -> Iterator[httpx2.Response]:
        """An answer that is no refusal, to be read piece by piece.

        Raises:
            ClientError: the API refuses, or can't be reached, or breaks off.
        """
        limit = httpx2.Timeout(timeout, connect=5.0)
        with self._problems(), self.http.stream("GET", path, timeout=limit) as response:
            if not response.is_success:
                response.read()
                self._json(response)
            yield response

    def save(self, path: str, target: Path) -> None:
        """Write an answer that is no refusal to a file.

        Raises:
            ClientError: as `stream`; or the file can't be written.
        """
        with self.stream(path) as answer:
            Target(target).write(answer.iter_bytes())


def refusal(http_code: int, body: Any) -> ClientError:
    """The API's refusal, with its message where the body can be read."""
    detail = body.get("error") if isinstance(body, dict) else None
    message = detail.get("message") if isinstance(detail, dict) else None
    if message:
        return ClientError(str(message), exit_code_for(http_code), http_code)
    error = no_api(f"the API answered {http_code} in a way that can't be read")
    error.http_code = http_code
    return error


def _given(values: Json) -> Json:
    return {name: value for name, value in values.items() if value is not None}


def _no_number(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
