"""What the routes answer, over the stub."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from starlette.testclient import TestClient

from api.readmodel import command_log as command_module
from api.readmodel.seen import JobSeen
from control.creation.repeats import request_digest
from runtime.clock import now_ms
from runtime.files.shared_folder import MARKER
from runtime.text.formatting import iso_time
from schemas.job import Input, LaneTotals, RestedLane, State
from schemas.messages.commands import CreateJob, FileFinished, InputAdvanced, InputEnded, LanesDone, LanesRested
from tests.support.api.stub import CATALOG, PEOPLE, ROW, StubLog, make_job, stub


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[TestClient, StubLog]]:
    app, log = stub(tmp_path)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client, log


Served = tuple[TestClient, StubLog]


def files(tmp_path: Path) -> list[str]:
    found = (path for path in tmp_path.rglob("*") if path.is_file() and path.name != MARKER)
    return sorted(str(path.relative_to(tmp_path)) for path in found)


def test_a_new_job_is_described_in_full(served: Served, tmp_path: Path) -> None:
    client, log = served
    body = PEOPLE + ROW * 3
    answer = make_job(client, body, organisation="acme", options={"max_errors": "5%"})
    assert answer.status_code == 201
    job = answer.json()
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}"
    assert (job["state"], job["organisation"], job["created_by"]) == ("RUNNING", "acme", "admin")
    assert job["progress"]["rows_total"] == 3
    assert job["source"] == {
        "kind": "file",
        "name": "people.csv",
        "bytes": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
        "url": None,
        "lines": 4,
        "columns": None,
        "format": None,
    }
    path = log.sent[0].source.path  # type: ignore[union-attr]
    assert (tmp_path / "storage" / str(path)).read_bytes() == body
    assert client.get(f"/v1/jobs/{job['id']}").json()["id"] == job["id"]
    assert client.get("/v1/jobs").json()["jobs"][0]["id"] == job["id"]


@pytest.mark.parametrize(
    ("job", "words"),
    [
        ({"operation": "fly"}, "use one of export, teams, upload"),
        ({"operation": "export"}, "takes its rows from the dataset (query), not from a file"),
        ({"source": "topic"}, "from one place"),
        ({"file": "/a.csv"}, "leave out the others"),
        ({"operation": "export", "from": "2026-01-01"}, "send no file"),
        ({"operation": "export", "from": "2026-01-01", "file": "/a.csv"}, "leave out file"),
        ({"from": "2026-01-01"}, "belong to operation export"),
        ({"dataset": "cats"}, f"use one of {', '.join(CATALOG.datasets)}"),
        ({"dataset": None}, "dataset is missing"),
        ({"organisation": "a b"}, "1 to 64 letters"),
        ({"options": {"max_errors": -1}}, "a number from 0 to"),
        ({"options": {"max_errors": "five"}}, "a percentage such as '5%'"),
        ({"options": {"rows_per_second": 0}}, "a number from 0.001 to 1,000,000,000"),
        ({"options": {"if_busy": "maybe"}}, "if_busy"),
        ({"options": {"speed": 1}}, "unknown field `speed`"),
        ({"colour": "red"}, "fields: operation, dataset"),
        ({"colour": "red"}, "; source: job, url, upload, bytes; options: dry_run, max_errors"),
        ({"source": "moon"}, "send a file"),
        ({"source": "inbox"}, "send a file"),
        ({"operation": "teams"}, "is for dataset teams only"),
    ],
)
def test_a_wrong_job_is_refused_with_what_to_do(served: Served, tmp_path: Path, job: dict, words: str) -> None:  # type: ignore[type-arg]
    client, log = served
    answer = make_job(client, **job)
    error = answer.json()["error"]
    assert (answer.status_code, error["status"]) == (400, "INVALID_ARGUMENT")
    assert words in error["message"]
    assert (log.sent, files(tmp_path)) == ([], [])


def test_a_wrong_header_is_refused_and_the_file_is_gone(served: Served, tmp_path: Path) -> None:
    client, log = served
    answer = make_job(client, b"name;post\n" + b"x;y\n" * 100_000)
    assert answer.status_code == 400
    assert "missing: email" in answer.json()["error"]["message"]
    assert (log.sent, files(tmp_path)) == ([], [])


def test_a_refused_creation_leaves_no_file(served: Served, tmp_path: Path) -> None:
    client, _ = served
    first = make_job(client).json()["id"]
    answer = make_job(client)
    assert answer.status_code == 409
    assert answer.json()["error"]["details"]["job_id"] == first
    assert len(files(tmp_path)) == 1


def test_a_repeat_with_the_same_key_returns_the_first_job(served: Served, tmp_path: Path) -> None:
    client, log = served
    first, second = make_job(client, key="k"), make_job(client, key="k")
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["id"] == second.json()["id"]
    assert len(log.sent) == 1
    other = make_job(client, PEOPLE, key="k")
    assert other.status_code == 422
    assert "another file" in other.json()["error"]["message"]
    assert len(files(tmp_path)) == 1


@pytest.mark.parametrize("way", ["file", "inbox", "again"])
def test_a_repeat_returns_the_first_job_once_its_time_to_start_has_gone_by(served: Served, way: str) -> None:
    client, log = served
    other = make_job(client, key="other").json()["id"]

    def made(**more: Any) -> Any:
        if way == "file":
            return make_job(client, organisation="acme", key="nightly", **more)
        source = "topic" if way == "inbox" else {"job": other}
        body = {"operation": "upload", "dataset": "people", "organisation": "acme", "source": source, **more}
        return client.post("/v1/jobs", json=body, headers={"Idempotency-Key": "nightly"})

    first = made(start_at=iso_time(now_ms() + 3_600_000))
    assert (first.status_code, first.json()["state"]) == (201, "QUEUED"), first.text
    job, asked = log.live.view.jobs[first.json()["id"]], log.sent[-1]
    assert isinstance(asked, CreateJob)
    then = replace(asked, start_at=1_767_225_600_000)  # as if it had been asked for a while ago
    began = replace(job, request=request_digest(then), start_at=None, state=State.RUNNING)
    log.live.take([JobSeen(job.id, replace(began, command_offset=job.command_offset + 1))])
    again = made(start_at="2026-01-01T00:00:00Z")
    assert (again.status_code, again.json().get("id")) == (201, job.id), again.text
    assert made(start_at="2026-01-01T00:00:01Z").status_code == 422, "that is another request"


def test_a_repeat_while_the_first_is_under_way_waits_for_its_answer(served: Served, tmp_path: Path) -> None:
    client, log = served
    log.delay = 0.2
    answers: list[tuple[int, str]] = []

    def send() -> None:
        answer = make_job(client, key="k")
        answers.append((answer.status_code, answer.json()["id"]))

    threads = [threading.Thread(target=send) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(answers)) == 1
    assert answers[0][0] == 201
    assert (len(log.sent), len(files(tmp_path))) == (1, 1)


def test_without_kafka_nothing_is_taken(served: Served, tmp_path: Path) -> None:
    client, log = served
    log.up = False
    answer = make_job(client)
    assert (answer.status_code, answer.json()["error"]["status"]) == (503, "UNAVAILABLE")
    assert files(tmp_path) == []
    assert client.get("/readyz").status_code == 503


def test_without_a_control_agent_the_caller_learns_that_the_command_is_recorded(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, log = served
    log.agent = False
    monkeypatch.setattr(command_module.submit, "__defaults__", (0.05,))
    answer = make_job(client)
    error = answer.json()["error"]
    assert answer.status_code == 503
    assert "it is recorded and will take effect" in error["message"]
    assert error["details"]["command_offset"] == 0
    assert len(files(tmp_path)) == 1  # the reader will want it


def test_wait_ends_with_the_state_in_which_the_job_rests(served: Served) -> None:
    client, log = served
    job_id = make_job(client).json()["id"]
    waiting = client.post(f"/v1/jobs/{job_id}/pause?wait=0.05", json={"reason": "lunch"})
    assert waiting.status_code == 202
    assert waiting.json()["waiting_for"].startswith("partitions 0, 1 of 2")

    def rest(command: object) -> None:
        log.after = None
        job = log.live.view.jobs[job_id]
        lane = RestedLane(epoch=job.epoch, totals=LaneTotals(rows_applied=5, last_row=9), last_offset=7)
        log.report(LanesRested(job_id=job_id, run=job.run, epoch=job.epoch, lanes={0: lane, 1: lane}))

    log.after = rest
    paused = client.post(f"/v1/jobs/{job_id}/pause?wait=5", json={"reason": "lunch"})
    assert (paused.status_code, paused.json()["state"]) == (200, "PAUSED")
    assert [lane["last_offset"] for lane in paused.json()["lanes"]] == [7, 7]
    assert paused.json()["progress"]["rows_applied"] == 10
    resumed = client.post(f"/v1/jobs/{job_id}/resume?wait=5")
    assert (resumed.status_code, resumed.json()["state"]) == (200, "RUNNING")
    again = client.post(f"/v1/jobs/{job_id}/rollback")
    assert (again.status_code, again.json()["error"]["status"]) == (409, "FAILED_PRECONDITION")
    history = client.get(f"/v1/jobs/{job_id}/history").json()["history"]
    assert [entry["event"] or entry["command"] for entry in history] == [
        "Created", "Started", "PauseRequested", "Paused", "Resumed", "RollbackJob",
    ]  # fmt: skip


def test_the_rate_is_set_and_lifted(served: Served) -> None:
    client, _ = served
    path = f"/v1/jobs/{make_job(client).json()['id']}/rate"
    assert client.put(path, json={"rows_per_second": 5}).json()["options"]["rows_per_second"] == 5.0
    assert client.put(path, json={"rows_per_second": None}).json()["options"] == {"if_same": "allow"}
    assert client.put(path, json={"rows_per_second": -1}).status_code == 400
    assert client.put(path, json={}).status_code == 400


def test_files_of_the_server_are_taken_from_the_import_folders_only(tmp_path: Path) -> None:
    folder, outside = tmp_path / "in", tmp_path / "out.csv"
    folder.mkdir()
    (folder / "good.csv").write_bytes(PEOPLE + ROW)
    outside.write_bytes(PEOPLE)
    (folder / "link.csv").symlink_to(outside)
    app, log = stub(tmp_path / "home", import_folders=str(folder))
    with TestClient(app) as client:

        def code(name: str) -> int:
            body = {"operation": "upload", "dataset": "people", "file": name}
            return client.post("/v1/jobs", json=body).status_code

        assert code(str(folder / "good.csv")) == 201
        assert code(str(folder / "link.csv")) == 403
        assert code(str(folder / ".." / "out.csv")) == 403
        assert code(str(folder / "none.csv")) == 400
        assert code("good.csv") == 400
    assert log.sent[0].source.path == str(folder / "good.csv")  # type: ignore[union-attr]


def test_keys_and_hosts(served: Served, tmp_path: Path) -> None:
    client, _ = served
    for headers in ({"Authorization": "Bearer secret"}, {"Authorization": "ApiKey secret"}, {"X-API-Key": "secret"}):
        assert client.get("/v1/jobs", headers=headers).status_code == 200
    wrong = client.get("/v1/jobs", headers={b"X-API-Key": "wröng".encode()})
    assert (wrong.status_code, "WWW-Authenticate" in wrong.headers) == (401, True)
    assert client.get("/v1/jobs", headers={"Host": "evil.example"}).json()["error"]["code"] == 400
    assert client.get("/v1/jobs", headers={"Host": "[::1]:8080"}).status_code == 200
    foreign = client.post("/v1/jobs/x/pause", headers={"Origin": "http://evil.example"})
    assert foreign.status_code == 403
    app, _ = stub(tmp_path, api_require_key=True)
    with TestClient(app) as strict:
        assert strict.get("/v1/jobs").status_code == 401
        assert strict.get("/healthz").status_code == 200
        assert strict.get("/v1/jobs", headers={"X-API-Key": "secret"}).status_code == 200


def test_errors_have_one_shape(served: Served) -> None:
    client, log = served
    for method, path, code in (
        ("GET", "/nope", 404),
        ("GET", "/v1/jobs/none", 404),
        ("DELETE", "/v1/jobs", 405),
        ("GET", "/v1/jobs?state=ODD", 400),
        ("POST", "/v1/jobs", 400),
    ):
        answer = client.request(method, path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (code, code)
    log.live.view.jobs = None  # type: ignore[assignment]
    broken = client.get("/v1/jobs")
    assert (broken.status_code, broken.json()["error"]["status"]) == (500, "INTERNAL")
    assert "Traceback" not in broken.text
    assert broken.json()["error"]["details"]["id"] in broken.json()["error"]["message"]
    assert client.app.state.undeclared.pop() == "GET /v1/jobs: 500 is not declared"  # type: ignore[attr-defined]


def test_without_elasticsearch_reports_say_so_and_control_goes_on(served: Served) -> None:
    client, _ = served
    job_id = make_job(client).json()["id"]
    for path in ("errors", "errors.csv"):
        answer = client.get(f"/v1/jobs/{job_id}/{path}")
        assert (answer.status_code, answer.json()["error"]["status"]) == (503, "UNAVAILABLE")
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()["kafka"]) == (200, "ok")
    assert "does not answer" in ready.json()["elasticsearch"]


EXPORT = {"operation": "export", "dataset": "people", "from": "2026-01-01", "till": "2026-01-31"}


@pytest.mark.parametrize(
    ("job", "words"),
    [
        ({"from": None}, "from is missing"),
        ({"from": "1 January"}, "write it YYYY-MM-DD"),
        ({"from": "20260101"}, "write it YYYY-MM-DD"),
        ({"till": "2026-02-30"}, "till '2026-02-30' is not a day"),
        ({"from": "2026-02-01"}, "the wrong way round: from 2026-02-01 is after till 2026-01-31"),
        ({"dataset": "teams"}, "dataset teams has no date"),
        ({"source": "topic"}, "leave out file and source"),
        ({"options": {"dry_run": True}}, "belong to operations that write rows"),
    ],
)
def test_a_wrong_export_is_refused_with_what_to_do(served: Served, job: dict, words: str) -> None:  # type: ignore[type-arg]
    client, log = served
    answer = client.post("/v1/jobs", json={**EXPORT, **job})
    assert (answer.status_code, log.sent) == (400, [])
    assert words in answer.json()["error"]["message"]


def test_an_export_knows_its_rows_from_the_start_and_has_a_result_once_it_is_completed(
    served: Served, tmp_path: Path
) -> None:
    client, log = served
    job_id = client.post("/v1/jobs", json={**EXPORT, "options": {"raw": True}}).json()["id"]
    result = f"/v1/jobs/{job_id}/result"
    log.report(InputAdvanced(job_id=job_id, input=Input(frozen="a point in time", rows_total=4)))
    job = client.get(f"/v1/jobs/{job_id}").json()
    assert (job["progress"]["rows_total"], job["progress"]["percent"]) == (4, 0.0)
    assert (job["date_from"], job["date_till"], job["options"]["raw"]) == ("2026-01-01", "2026-01-31", True)
    early = client.get(result)
    assert early.status_code == 409
    assert "once it is COMPLETED" in early.json()["error"]["message"]
    ended = Input(blocks=1, rows=4, ended=True, blocks_per_partition=(1, 0), frozen="a point in time", rows_total=4)
    log.report(InputEnded(job_id=job_id, input=ended))
    log.report(LanesDone(job_id=job_id, lanes={0: LaneTotals(rows_applied=4, blocks=1, last_row=4)}))
    assert client.get(result).status_code == 409, "it is being put together"
    epoch = log.live.view.jobs[job_id].epoch
    log.report(FileFinished(job_id=job_id, epoch=epoch))
    assert client.get(result).status_code == 404, "someone has taken it out of storage"
    folder = tmp_path / "storage" / "results"
    folder.mkdir()
    (folder / f"{job_id}.csv").write_bytes(b"0123456789")
    whole = client.get(result)
    assert (whole.status_code, whole.content, whole.headers["accept-ranges"]) == (200, b"0123456789", "bytes")
    assert f'filename="{job_id}.csv"' in whole.headers["content-disposition"]
    head = client.head(result)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "10")
    etag = whole.headers["etag"]
    assert client.get(result, headers={"If-None-Match": etag}).status_code == 304
    first, last = (("0-0", b"0"), ("0-3", b"0123"), ("0-", b"0123456789")), (("7-", b"789"), ("-2", b"89"))
    for asked, content in (*first, ("2-4", b"234"), ("0-99", b"0123456789"), ("1-" + "9" * 18, b"123456789"), *last):
        part = client.get(result, headers={"Range": f"bytes={asked}", "If-Range": etag})
        assert (part.status_code, part.content) == (206, content)
        assert part.headers["content-range"].endswith("/10")
    for ignored in ("bytes=0-1,4-5", "rows=1-2", "bytes=-", "bytes=4-2", f"bytes=0-{'9' * 6000}"):
        assert client.get(result, headers={"Range": ignored}).content == b"0123456789"
    assert client.get(result, headers={"Range": "bytes=2-4", "If-Range": '"old"'}).status_code == 200
    beyond = client.get(result, headers={"Range": "bytes=10-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, "bytes */10")
    client.post(f"/v1/jobs/{job_id}/rollback")
    gone = client.get(result)
    assert gone.status_code == 404
    assert "its file is not there any more" in gone.json()["error"]["message"]


def test_an_upload_has_no_result(served: Served) -> None:
    client, _ = served
    job_id = make_job(client).json()["id"]
    answer = client.get(f"/v1/jobs/{job_id}/result")
    assert (answer.status_code, "only exports have one" in answer.text) == (404, True)


def test_watch_ends_with_the_ended_state(served: Served) -> None:
    client, log = served
    job_id = make_job(client).json()["id"]

    def rest(command: object) -> None:
        log.after = None
        job = log.live.view.jobs[job_id]
        lanes = {number: RestedLane(epoch=job.epoch, totals=LaneTotals()) for number in (0, 1)}
        log.report(LanesRested(job_id=job_id, run=job.run, epoch=job.epoch, lanes=lanes))

    log.after = rest
    client.post(f"/v1/jobs/{job_id}/terminate?wait=5", json={"keep_rows": True})
    watched = client.get(f"/v1/jobs/{job_id}/watch", headers={"Last-Event-ID": "77"})
    assert watched.headers["content-type"].startswith("text/event-stream")
    assert "event: state" in watched.text
    assert '"state":"TERMINATED"' in watched.text
    seen = re.findall("^id: (.+)$", watched.text, re.MULTILINE)[-1]
    again = client.get(f"/v1/jobs/{job_id}/watch", headers={"Last-Event-ID": seen})
    assert ("event: state" in again.text, "event: progress" in again.text) == (False, True), "it has been seen"


FOREIGN = ("testserver", "testclient", "test", "example.org", "localhost.example.org", "", "127.0.0.2", "0.0.0.0")


@pytest.mark.parametrize("path", ["/v1/jobs", "/", "/healthz"])
def test_without_keys_the_api_is_called_by_its_own_hosts_alone(tmp_path: Path, path: str) -> None:
    """Another name may be one of a web page that leads to this machine; no name is let in because tests use it."""
    app, _ = stub(tmp_path, api_host="sluice.internal")
    with TestClient(app) as client:
        for host in FOREIGN:
            for port in ("", ":8080"):
                answer = client.get(path, headers={"Host": f"{host}{port}"})
                assert (answer.status_code, "Host is not known" in answer.text) == (400, True), host
        for host in ("localhost", "127.0.0.1:8080", "[::1]:8080", "sluice.internal", "SLUICE.internal:80"):
            assert client.get(path, headers={"Host": host}).status_code == 200, host


def test_pages_and_metrics(served: Served) -> None:
    client, _ = served
    make_job(client)
    assert "There are no jobs yet" not in client.get("/").text
    assert 'sluice_jobs{state="RUNNING"} 1.0' in client.get("/metrics").text
    assert client.get("/v1/stats").json()["states"]["RUNNING"] == 1
    assert [item["name"] for item in client.get("/v1/datasets").json()["datasets"]] == list(CATALOG.datasets)
