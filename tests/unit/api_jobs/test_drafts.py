"""A file that comes in parts, over the stub: offsets, broken connections, the start, the end of a draft."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import os
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.errors import ApiError
from api.jobs.creation import drafts
from api.jobs.creation.drafts import end_expired
from api.uploads.drafts import DraftFile
from runtime.files.shared_folder import mark
from schemas.job import Job
from schemas.messages.commands import StartDraft, WorkFailed
from tests.support.api.stub import PEOPLE, ROW, StubLog, make_job, stub

Served = tuple[TestClient, StubLog, Path]
FILE = PEOPLE + ROW * 3


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    app, log = stub(tmp_path, draft_hours=1e6)  # the stub's commands are old
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client, log, tmp_path / "storage"


def draft(served: Served, name: str = "people.csv", size: int | None = None, **job: Any) -> str:
    source = {"upload": name, **({"bytes": size} if size is not None else {})}
    answer = served[0].post("/v1/jobs", json={"operation": "upload", "dataset": "people", "source": source, **job})
    assert (answer.status_code, answer.json()["state"]) == (201, "DRAFT"), answer.text
    return str(answer.json()["id"])


def append(served: Served, job_id: str, offset: int | str, data: bytes) -> Any:
    return served[0].patch(f"/v1/jobs/{job_id}/file", content=data, headers={"Upload-Offset": str(offset)})


def start(served: Served, job_id: str, **body: Any) -> Any:
    return served[0].post(f"/v1/jobs/{job_id}/start", json=body)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("sources/*/*") if path.is_file()}


def message(answer: Any) -> str:
    return str(answer.json()["error"]["message"])


def test_a_file_comes_in_parts_and_is_what_was_sent(served: Served) -> None:
    client, _, folder = served
    job_id = draft(served, size=len(FILE))
    head = client.head(f"/v1/jobs/{job_id}/file")
    assert (head.headers["upload-offset"], head.headers["upload-length"]) == ("0", str(len(FILE)))
    assert (head.headers["tus-resumable"], head.headers["cache-control"]) == ("1.0.0", "no-store")
    first = append(served, job_id, 0, FILE[:50])
    assert (first.status_code, first.headers["upload-offset"]) == (204, "50")
    wrong = append(served, job_id, 0, FILE)
    assert (wrong.status_code, wrong.json()["error"]["details"]) == (409, {"reason": "OFFSET_MISMATCH", "offset": 50})
    assert "50 of 2" in message(start(served, job_id))
    assert append(served, job_id, 50, FILE[50:]).headers["upload-offset"] == str(len(FILE))
    assert client.get(f"/v1/jobs/{job_id}/file").json()["offset"] == len(FILE)
    assert append(served, job_id, len(FILE), b"x").status_code == 413
    digest = hashlib.sha256(FILE).hexdigest()
    assert "has the SHA-256" in message(start(served, job_id, sha256="0" * 64))
    job = start(served, job_id, sha256=digest, reason="go").json()
    assert (job["id"], job["state"], job["source"]["sha256"], job["reason"]) == (job_id, "RUNNING", digest, "go")
    assert (job["source"]["name"], job["source"]["lines"], files(folder)) == ("people.csv", 4, {"people.csv": FILE})
    again = start(served, job_id)
    assert (again.status_code, again.json()["id"]) == (200, job_id)
    assert append(served, job_id, 0, b"x").status_code == client.get(f"/v1/jobs/{job_id}/file").status_code == 409


@pytest.mark.parametrize("kind", ["gzip", "zip", "cp1252"])
def test_what_is_not_plain_is_made_so_at_the_start(served: Served, kind: str) -> None:
    options = {"encoding": "cp1252"} if kind == "cp1252" else {}
    sent = FILE
    if kind == "gzip":
        sent = gzip.compress(FILE)
    elif kind == "zip":
        packed = BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("a.csv", FILE)
        sent = packed.getvalue()
    job_id = draft(served, "people.bin", options=options)
    for at in range(0, len(sent), 40):
        assert append(served, job_id, at, sent[at : at + 40]).status_code == 204
    source = start(served, job_id, sha256=hashlib.sha256(sent).hexdigest()).json()["source"]
    assert (source["bytes"], source["format"]["stored_bytes"]) == (len(sent), len(FILE))
    assert list(files(served[2]).values()) == [FILE]


def test_a_file_that_another_request_is_at_is_told_as_such(served: Served) -> None:
    job_id = draft(served)
    append(served, job_id, 0, FILE)
    with DraftFile(served[2], job_id, None, 10**6).locked():
        for refused in (append(served, job_id, len(FILE), b"x"), start(served, job_id)):
            assert (refused.status_code, refused.json()["error"]["details"]) == (409, {"reason": "FILE_BUSY"})
    assert start(served, job_id).json()["state"] == "RUNNING"


@pytest.mark.parametrize("first_is", ["refused", "accepted"])
def test_two_starts_at_once_leave_the_file_to_the_job(served: Served, first_is: str) -> None:
    """The second comes while the command of the first is on its way, and the file has its final name already."""
    client, log, folder = served
    blocking = make_job(client, PEOPLE + ROW).json()["id"] if first_is == "refused" else None
    job_id = draft(served)
    append(served, job_id, 0, FILE)
    part, final = (folder / "sources" / job_id / name for name in (".draft", "people.csv"))
    answers: list[Any] = []
    appended = log.append

    async def append_slowly(command: Any) -> int:
        if isinstance(command, StartDraft) and not answers:
            assert final.exists() and not part.exists()
            answers.append(await asyncio.to_thread(start, served, job_id))
        return await appended(command)

    log.append = append_slowly  # type: ignore[method-assign]
    first = start(served, job_id)
    (second,) = answers
    assert (second.status_code, second.json()["error"]["details"]) == (409, {"reason": "FILE_BUSY"})
    if blocking is not None:
        assert first.status_code == 409 and part.read_bytes() == FILE and not final.exists()
        log.report(WorkFailed(job_id=blocking, reason="the disk is full"))
        first = start(served, job_id)
    assert first.json()["state"] == "RUNNING" and final.read_bytes() == FILE and not part.exists()


def test_a_part_is_removed_once_the_job_has_its_file_alone(tmp_path: Path) -> None:
    mark(tmp_path)
    file = DraftFile(tmp_path, "j", "people.csv.gz", 10**6)
    file.path.parent.mkdir(parents=True)
    file.path.write_bytes(FILE)
    for stored in (None, "sources/j/people.csv"):
        file.replaced_by(stored)
        assert file.path.read_bytes() == FILE
    (file.path.parent / "people.csv").write_bytes(FILE)
    file.replaced_by("sources/j/people.csv")
    assert not file.path.exists()


def test_a_start_that_was_not_answered_is_locked_as_well(tmp_path: Path) -> None:
    mark(tmp_path)
    file = DraftFile(tmp_path, "j", "people.csv", 10**6)
    file.path.parent.mkdir(parents=True)
    file._final.write_bytes(FILE)
    with file.locked() as path, pytest.raises(ApiError) as refused, file.locked():
        pass
    assert path == file._final and refused.value.details == {"reason": "FILE_BUSY"} and not file.path.exists()
    with file.locked(), file.named():
        pass
    assert file._final.read_bytes() == FILE


def test_a_start_that_comes_again_is_of_the_same_file(served: Served) -> None:
    job_id = draft(served)
    packed = gzip.compress(FILE)
    append(served, job_id, 0, packed)
    sent = hashlib.sha256(packed).hexdigest()
    assert start(served, job_id).json()["source"]["sha256"] == sent
    for sha256, code in ((None, 200), (sent, 200), ("0" * 64, 409)):
        answer = start(served, job_id, **({} if sha256 is None else {"sha256": sha256}))
        assert answer.status_code == code, answer.text
    assert "has its file already" in message(answer)


@pytest.mark.parametrize("what", ["dataset", "operation"])
def test_a_draft_whose_dataset_or_operation_was_removed_is_refused(served: Served, what: str) -> None:
    job_id = draft(served)
    append(served, job_id, 0, FILE)
    parts: Any = served[0].app.state.services  # type: ignore[attr-defined]
    known = {"dataset": "datasets", "operation": "operations"}[what]
    parts.catalog = replace(parts.catalog, **{known: {}})
    for refused in (append(served, job_id, len(FILE), b"x"), start(served, job_id)):
        assert (refused.status_code, f"the {what} " in message(refused)) == (409, True), refused.text


def test_a_wrong_header_is_refused_early_and_at_the_start(served: Served) -> None:
    job_id = draft(served)
    early = append(served, job_id, 0, b"team,manager\n" + b"a,b\n" * 100_000)
    assert (early.status_code, "missing" in message(early)) == (400, True)
    assert start(served, job_id).status_code == 400
    assert served[0].get(f"/v1/jobs/{job_id}").json()["state"] == "DRAFT"


def test_a_draft_that_may_not_start_yet_can_later(served: Served) -> None:
    running = make_job(served[0], PEOPLE + ROW).json()["id"]
    job_id = draft(served)
    append(served, job_id, 0, FILE)
    refused = start(served, job_id)
    assert (refused.status_code, refused.json()["error"]["details"]["job_id"]) == (409, running)
    assert ".draft" in files(served[2])
    served[1].report(WorkFailed(job_id=running, reason="the disk is full"))
    assert start(served, job_id).json()["state"] == "RUNNING"


def test_a_draft_that_is_terminated_leaves_no_file(served: Served) -> None:
    job_id = draft(served)
    append(served, job_id, 0, FILE)
    assert served[0].post(f"/v1/jobs/{job_id}/terminate", json={}).json()["state"] == "ROLLED_BACK"
    assert files(served[2]) == {}


def test_a_draft_ends_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app, log = stub(tmp_path, draft_hours=1e-9)
    with TestClient(app, raise_server_exceptions=False) as client:
        served = client, log, tmp_path / "storage"
        job_id = draft(served)
        assert "waited for its file for too long" in message(append(served, job_id, 0, FILE))
        (tmp_path / "storage" / "sources" / job_id).mkdir(parents=True)
        (tmp_path / "storage" / "sources" / job_id / ".draft").write_bytes(FILE)
        assert client.portal is not None
        client.portal.call(end_expired, app.state.services)
        job: Job = log.live.view.jobs[job_id]
        assert (job.state, job.created_by) == ("ROLLED_BACK", "admin")
        assert "did not come within" in (job.reason or "")
        client.portal.call(asyncio.sleep, 0)
        client.portal.call(end_expired, app.state.services)
        assert files(served[2]) == {}


def test_the_file_of_a_draft_that_is_not_known_yet_is_kept_for_a_while(served: Served) -> None:
    client, _, storage = served
    parts: Any = client.app.state.services  # type: ignore[attr-defined]
    folder = storage / "sources" / "made-by-another-process"
    folder.mkdir(parents=True)
    file = folder / ".draft"
    file.write_bytes(FILE)
    assert client.portal is not None
    client.portal.call(end_expired, parts)
    assert file.exists(), "its job may come from Kafka in a moment"
    long_ago = time.time() - parts.settings.draft_hours * 3600 - 90_000
    os.utime(file, (long_ago, long_ago))
    client.portal.call(end_expired, parts)
    assert not file.exists() and not folder.exists()


@pytest.mark.parametrize("jobs", [5, 500])
def test_a_round_looks_at_drafts_that_have_ended_and_not_at_the_files_of_all_jobs(
    served: Served, monkeypatch: pytest.MonkeyPatch, jobs: int
) -> None:
    client, _, storage = served
    parts: Any = client.app.state.services  # type: ignore[attr-defined]
    assert client.portal is not None
    ended, waiting = draft(served, "second.csv"), draft(served)
    append(served, waiting, 0, FILE)
    before = client.portal.call(end_expired, parts)
    assert before == {ended, waiting}
    client.post(f"/v1/jobs/{ended}/terminate", json={})
    for name in (ended, *(f"ended{number}" for number in range(jobs))):
        folder = storage / "sources" / name
        folder.mkdir(exist_ok=True)
        (folder / (".draft" if name == ended else "a.csv")).write_bytes(FILE)
    calls: list[str] = []

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any = ".", *more: Any, **named: Any) -> Any:
            if str(storage / "sources") in str(path):
                calls.append(str(path))
            return real(path, *more, **named)

        return call

    for name in ("stat", "scandir", "listdir"):
        monkeypatch.setattr(os, name, counted(getattr(os, name)))
    assert client.portal.call(end_expired, parts, before) == {waiting}
    assert len(calls) <= 2
    assert not (storage / "sources" / ended).exists() and (storage / "sources" / waiting / ".draft").exists()


def test_all_folders_are_looked_at_each_hour_and_after_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[set[str] | None] = []

    async def round_of(_: Any, before: set[str] | None) -> set[str] | None:
        seen.append(before)
        if len(seen) == 3:
            raise OSError("no")
        if len(seen) == 30:
            raise asyncio.CancelledError
        return {str(len(seen))}

    monkeypatch.setattr(drafts, "end_expired", round_of)
    monkeypatch.setattr(drafts, "_EXPIRY_SECONDS", 0)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(drafts.end_drafts(None))  # type: ignore[arg-type]
    assert [number for number, before in enumerate(seen) if before is None] == [0, 3, 12, 24]
    assert seen[1:3] == [{"1"}, {"2"}]


@pytest.mark.parametrize("offset", ["", "x", "-1", "9" * 30])
def test_an_offset_is_a_number(served: Served, offset: str) -> None:
    refused = append(served, draft(served), offset, b"x")
    assert (refused.status_code, "Upload-Offset" in message(refused)) == (400, True)


def test_what_is_no_draft(served: Served) -> None:
    client = served[0]
    for body, words in (
        ({"source": {"upload": "a.csv", "url": "s3://b/c"}}, "names one thing"),
        ({"source": "upload", "file": "/x"}, "from one place"),
        ({"source": "upload", "operation": "export", "from": "2026-01-01"}, "takes its rows from the dataset"),
    ):
        answer = client.post("/v1/jobs", json={"operation": "upload", "dataset": "people", **body})
        assert (answer.status_code, words in answer.text) == (400, True), answer.text
    nameless = client.post("/v1/jobs", json={"operation": "upload", "dataset": "people", "source": "upload"}).json()
    assert (nameless["state"], nameless["source"]["name"]) == ("DRAFT", None)
    assert start(served, nameless["id"], options={"dry_run": True}).status_code == 400
    page = client.get(f"/jobs/{nameless['id']}").text
    assert "It waits for its file" in page and "Start the job" in page and "Terminate" in page
