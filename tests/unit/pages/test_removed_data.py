"""What was removed of a job is answered with 404 and why, wherever it is asked for; what stays can be read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from msgspec.structs import replace
from starlette.testclient import TestClient

from api.readmodel.seen import JobSeen
from api.routes.answers import JOB
from api.routes.rest import ENDPOINTS
from schemas.job import Job, Options, Source, State
from schemas.policies.retention import StoreName
from tests.support.api.pages import HTMX, Served, some_job
from tests.support.api.stub import stub

AT = 1_790_000_100_000
TRIED = some_job(
    State.COMPLETED, dataset="teams", mode="upsert", options=Options(dry_run=True), started_at=AT, ended_at=AT
)
ROLLED_BACK = some_job(State.ROLLED_BACK, dataset="teams", mode="upsert", phase="undo", started_at=AT, ended_at=AT)
EXPORTED = some_job(
    State.COMPLETED, operation="export", source=Source(kind="query"), started_at=AT, ended_at=AT, date_from="2026-01-01"
)
STORES: dict[str, tuple[StoreName, Job]] = {
    "errors": ("row_errors", ROLLED_BACK),
    "errors.csv": ("row_errors", ROLLED_BACK),
    "errors/groups": ("row_errors", ROLLED_BACK),
    "preview": ("previews", TRIED),
    "changes": ("changes", TRIED),
    "changes.csv": ("changes", TRIED),
    "undone": ("undone", ROLLED_BACK),
    "undone.csv": ("undone", ROLLED_BACK),
    "result": ("results", EXPORTED),
}
"""Path of a job's -> where what it answers with is kept, and a job that has it."""
STAYS = {"", "history", "series", "report", "watch", "file"}
"""Paths of a job whose answers hold no values of rows, or leave them out."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    app, log = stub(tmp_path_factory.mktemp("removed"))
    with TestClient(app) as client:
        yield client, log


def put(served: Served, job: Job) -> None:
    served[1].live.take([JobSeen(job.id, None), JobSeen(job.id, job)])


def test_each_path_of_a_job_is_known_to_this_test() -> None:
    read = {
        endpoint.path.removeprefix(JOB).strip("/")
        for endpoint in ENDPOINTS
        if endpoint.method == "GET" and endpoint.path.startswith(JOB)
    }
    assert read <= {*STORES, *STAYS}, "does the new path answer with what a purge removes?"
    assert set(STORES) <= read


@pytest.mark.parametrize("path", STORES)
def test_what_was_removed_is_answered_with_404(served: Served, path: str) -> None:
    client, _ = served
    store, job = STORES[path]
    for removed, words in (
        (replace(job, purging=True), "were removed, by a purge"),
        (replace(job, purged_at=AT), "by a purge"),
        (replace(job, expired={store: AT}), "as its retention was over"),
    ):
        put(served, removed)
        answer = client.get(f"/v1/jobs/{job.id}/{path}")
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/json"), answer.text
        assert words in answer.json()["error"]["message"] and answer.json()["error"]["details"] == {"store": store}


def test_a_report_leaves_out_row_errors_that_were_removed(served: Served) -> None:
    client, _ = served
    put(served, replace(ROLLED_BACK, purged_at=AT))
    answer = client.get(f"/v1/jobs/{ROLLED_BACK.id}/report")
    assert (answer.status_code, answer.json()["errors"]) == (200, None), answer.text


@pytest.mark.parametrize(
    ("part", "job"), [("errors", ROLLED_BACK), ("undone", ROLLED_BACK), ("preview", TRIED)], ids=str
)
def test_the_page_says_what_was_removed_and_does_not_ask_again(served: Served, part: str, job: Job) -> None:
    client, _ = served
    put(served, replace(job, purged_at=AT))
    answer = client.get(f"/jobs/{job.id}/{part}", headers=HTMX)
    assert answer.status_code == 200 and "by a purge" in answer.text, answer.text
    assert "every 3s" not in answer.text
