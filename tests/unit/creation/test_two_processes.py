"""Two API processes with one storage folder, of which one has not heard yet of what was asked of the other: whatever is
asked of it, the file of a job that has begun stays what it was."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

import api.jobs.creation.retry_errors as retry_errors
import api.readmodel.command_log as command_log
import api.uploads.drafts as drafts
from api.readmodel.seen import EventSeen, JobSeen
from api.remote.fetching import Fetches
from api.routes.rest import ENDPOINTS
from api.uploads.import_folders import Seen
from api.uploads.spool import try_lock
from api.uploads.upload import Upload
from control.creation.quotas import stored_files
from control.errors import Rejected
from control.reaction import rejection
from schemas.job import State
from schemas.messages.codec import decode, encode
from schemas.messages.commands import Command
from schemas.messages.events import CommandRejected
from tests.support.api.stub import PEOPLE, ROW, StubLog, complete, make_job, stub

ADDRESS = "https://reports.example.org/rows.csv"
FILE = PEOPLE + ROW.replace(b"Ann", "Zoë".encode()) * 3
OTHER = PEOPLE + ROW * 3
"""As long as `FILE`, but for the name."""


@dataclass
class Pair:
    """The process that is asked first, the one that is behind it, and what they share."""

    first: TestClient
    behind: TestClient
    log: StubLog
    view: StubLog
    """The log as the second process sees it."""
    folder: Path
    content: bytes = FILE
    """What senders send now, and what lies at the address and in the import folder."""
    refusal: Rejected | None = None
    """The answer of the control agent to what the second process asks."""

    def catch_up(self) -> None:
        """Have the second process hear of everything; to be called on its event loop, or while it does nothing."""
        self.view.live.take([JobSeen(job.id, job) for job in self.log.live.view.jobs.values()])

    async def append(self, command: Command) -> int:
        """Append to the log from the second process: it hears of what came before with the state that is its answer; of
        a refusal it hears alone."""
        offset = len(self.log.sent)
        self.log.sent.append(decode(encode(command), Command))
        if self.refusal is None:
            self.log.react(offset)
        else:
            context: Any = type("Context", (), {"offset": offset, "at": 0})
            self.log.history.append(rejection(command, self.refusal, context))
        newest = self.log.history[-1]
        if isinstance(newest, CommandRejected) and newest.command_offset == offset:
            asyncio.get_running_loop().call_soon(self.view.live.take, [EventSeen(newest.job_id, offset, newest)])
        else:
            asyncio.get_running_loop().call_soon(self.catch_up)
        return offset

    def stored(self) -> dict[str, bytes]:
        """Path -> bytes of every file that was taken in; drafts are no job's file yet."""
        root = self.folder / "storage"
        found = {str(path.relative_to(root)): path for path in root.rglob("sources/*/*") if path.name != ".draft"}
        return {name: path.read_bytes() for name, path in found.items()}

    def require_files(self) -> None:
        """Require that every job that has a file has the one that it was made with."""
        stored = self.stored()
        for job in self.log.live.view.jobs.values():
            for source in (job.source, job.retry):
                if source is not None and source.path is not None and not source.path.startswith("/"):
                    assert source.path in stored, f"the file of job {job.id} is gone"
                    assert hashlib.sha256(stored[source.path]).hexdigest() == source.sha256, f"{job.id} has another"


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    async def fetch(_self: Fetches, _request: Any, _address: Any, _s: Any, _o: str, upload: Upload) -> None:
        await upload.take(made.content)
        await upload.end()

    async def check(*_: Any) -> Seen:
        return Seen()

    monkeypatch.setattr(Fetches, "fetch", fetch)
    monkeypatch.setattr(retry_errors, "_check", check)
    folder = tmp_path / "import"
    folder.mkdir()
    settings: dict[str, Any] = {"source_urls": "https://reports.example.org/", "import_folders": str(folder)}
    with ExitStack() as stack:
        clients: list[TestClient] = []
        logs: list[StubLog] = []
        for _ in range(2):
            app, log = stub(tmp_path, draft_hours=1e6, **settings)  # the stub's commands are old
            clients.append(stack.enter_context(TestClient(app, raise_server_exceptions=False)))
            logs.append(log)
        made = Pair(clients[0], clients[1], logs[0], logs[1], tmp_path)
        logs[1].append = made.append  # type: ignore[method-assign]
        yield made


Ask = Callable[[TestClient], Response]


def sent(content: Callable[[bytes], bytes] = bytes, **options: Any) -> Callable[[Pair], Ask]:
    def way(pair: Pair) -> Ask:
        return lambda client: make_job(client, content(pair.content), key="k", options=options)

    return way


def elsewhere(body: Callable[[Pair], dict[str, Any]]) -> Callable[[Pair], Ask]:
    def way(pair: Pair) -> Ask:
        asked = {"operation": "upload", "dataset": "people", "organisation": "acme", **body(pair)}

        def ask(client: TestClient) -> Response:
            (pair.folder / "import" / "a.csv").write_bytes(pair.content.decode().encode("cp1252"))
            return client.post("/v1/jobs", json=asked, headers={"Idempotency-Key": "k"})

        return ask

    return way


def named(pair: Pair) -> dict[str, Any]:
    return {"file": str(pair.folder / "import" / "a.csv"), "options": {"encoding": "cp1252"}}


def of_another_job(pair: Pair) -> dict[str, Any]:
    earlier = make_job(pair.first, FILE.replace(b",", b";"), options={"delimiter": ";"}).json()["id"]
    return {"source": {"job": earlier}, "options": {"quote": "'", "if_same": "allow"}}


def draft(pair: Pair, content: bytes, name: str, **options: Any) -> str:
    body = {"operation": "upload", "dataset": "people", "source": {"upload": name}, "options": options}
    job_id: str = pair.first.post("/v1/jobs", json=body).json()["id"]
    assert append(pair.first, job_id, 0, content).status_code == 204
    return job_id


def append(client: TestClient, job_id: str, offset: int, data: bytes) -> Response:
    return client.patch(f"/v1/jobs/{job_id}/file", content=data, headers={"Upload-Offset": str(offset)})


def started(content: bytes, name: str = "people.csv", **options: Any) -> Callable[[Pair], Ask]:
    def way(pair: Pair) -> Ask:
        job_id = draft(pair, content, name, **options)
        return lambda client: client.post(f"/v1/jobs/{job_id}/start")

    return way


def corrected(pair: Pair) -> Ask:
    job_id = make_job(pair.first, FILE).json()["id"]
    complete(pair.log, job_id, failed=1)
    return lambda client: client.post(
        f"/v1/jobs/{job_id}/retry-errors", files={"file": ("errors.csv", pair.content, "text/csv")}
    )


CP1252 = FILE.decode().encode("cp1252")
WAYS: dict[str, dict[str, Callable[[Pair], Ask]]] = {
    "POST /v1/jobs": {
        "sent": sent(),
        "sent packed": sent(gzip.compress),
        "sent in another encoding": sent(lambda data: data.decode().encode("cp1252"), encoding="cp1252"),
        "named": elsewhere(named),
        "of another job": elsewhere(of_another_job),
        "at an address": elsewhere(lambda _: {"source": {"url": ADDRESS}}),
    },
    "POST /v1/jobs/{job_id}/start": {
        "started": started(FILE),
        "started in another encoding": started(CP1252, encoding="cp1252"),
        "started with other quotes": started(FILE, quote="'"),
        "started packed": started(gzip.compress(FILE), "people.csv.gz"),
        "started packed, under its name": started(gzip.compress(FILE)),
    },
    "POST /v1/jobs/{job_id}/retry-errors": {"corrected": corrected},
}
"""Route that stores the file of a job -> ways in which it does."""
PARTS = "PATCH /v1/jobs/{job_id}/file"


def test_every_route_that_stores_a_file_is_tried() -> None:
    taking = {
        f"{one.method} {one.path}"
        for one in ENDPOINTS
        if one.body is not None
        and (one.body.text or any(isinstance(part.content, str) for part in one.body.form.values()))
    }
    assert taking | {"POST /v1/jobs/{job_id}/start"} == WAYS.keys() | {PARTS}


@pytest.mark.parametrize("answered", [True, False], ids=["answered", "unanswered"])
@pytest.mark.parametrize(("route", "way"), [(route, way) for route, ways in WAYS.items() for way in ways])
def test_the_file_of_a_job_that_has_begun_stays(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, route: str, way: str, answered: bool
) -> None:
    ask = WAYS[route][way](pair)
    pair.catch_up()
    pair.log.agent = answered
    with monkeypatch.context() as patched:
        patched.setattr(command_log, "ANSWER_SECONDS", 20.0 if answered else 0.0)
        first = ask(pair.first)
    assert first.status_code in ((200, 201, 202) if answered else (503,)), first.text
    if not answered:
        pair.log.react(len(pair.log.sent) - 1)
    job_id = pair.log.sent[-1].job_id
    pair.require_files()
    before = pair.stored()
    revoked = Rejected(403, "the key was revoked meanwhile")
    for refusal, pair.content in ((revoked, FILE), (revoked, OTHER), (None, OTHER), (None, FILE)):
        pair.refusal = refusal
        again = ask(pair.behind)
        if refusal is not None:
            assert again.status_code in (403, 409), again.text
        elif pair.content == FILE and route == "POST /v1/jobs":
            assert (again.status_code, again.json().get("id")) == (201, job_id), again.text
        pair.require_files()
        after = pair.stored()
        assert before == {name: after.get(name) for name in before}
        if "retry-errors" not in route:  # a job keeps all that were sent to it
            assert before == after, "what the second has stored is removed again"
    assert pair.log.live.view.jobs[job_id].state is State.RUNNING
    assert all(stored_files(job) for job in pair.log.live.view.jobs.values())


@pytest.mark.parametrize("offset", [0, None], ids=["from the start", "behind it"])
@pytest.mark.parametrize("way", WAYS["POST /v1/jobs/{job_id}/start"])
def test_a_part_of_a_draft_that_has_been_started_is_refused(pair: Pair, way: str, offset: int | None) -> None:
    ask = WAYS["POST /v1/jobs/{job_id}/start"][way](pair)
    pair.catch_up()
    job_id = ask(pair.first).json()["id"]
    (stored,) = pair.stored().values()
    late = append(pair.behind, job_id, len(stored) if offset is None else offset, b"more")
    assert late.status_code == 409, late.text
    pair.require_files()
    assert not list(pair.folder.rglob(".draft"))


def test_a_part_that_waited_while_its_draft_was_started_is_refused(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """The start comes between the opening of the draft and its lock."""
    job_id = draft(pair, FILE, "people.csv")
    pair.catch_up()

    def lock_late(descriptor: int) -> bool:
        monkeypatch.setattr(drafts, "try_lock", try_lock)
        assert pair.first.post(f"/v1/jobs/{job_id}/start").status_code == 200
        return try_lock(descriptor)

    monkeypatch.setattr(drafts, "try_lock", lock_late)
    late = append(pair.behind, job_id, len(FILE), b"more")
    assert (late.status_code, late.json()["error"]["details"]) == (409, {"reason": "FILE_BUSY"}), late.text
    pair.require_files()


@pytest.mark.parametrize("way", WAYS["POST /v1/jobs/{job_id}/start"])
def test_a_draft_that_is_terminated_after_a_start_without_an_answer_leaves_no_file(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    ask = WAYS["POST /v1/jobs/{job_id}/start"][way](pair)
    pair.log.agent = False
    with monkeypatch.context() as patched:
        patched.setattr(command_log, "ANSWER_SECONDS", 0.0)
        assert ask(pair.first).status_code == 503
    pair.log.agent = True  # another worker begins behind that command
    job_id = pair.log.sent[-1].job_id
    assert pair.first.post(f"/v1/jobs/{job_id}/terminate", content=json.dumps({})).status_code == 202
    assert not list((pair.folder / "storage" / "sources").rglob("*"))
