"""A file in parts: starts whose answer is lost, jobs that are no drafts any more, other requests at the same file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.testclient import TestClient

from client import Conflict, Retry, Sluice
from client.sync import Shell
from schemas.job import State
from tests.support.api.answers import WHOLE
from tests.support.api.stub import PEOPLE, ROW, stub

DIGEST = hashlib.sha256(PEOPLE + ROW).hexdigest()
QUICK = {"first_seconds": 0.0, "give_up_seconds": 60.0}


@pytest.fixture
def people(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    path.write_bytes(PEOPLE + ROW)
    return path


@pytest.fixture
def served(tmp_path: Path) -> Iterator[TestClient]:
    app, _ = stub(tmp_path, draft_hours=1e6)
    with TestClient(app) as client:
        yield client


def refusal(code: int, message: str, **details: Any) -> httpx2.Response:
    return httpx2.Response(code, json={"error": {"code": code, "status": "S", "message": message, "details": details}})


def fails() -> httpx2.Response:
    raise httpx2.ReadTimeout("no byte came")


@pytest.mark.parametrize("attempts", [1, 3])
@pytest.mark.parametrize(
    "lost", [fails, lambda: refusal(503, "it is recorded", recorded=True), lambda: httpx2.Response(504)]
)
def test_a_start_whose_answer_is_lost_is_found_to_have_begun(
    served: TestClient, people: Path, lost: Callable[[], httpx2.Response], attempts: int
) -> None:
    starts = []

    def serve(request: httpx2.Request) -> httpx2.Response:
        request.read()
        answer = served._transport.handle_request(request)
        answer.read()
        if request.url.path.endswith("/start"):
            starts.append(request)
            return lost() if len(starts) == 1 else answer
        return answer

    sluice = Sluice("http://testserver", transport=httpx2.MockTransport(serve), retry=Retry(attempts=attempts, **QUICK))
    made = sluice.upload(people, "people", in_parts=True)
    assert (made.state, made.source.sha256, len(list(sluice.jobs()))) == ("RUNNING", DIGEST, 1)


def test_a_repeat_with_the_same_key_answers_with_the_first_job(served: TestClient, people: Path) -> None:
    sluice = Sluice("http://testserver", transport=served._transport)
    first = sluice.upload(people, "people", in_parts=True, idempotency_key="monthly")
    assert sluice.upload(people, "people", in_parts=True, idempotency_key="monthly").id == first.id
    people.write_bytes(PEOPLE + ROW.replace(b"Ann", b"Eve"))
    with pytest.raises(Conflict, match="is RUNNING: a file is taken while it is DRAFT"):
        sluice.upload(people, "people", in_parts=True, idempotency_key="monthly")


class Draft:
    """Stands for the API: it refuses with these first, then takes a draft's file; `job` is what became of the draft."""

    def __init__(self, *refusals: httpx2.Response, **job: Any) -> None:
        self.refusals = list(refusals)
        self.job = job
        self.asked: list[httpx2.Request] = []

    def serve(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        if request.method == "GET" and not request.url.path.endswith("/file"):
            return httpx2.Response(200, json={**WHOLE, **self.job})
        if request.method != "GET" and self.refusals:
            return self.refusals.pop(0)
        if self.job:
            return refusal(409, "no file is taken any more", state=self.job["state"])
        if request.method == "PATCH":
            return httpx2.Response(204, headers={"Upload-Offset": str(len(PEOPLE + ROW))})
        if request.method == "POST":
            return httpx2.Response(200, json={**WHOLE, "state": "RUNNING"})
        return httpx2.Response(200, json={"job_id": "d", "offset": 0, "bytes": None, "expires_at": ""})

    def client(self) -> Sluice:
        transport = httpx2.MockTransport(self.serve)
        sluice = Sluice("http://sluice", "key", transport=transport)
        sluice.shell = Shell(sluice.shell.connection, transport, sleep=lambda seconds: None)
        return sluice


@pytest.mark.parametrize("state", sorted(set(State) - {State.DRAFT}))
def test_a_job_that_is_no_draft_is_the_answer_if_it_has_this_very_file(people: Path, state: State) -> None:
    source = {**WHOLE["source"], "sha256": DIGEST}
    assert Draft(state=state, source=source).client().continue_upload("d", people).state == state
    for other in (None, "0" * 64):
        with pytest.raises(Conflict, match="no file is taken any more"):
            Draft(state=state, source={**source, "sha256": other}).client().continue_upload("d", people)


@pytest.mark.parametrize(
    "told",
    [refusal(409, "x", reason="FILE_BUSY"), refusal(409, "x", reason="OFFSET_MISMATCH", offset=3),
     refusal(409, "another request is sending this file"), refusal(409, "3 bytes have come: go on from there")],
)  # fmt: skip
def test_what_another_request_does_to_the_file_is_waited_for(people: Path, told: httpx2.Response) -> None:
    draft = Draft(told, told)
    assert draft.client().continue_upload("d", people).state == "RUNNING"
    with pytest.raises(Conflict, match="another job has the data"):
        Draft(refusal(409, "another job has the data", reason="BUSY")).client().continue_upload("d", people)


def test_an_answer_for_which_the_api_reads_a_file_is_waited_for(people: Path) -> None:
    draft = Draft()
    sluice = draft.client()
    sluice.continue_upload("d", people)
    for started in (sluice.start, sluice.again, lambda job: sluice.upload("s3://bucket/a.csv", "people")):
        started("d")
    for source in ({"file": "/import/a.csv"}, {"source": {"job": "d"}}, {"source": {"url": "https://host/a.csv"}}):
        sluice.create({"operation": "upload", "dataset": "people", **source})
    waiting = [request for request in draft.asked if request.method == "POST"]
    assert len(waiting) == 7
    assert {request.extensions["timeout"]["read"] for request in waiting} == {7200.0}
    sluice.create({"operation": "upload", "dataset": "people", "source": "topic"})
    assert draft.asked[-1].extensions["timeout"]["read"] == 30.0, "where nothing is read a server that hangs is noticed"
    assert json.loads(waiting[0].content) == {"sha256": DIGEST}
