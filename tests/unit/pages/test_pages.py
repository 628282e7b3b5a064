"""The operator's page, over the stub: what it shows, what it offers, whom it serves."""

from __future__ import annotations

import html
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.models.jobs import HistoryEntry
from api.pages.access.signing import own_path
from api.pages.available_actions import ALL, available_actions
from api.pages.files import StaticOfPage
from api.pages.words import happened, sentence, state_name, tone
from control.moves import allowed_states
from runtime.files.shared_folder import MARKER
from schemas.job import Options, Source, State
from schemas.messages.commands import (
    PauseJob,
    ResumeJob,
    RetryErrors,
    RollbackJob,
    SetRate,
    TerminateJob,
)
from tests.support.api.pages import HTMX, OWN, Served, send_file, some_job, text_of
from tests.support.api.stub import CATALOG, PEOPLE, ROW, complete, make_job, rest, stub


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    app, log = stub(tmp_path)
    with TestClient(app, raise_server_exceptions=False, follow_redirects=False) as client:
        yield client, log


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Served]:
    """Where a key is needed."""
    app, log = stub(tmp_path, api_require_key=True)
    with TestClient(app, raise_server_exceptions=False, follow_redirects=False) as client:
        yield client, log


# -- what it offers --------------------------------------------------------------------------------------------------

COMMANDS = {
    "pause": PauseJob,
    "resume": ResumeJob,
    "terminate": TerminateJob,
    "rollback": RollbackJob,
    "rate": SetRate,
    "retry-errors": RetryErrors,
}


@pytest.mark.parametrize("state", State)
def test_a_command_is_offered_exactly_where_it_moves_the_job_on(state: State) -> None:
    offered = available_actions(some_job(state), CATALOG)
    assert {name for name, command in COMMANDS.items() if state in allowed_states(command)} == offered & set(COMMANDS)
    assert ("start" in offered) == (state is State.DRAFT)
    assert ("keep-rows" in offered) == ("terminate" in offered)


@pytest.mark.parametrize("state", State)
def test_dry_runs_are_started_and_exports_have_a_result(state: State) -> None:
    tried = available_actions(some_job(state, options=Options(dry_run=True)), CATALOG)
    assert ("start" in tried) == (state in (State.DRAFT, State.COMPLETED, State.COMPLETED_WITH_ERRORS))
    assert not {"rollback", "retry-errors"} & tried
    export = available_actions(some_job(state, operation="export", source=Source(kind="query")), CATALOG)
    assert ("result" in export) == (state is State.COMPLETED)
    assert "keep-rows" not in export


def test_a_rollback_that_is_about_to_pause_offers_nothing() -> None:
    assert (
        available_actions(some_job(State.ROLLING_BACK, phase="undo", halting=True), CATALOG) & {"pause", "resume"}
        == frozenset()
    )


@pytest.mark.parametrize("stopped", [{"budget": "spent"}, {"inspection": "suspicious"}])
@pytest.mark.parametrize("state", [State.PAUSING, State.PAUSED])
def test_a_time_is_offered_for_a_paused_job_unless_it_has_paused_itself(state: State, stopped: dict[str, Any]) -> None:
    assert "timer" in available_actions(some_job(state), CATALOG)
    assert "timer" not in available_actions(some_job(state, **stopped), CATALOG)
    assert "timer" in available_actions(some_job(State.ROLLBACK_PAUSED, phase="undo", **stopped), CATALOG)


@pytest.mark.parametrize("state", State)
def test_every_state_has_words_and_a_page(served: Served, state: State) -> None:
    client, log = served
    job = some_job(state, reason="<b>because</b>")
    log.live.view.jobs[job.id] = job
    page = client.get("/jobs/j1")
    assert page.status_code == 200
    assert state_name(state) in page.text
    assert tone(state) in page.text
    said = text_of(page.text)
    assert "<b>because</b>" in said
    for name in ALL:
        offered = available_actions(job, CATALOG)
        # A job that is paused may be given another time to go on, which is a pause as well.
        wanted = name in offered or (name == "pause" and "timer" in offered)
        assert (f'action="/jobs/j1/{name}"' in page.text) == wanted


def test_the_history_is_told_without_what_only_programs_need() -> None:
    totals = {"rows_applied": 12_000, "rows_failed": 0, "blocks": 24, "last_row": 12_000}
    done = HistoryEntry(type="event", command_offset=1, at="", event="Completed", details={"totals": totals})
    assert happened(done) == "Completed (rows applied: 12,000)"
    asked = {"keep_rows": True, "budget_spent": False, "lanes": [1]}
    stopped = HistoryEntry(type="event", command_offset=1, at="", event="TerminationRequested", details=asked)
    assert happened(stopped) == "Termination requested (keep rows)"
    refused = HistoryEntry(type="rejected", command_offset=1, at="", command="RollbackJob", message="no")
    assert happened(refused) == "Rollback job was refused: no"


def test_what_is_waited_for_is_said() -> None:
    from api.jobs.reading.job_view import job_view
    from api.readmodel.job_index import JobIndex

    job = some_job(State.PAUSING)
    assert "partitions 0, 1 of 2" in sentence(job, job_view(job, JobIndex(), 0))


# -- the way of a job through it -------------------------------------------------------------------------------------


def test_an_upload_is_started_paused_resumed_and_terminated(served: Served) -> None:
    client, log = served
    answer = send_file(client, PEOPLE + ROW * 4, max_errors="5%", rows_per_second="100", reason="the baseline")
    assert answer.status_code == 204, answer.text
    path = answer.headers["hx-redirect"]
    job_id = path.removeprefix("/jobs/")
    created = log.sent[0]
    assert (created.by, created.reason, created.organisation) == ("admin", "the baseline", "acme")  # type: ignore[union-attr]
    assert created.options == Options(max_errors="5%", rows_per_second=100.0)  # type: ignore[union-attr]

    paused = client.post(f"{path}/pause", data={"reason": "is it <right>?"}, headers=HTMX)
    assert paused.status_code == 200
    assert paused.headers["hx-retarget"] == "#live"
    assert "Pausing" in text_of(paused.text)
    assert "is it &lt;right&gt;?" in paused.text
    rest(log, job_id)
    live = client.get(f"{path}/live?seen=old", headers=HTMX)
    assert "Paused" in text_of(live.text)
    assert f'action="{path}/resume"' in live.text
    assert live.headers["hx-trigger-after-settle"] == "job-changed"
    seen = re.search(r"seen=([^&\"]+)", live.text)
    assert seen is not None
    same = client.get(f"{path}/live?seen={html.unescape(seen[1])}", headers=HTMX)
    assert "actions" not in same.text, "what has not changed is left alone"
    assert 'id="lanes"' in same.text

    assert client.post(f"{path}/resume", data={"reason": ""}, headers=HTMX).status_code == 200
    slower = client.post(f"{path}/rate", data={"rows_per_second": "50", "reason": "gently"}, headers=HTMX)
    assert "at most 50 rows a second" in slower.text
    ended = client.post(f"{path}/terminate", data={"rows": "keep", "reason": "wrong file"}, headers=OWN)
    assert (ended.status_code, ended.headers["location"]) == (303, path)
    rest(log, job_id)
    assert log.live.view.jobs[job_id].state == State.TERMINATED
    told = text_of(client.get(f"{path}/history", headers=HTMX).text)
    assert "Pause requested" in told, told
    assert "by admin: is it <right>?" in told
    assert "wrong file" in told
    assert told.index("Terminated") < told.index("Created"), "the newest comes first"
    assert "Terminated" in client.get(f"{path}/history").text, "a page of its own, without scripts"


def test_a_dry_run_becomes_the_real_job(served: Served) -> None:
    client, log = served
    path = send_file(client, PEOPLE + ROW * 4, dry_run="on").headers["hx-redirect"]
    complete(log, path.removeprefix("/jobs/"))
    page = client.get(path).text
    assert "Dry run: Upload of people.csv" in page
    assert 'id="preview"' in page
    real = client.post(f"{path}/start", data={"reason": "looks good"}, headers=HTMX).headers["hx-redirect"]
    assert "The real job of dry run" in text_of(client.get(real).text)
    assert real in client.get(path).text
    again = client.post(f"{path}/start", data={"reason": ""}, headers=OWN)
    assert (again.status_code, again.headers["location"]) == (303, real)


def test_an_export_is_started_and_downloaded(served: Served, tmp_path: Path) -> None:
    client, log = served
    fields = {"dataset": "people", "organisation": "acme", "from": "2026-01-01", "till": "2026-01-31", "raw": "on"}
    answer = client.post("/start/export?key=k", data=fields, headers=OWN)
    assert answer.status_code == 303
    path = answer.headers["location"]
    again = client.post("/start/export?key=k", data=fields, headers=OWN)
    assert again.headers["location"] == path, "the same form is the same request"
    job = log.live.view.jobs[path.removeprefix("/jobs/")]
    assert (job.date_from, job.date_till, job.options) == ("2026-01-01", "2026-01-31", Options(raw=True))
    assert "Export of people, 2026-01-01 till 2026-01-31" in client.get(path).text
    early = client.get(f"{path}/result")
    assert (early.status_code, "once it is COMPLETED" in early.text) == (409, True)
    log.live.view.jobs[job.id] = some_job(State.COMPLETED, operation="export", source=Source(kind="query"))
    (tmp_path / "storage/results").mkdir(parents=True)
    (tmp_path / "storage/results/j1.csv").write_bytes(b"a,b\n")
    assert 'href="/jobs/j1/result"' in client.get(path).text
    log.live.view.jobs["j1"] = log.live.view.jobs[job.id]
    assert client.get("/jobs/j1/result").content == b"a,b\n"


def test_teams_are_started(served: Served) -> None:
    client, log = served
    columns = ",".join(CATALOG.datasets["teams"].columns).encode() + b"\n"
    parts = [("organisation", (None, "acme")), ("queue", (None, "on")), ("file", ("teams.csv", columns, "text/csv"))]
    path = client.post("/start/teams", files=parts, headers=OWN).headers["location"]
    job = log.live.view.jobs[path.removeprefix("/jobs/")]
    assert (job.operation, job.dataset, job.options.if_busy) == ("teams", "teams", "queue")


# -- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "fields", "words"),
    [
        (b"name;post\nx;y\n", {}, "missing: email"),
        (b"", {}, "the file is empty"),
        (PEOPLE, {"max_errors": "five"}, "a percentage such as '5%'"),
        (PEOPLE, {"rows_per_second": "fast"}, "rows a second is a number from 0.001"),
        (PEOPLE, {"rows_per_second": "-1"}, "from 0.001"),
        (PEOPLE, {"organisation": "a b"}, "1 to 64 letters"),
        (PEOPLE, {"dataset": "cats"}, f"use one of {', '.join(CATALOG.datasets)}"),
    ],
)
def test_a_wrong_form_is_refused_in_words(served: Served, tmp_path: Path, body: bytes, fields: Any, words: str) -> None:
    client, log = served
    answer = send_file(client, body, **fields)
    assert answer.status_code == 400
    assert words in text_of(answer.text)
    assert "<html" not in answer.text
    assert log.sent == []
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.name != MARKER]
    whole = send_file(client, body, headers=OWN, **fields)
    assert (whole.status_code, "<html" in whole.text, words in text_of(whole.text)) == (400, True, True)


def test_a_form_without_its_file_is_refused(served: Served) -> None:
    client, _ = served
    for parts in ([("dataset", (None, "people"))], [("dataset", (None, "people")), ("file", ("", b"", "text/csv"))]):
        answer = client.post("/start/upload", files=parts, headers=HTMX)
        assert (answer.status_code, "choose the CSV file" in answer.text) == (400, True)
    assert client.post("/start/upload", data={"dataset": "people"}, headers=HTMX).status_code == 400
    late = [("file", ("people.csv", PEOPLE, "text/csv")), ("dataset", (None, "people"))]
    assert client.post("/start/upload", files=late, headers=HTMX).status_code == 400


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"from": "2026-02-01", "till": "2026-01-01"}, "the wrong way round"),
        ({"from": ""}, "from is missing"),
        ({"from": "1 January"}, "write it YYYY-MM-DD"),
        ({"from": "2026-01-01", "dataset": "teams"}, "has no date"),
    ],
)
def test_a_wrong_export_is_refused_in_words(served: Served, fields: dict[str, str], words: str) -> None:
    client, log = served
    answer = client.post("/start/export", data={"dataset": "people", **fields}, headers=HTMX)
    assert (answer.status_code, log.sent) == (400, [])
    assert words in text_of(answer.text)


def test_a_busy_key_is_refused_with_the_way_to_the_other_job(served: Served) -> None:
    client, _ = served
    first = make_job(client, organisation="acme").json()["id"]
    answer = send_file(client, PEOPLE + ROW)
    assert answer.status_code == 409
    assert f'href="/jobs/{first}"' in answer.text
    assert "two at once are not allowed" in text_of(answer.text)


def test_a_command_that_is_not_possible_is_refused_as_rest_refuses_it(served: Served) -> None:
    client, _ = served
    job_id = make_job(client).json()["id"]
    rest_answer = client.post(f"/v1/jobs/{job_id}/rollback")
    answer = client.post(f"/jobs/{job_id}/rollback", data={"reason": "no"}, headers=HTMX)
    assert answer.status_code == rest_answer.status_code == 409
    assert text_of(answer.text) == rest_answer.json()["error"]["message"]


def test_corrected_rows_are_refused_where_they_do_not_belong(served: Served) -> None:
    client, log = served
    job_id = make_job(client).json()["id"]
    parts = [("reason", (None, "typos")), ("file", ("errors.csv", PEOPLE, "text/csv"))]
    early = client.post(f"/jobs/{job_id}/retry-errors", files=parts, headers=HTMX)
    assert early.status_code == 409
    complete(log, job_id, failed=1)
    assert f'action="/jobs/{job_id}/retry-errors"' in client.get(f"/jobs/{job_id}").text
    answer = client.post(f"/jobs/{job_id}/retry-errors", files=parts, headers=HTMX)
    assert (answer.status_code, "Elasticsearch" in answer.text) == (503, True)
    empty = client.post(f"/jobs/{job_id}/retry-errors", files=[("reason", (None, "x"))], headers=HTMX)
    assert (empty.status_code, "no file was chosen" in empty.text) == (400, True)


def test_a_part_that_can_not_be_shown_says_so_and_asks_again(served: Served) -> None:
    client, _ = served
    job_id = make_job(client, options={"dry_run": True}).json()["id"]
    for part in ("errors", "preview"):
        answer = client.get(f"/jobs/{job_id}/{part}", headers=HTMX)
        assert answer.status_code == 200
        assert "does not answer" in answer.text
        assert "every 3s" in answer.text
    assert client.get(f"/jobs/{job_id}/errors.csv").status_code == 503


def test_missing_jobs_and_broken_insides_have_a_page(served: Served) -> None:
    client, log = served
    missing = client.get("/jobs/none")
    assert (missing.status_code, "there is no job none" in missing.text) == (404, True)
    log.live.view.jobs = None  # type: ignore[assignment]
    broken = client.get("/")
    assert (broken.status_code, "its log has the cause under the id" in broken.text) == (500, True)
    assert "Traceback" not in broken.text


# -- the list --------------------------------------------------------------------------------------------------------


def test_the_list_filters_pages_and_escapes(served: Served) -> None:
    client, _ = served
    assert "There are no jobs yet" in client.get("/").text
    for number in range(23):
        make_job(client, organisation=f"o{number}")
    evil = send_file(client, PEOPLE + ROW, organisation="evil").headers["hx-redirect"]
    first = client.get("/").text
    assert first.count("<tr>") == 21
    assert evil in first
    older = re.search(r'id="older" href="([^"]+)"', first)
    assert older is not None
    second = client.get(html.unescape(older[1])).text
    assert second.count("<tr>") == 5
    assert 'id="newest"' in second
    only = client.get("/?organisation=evil&state=&operation=upload").text
    assert only.count("<tr>") == 2
    assert "No job fits this filter" in client.get("/?state=FAILED").text
    assert client.get("/?state=ODD").status_code == 400
    assert client.get("/jobs?organisation=evil", headers=HTMX).text.count("<tr>") == 2
    assert client.get("/jobs?organisation=evil").headers["location"] == "/?organisation=evil"


def test_what_comes_from_outside_is_escaped(served: Served) -> None:
    client, _ = served
    script = "<script>alert(1)</script>"
    parts = [("dataset", (None, "people")), ("reason", (None, script))]
    answer = client.post("/start/upload", files=[*parts, ("file", (f"{script}.csv", PEOPLE + ROW))], headers=HTMX)
    path = answer.headers["hx-redirect"]
    for page in ("/", path, f"{path}/live?seen={script}", f"{path}/history", f"/?organisation={script}"):
        assert "<script>alert" not in client.get(page).text
        assert "&lt;script&gt;" in client.get(page).text or "live" in page


def test_a_job_whose_columns_can_t_be_kept_has_been_started_all_the_same(served: Served) -> None:
    client, log = served
    parts = [("dataset", (None, "people")), ("keep", (None, "ours")), ("file", ("people.csv", PEOPLE + ROW))]
    for _ in range(2):  # sent again it makes no second job
        answer = client.post("/start/upload?key=k1", files=parts, headers=HTMX)
        assert answer.status_code == 503
        for words in ("the job was started, but its columns are not kept as ours", "no second job", "Open job"):
            assert words in text_of(answer.text)
    assert len({command.job_id for command in log.sent}) == 1


# -- whom it serves --------------------------------------------------------------------------------------------------

FOREIGN = [
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://evil.example"},
    {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:3000"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "none"},
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
@pytest.mark.parametrize(
    "kind", ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=XX"]
)
def test_forms_of_other_sites_change_nothing(served: Served, headers: dict[str, str], kind: str) -> None:
    client, log = served
    job_id = make_job(client).json()["id"]
    paths = [*(f"/jobs/{job_id}/{name}" for name in ALL), "/start/upload", "/start/export", "/start/teams", "/sign-in"]
    for path in [*paths, "/sign-out"]:
        answer = client.post(path, content="reason=x", headers={"Content-Type": kind, **headers})
        assert answer.status_code == 403, path
    assert len(log.sent) == 1


def test_a_form_is_our_own_by_its_origin_where_the_browser_says_no_more(served: Served) -> None:
    client, _ = served
    job_id = make_job(client).json()["id"]
    answer = client.post(f"/jobs/{job_id}/pause", data={"reason": "x"}, headers={"Origin": "http://testserver"})
    assert answer.status_code == 303


def test_other_hosts_are_refused_on_pages_as_well(served: Served) -> None:
    client, _ = served
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 400


def test_every_page_has_its_headers_and_no_inline_script_or_style(served: Served) -> None:
    client, _ = served
    path = f"/jobs/{make_job(client).json()['id']}"
    for page in ("/", path, f"{path}/live", f"{path}/history", "/jobs/none", "/static/page.js", "/static/htmx.min.js"):
        answer = client.get(page, headers=HTMX if page.endswith(("live", "history")) else {})
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        if not page.startswith("/static"):
            assert answer.headers["cache-control"] == "no-store"
            assert not re.search(r"<script(?![^>]*src=)|\sstyle=|\son\w+=|<style", answer.text), page
            assert not re.search(r'(src|href|action)="(https?:)?//', answer.text), page


def test_static_files_are_sent_once(served: Served) -> None:
    client, _ = served
    first = client.get("/static/page.css")
    assert (first.status_code, first.headers["content-type"]) == (200, "text/css; charset=utf-8")
    again = client.get("/static/page.css", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.headers["cache-control"], again.headers["etag"]) == (
        304,
        "no-cache",
        first.headers["etag"],
    )
    head = client.head("/static/page.css")
    assert (head.content, head.headers["content-length"]) == (b"", str(len(first.content)))
    assert client.post("/static/page.css").status_code == 405
    assert client.get("/static/none.css").status_code == 404
    assert client.get("/static/..%2fapp.py").status_code == 404


def test_a_static_file_of_another_content_is_another_one_to_a_browser(tmp_path: Path) -> None:
    def etag(content: bytes) -> str:
        folder = tmp_path / content.decode()
        folder.mkdir()
        (folder / "a.css").write_bytes(content)
        os.utime(folder / "a.css", (0, 0))
        return TestClient(StaticOfPage(directory=folder)).get("/a.css").headers["etag"]

    assert etag(b"one") != etag(b"two")


def test_where_a_key_is_needed_the_page_asks_for_it_once(locked: Served) -> None:
    client, log = locked
    assert client.get("/jobs/abc").headers["location"] == "/sign-in?next=/jobs/abc"
    assert client.get("/jobs", headers=HTMX).headers["hx-redirect"] == "/sign-in"
    refused = client.post("/start/export", data={}, headers=HTMX)
    assert (refused.status_code, log.sent) == (401, [])
    assert client.get("/static/page.css").status_code == 200

    wrong = client.post("/sign-in", data={"key": "wröng"}, headers=OWN)
    assert (wrong.status_code, "not known" in wrong.text, "set-cookie" in wrong.headers) == (401, True, False)
    right = client.post("/sign-in", data={"key": "secret", "next": "/jobs/abc"}, headers=OWN)
    assert (right.status_code, right.headers["location"]) == (303, "/jobs/abc")
    cookie = right.headers["set-cookie"]
    assert "secret" not in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Secure" not in cookie
    page = client.get("/")
    assert (page.status_code, "Sign out" in page.text) == (200, True)
    assert client.get("/sign-in").headers["location"] == "/"

    assert client.get("/v1/jobs").status_code == 401, "the cookie opens the page and nothing else"
    foreign = client.post("/start/export", data={"from": "2026-01-01"}, headers=FOREIGN[0])
    assert (foreign.status_code, log.sent) == (403, [])
    assert client.post("/sign-out", headers=OWN).headers["location"] == "/sign-in"
    assert client.get("/").status_code == 303


def test_over_https_the_cookie_is_secure_also_behind_a_proxy(locked: Served) -> None:
    client, _ = locked
    headers = {**OWN, "Origin": "https://sluice.example"}
    cookie = client.post("/sign-in", data={"key": "secret"}, headers=headers).headers["set-cookie"]
    assert cookie.startswith("__Host-sluice_session=")
    assert "Secure" in cookie
    assert "Path=/" in cookie
    assert "Domain" not in cookie


def test_a_key_in_the_headers_is_for_rest(locked: Served) -> None:
    client, _ = locked
    assert client.get("/", headers={"X-API-Key": "secret"}).status_code == 303
    assert client.get("/v1/jobs", headers={"X-API-Key": "secret"}).status_code == 200


@pytest.mark.parametrize(
    ("asked", "path"),
    [
        ("/jobs/abc", "/jobs/abc"),
        (None, "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example/jobs/", "/"),
        ("jobs/abc", "/"),
        ("/sign-out", "/"),
    ],
)
def test_signing_in_leads_to_pages_of_this_api_only(asked: str | None, path: str) -> None:
    assert own_path(asked) == path
