"""One command for many jobs: over REST and on the page, over the stub."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.readmodel.seen import JobSeen
from schemas.job import LaneTotals, State
from schemas.messages.commands import PauseJob
from schemas.messages.events import JobEvent
from tests.support.api.pages import OWN, Served, some_job, text_of
from tests.support.api.stub import complete, make_job, rest, stub


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    app, log = stub(tmp_path)
    with TestClient(app, raise_server_exceptions=False, follow_redirects=False) as client:
        yield client, log


def made(client: TestClient, *organisations: str, **job: Any) -> list[str]:
    return [make_job(client, organisation=name, **job).json()["id"] for name in organisations]


def act(client: TestClient, **asked: Any) -> Any:
    return client.post("/v1/jobs/actions", json=asked)


def states(client: TestClient) -> dict[str, str]:
    return {job["id"]: job["state"] for job in client.get("/v1/jobs").json()["jobs"]}


def test_an_emergency_stop_pauses_every_job_at_work_and_says_what_is_under_way(served: Served) -> None:
    client, log = served
    running, ended = made(client, "a", "b", "c"), made(client, "d")
    complete(log, ended[0])
    queued = made(client, "a", options={"if_busy": "queue"})
    answer = act(client, action="pause", all=True, reason="stop")
    assert answer.status_code == 202, answer.text
    body = answer.json()
    assert (body["jobs"], body["under_way"], body["done"], body["refused"], body["left"]) == (3, 3, 0, 0, 1)
    assert {item["id"] for item in body["outcomes"] if item["outcome"] == "under_way"} == set(running)
    assert all("partitions 0, 1" in item["message"] for item in body["outcomes"] if item["outcome"] == "under_way")
    assert states(client) == {**dict.fromkeys(running, "PAUSING"), ended[0]: "COMPLETED", queued[0]: "QUEUED"}
    asked = [record for record in log.history if isinstance(record, JobEvent) and record.event == "PauseRequested"]
    assert {(record.job_id, record.by, record.reason) for record in asked} == {
        (job_id, "admin", "stop") for job_id in running
    }
    again = act(client, action="pause", all=True).json()
    assert again["under_way"] == 3, "what is on its way already is named again, and asked for once"
    assert sum(isinstance(command, PauseJob) for command in log.sent) == 3


def test_a_job_that_starts_meanwhile_is_stopped_as_well(served: Served) -> None:
    client, log = served
    first, second = made(client, "a", "b")
    late: list[str] = []

    def start_another(command: Any) -> None:
        if isinstance(command, PauseJob) and not late:
            late.append("begun")
            job = log.live.view.jobs[first]
            log.report(_twin(job.id, log))

    log.after = start_another
    act(client, action="pause", all=True)
    assert set(states(client).values()) == {"PAUSING"}
    assert len(states(client)) == 3, [first, second]


def _twin(job_id: str, log: Any) -> Any:
    from schemas.messages.commands import CreateJob

    job = log.live.view.jobs[job_id]
    return CreateJob(
        job_id="late-one", by="me", operation="upload", dataset="people", organisation="late", source=job.source
    )


def test_a_filter_means_the_jobs_that_fit_and_names_mean_themselves(served: Served) -> None:
    client, log = served
    a, b, c = made(client, "a", "b", "c")
    by_filter = act(client, action="pause", filter={"organisation": ["a", "b"], "state": ["RUNNING"]}).json()
    assert {item["id"] for item in by_filter["outcomes"]} == {a, b}
    for job_id in (a, b):
        rest(log, job_id)
    named = act(client, action="resume", jobs=[a, c, "nobodys"]).json()
    assert {item["id"]: item["outcome"] for item in named["outcomes"]} == {a: "done", c: "done", "nobodys": "refused"}
    assert states(client) == {a: "RUNNING", b: "PAUSED", c: "RUNNING"}


def test_a_filter_means_jobs_whose_documents_were_kept_where_a_rollback_is_forced(served: Served) -> None:
    client, log = served
    kept = some_job(State.ROLLED_BACK, mode="upsert", phase="undo", undone=LaneTotals(rows_kept=3), ended_at=1)
    log.live.take([JobSeen(kept.id, kept)])
    asked = {"action": "rollback", "filter": {"organisation": [kept.organisation]}, "preview": True}
    assert act(client, **asked).json()["jobs"] == 0
    assert act(client, **asked, force=True).json()["jobs"] == 1


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, "say which jobs"),
        ({"all": True, "jobs": ["j"]}, "say which jobs"),
        ({"filter": {}}, "the filter is empty"),
        ({"filter": {"state": ["ODD"]}}, "state 'ODD' is not known"),
        ({"all": True, "keep_rows": True}, "keep_rows belongs to terminate"),
        ({"jobs": ["A B"]}, "a job id"),
    ],
)
def test_a_request_that_does_not_say_which_jobs_is_refused(served: Served, asked: Any, words: str) -> None:
    client, _log = served
    made(client, "a")
    answer = act(client, action="pause", **asked)
    assert answer.status_code == 400
    assert words in answer.json()["error"]["message"]
    assert set(states(client).values()) == {"RUNNING"}


def test_a_preview_changes_nothing_and_tells_the_rows(served: Served) -> None:
    client, log = served
    job_id = made(client, "a")[0]
    complete(log, job_id, failed=1)
    found = act(client, action="rollback", all=True, preview=True).json()
    assert (found["jobs"], found["rows_applied"]) == (1, 3)
    assert states(client) == {job_id: "COMPLETED_WITH_ERRORS"}


def test_the_page_asks_before_it_acts_and_shows_what_came_of_it(served: Served) -> None:
    client, log = served
    a, b = made(client, "a", "b")
    assert f'value="{a}"' in client.get("/").text
    fields = {"which": "ticked", "job": [a], "action": "terminate"}
    asked = client.post("/jobs/actions", data=fields, headers=OWN)
    assert "Terminate 1 job?" in text_of(asked.text)
    assert states(client) == {a: "RUNNING", b: "RUNNING"}
    done = client.post(
        "/jobs/actions", data={**fields, "sure": "yes", "reason": "wrong file", "rows": "keep"}, headers=OWN
    )
    assert "Under way 1" in text_of(done.text)
    assert states(client) == {a: "TERMINATING", b: "RUNNING"}
    assert log.live.view.jobs[a].reason == "wrong file"
    assert log.live.view.jobs[a].keep_rows
    assert "Pause 1 job?" in text_of(client.get("/stop").text)
    nothing = client.post("/jobs/actions", data={"which": "ticked", "action": "pause"}, headers=OWN)
    assert (nothing.status_code, "no job is ticked" in text_of(nothing.text)) == (400, True)
