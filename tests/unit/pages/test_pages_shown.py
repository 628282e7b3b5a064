"""What the operator's page says in the less usual cases, over the stub."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.jobs.reading.job_view import job_view
from api.models.jobs import HistoryEntry
from api.models.reports import Preview, PreviewRow
from api.pages.available_actions import available_actions
from api.pages.rendering import fragment
from api.pages.words import happened, sentence
from api.readmodel.job_index import JobIndex
from schemas.job import Job, LaneTotals, Options, RestedLane, Source, State
from schemas.messages.commands import LanesRested
from tests.support.api.pages import HTMX, OWN, Served, send_file, some_job, text_of
from tests.support.api.stub import CATALOG, PEOPLE, ROW, complete, stub


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    app, log = stub(tmp_path)
    with TestClient(app, raise_server_exceptions=False, follow_redirects=False) as client:
        yield client, log


def test_a_form_that_could_not_be_taken_now_is_not_said_to_be_sent_again(served: Served) -> None:
    client, log = served
    log.up = False
    sent = send_file(client, PEOPLE + ROW, headers=OWN)
    assert sent.status_code == 503
    assert "Kafka does not answer" in text_of(sent.text)
    assert "http-equiv" not in sent.text, "a reload would only ask for the form's address"
    assert "tries again" not in sent.text


@pytest.mark.parametrize("rate", ["nan", "inf", "1e999", "0", "-1", "fast"])
def test_a_rate_that_can_not_be_used_is_never_taken_as_no_limit(served: Served, rate: str) -> None:
    client, log = served
    path = send_file(client, PEOPLE + ROW).headers["hx-redirect"]
    sent = len(log.sent)
    export = {"dataset": "people", "from": "2026-01-01", "rows_per_second": rate}
    answers = [
        send_file(client, PEOPLE + ROW, rows_per_second=rate),
        client.post("/start/export", data=export, headers=HTMX),
        client.post(f"{path}/rate", data={"rows_per_second": rate}, headers=HTMX),
    ]
    assert [answer.status_code for answer in answers] == [400, 400, 400]
    for answer in answers:
        assert f"rows a second is a number from 0.001 to 1,000,000,000, not '{rate}'" in text_of(answer.text)
    assert len(log.sent) == sent


@pytest.mark.parametrize(("rate", "told"), [("1234567", "1,234,567"), ("0.5", "0.5")])
def test_a_rate_is_shown_as_it_was_given(served: Served, rate: str, told: str) -> None:
    client, _ = served
    path = send_file(client, PEOPLE + ROW, rows_per_second=rate).headers["hx-redirect"]
    page = client.get(path).text
    assert f"at most {told} rows a second" in page
    assert f'value="{rate}"' in page, "sent again, the form changes nothing"


def live_again(client: TestClient, path: str, page: str) -> str:
    """What an open page is sent when it asks once more."""
    asked = re.search(r'hx-get="([^"]+/live[^"]*)"', page)
    assert asked is not None
    assert asked[1].startswith(path)
    return str(client.get(html.unescape(asked[1]), headers=HTMX).text)


def test_what_is_waited_for_moves_on_in_an_open_page(served: Served) -> None:
    client, log = served
    path = send_file(client, PEOPLE + ROW).headers["hx-redirect"]
    job_id = path.removeprefix("/jobs/")
    client.post(f"{path}/pause", data={"reason": ""}, headers=HTMX)
    page = client.get(path).text
    assert "partitions 0, 1 of 2 have not yet reported" in page
    job = log.live.view.jobs[job_id]
    lane = RestedLane(epoch=job.epoch, totals=LaneTotals())
    log.report(LanesRested(job_id=job_id, run=job.run, epoch=job.epoch, lanes={0: lane}))
    again = live_again(client, path, page)
    assert "partitions 1 of 2 have not yet reported" in again
    assert 'id="actions"' not in again, "what is being typed is left alone"


def test_a_dry_run_that_another_operator_started_leads_to_the_real_job(served: Served) -> None:
    client, log = served
    path = send_file(client, PEOPLE + ROW * 4, dry_run="on").headers["hx-redirect"]
    complete(log, path.removeprefix("/jobs/"))
    page = client.get(path).text
    real = client.post(f"{path}/start", data={"reason": ""}, headers=HTMX).headers["hx-redirect"]
    assert f'href="{real}"' in live_again(client, path, page)


def sentence_of(job: Job) -> str:
    return sentence(job, job_view(job, JobIndex(), 0))


@pytest.mark.parametrize("state", [State.TERMINATED, State.ROLLING_BACK, State.ROLLED_BACK, State.FAILED])
def test_a_dry_run_that_was_stopped_is_not_said_to_have_written_rows(state: State) -> None:
    said = sentence_of(some_job(state, options=Options(dry_run=True), started_at=1))
    assert "rows" not in said
    assert "roll it back" not in said, "the page does not offer it"


@pytest.mark.parametrize("state", [State.TERMINATED, State.ROLLED_BACK])
def test_a_job_that_never_began_was_not_searched_for(state: State) -> None:
    assert sentence_of(some_job(state)) == "It was stopped before it began."
    assert sentence_of(some_job(state, started_at=1)) != "It was stopped before it began."


def test_that_a_job_paused_itself_is_said_as_long_as_it_can_be_resumed(served: Served) -> None:
    client, log = served
    for state in State:
        log.live.view.jobs["j1"] = some_job(state, budget="spent")
        said = "If you resume it, it goes on without a limit" in client.get("/jobs/j1").text
        assert said == (state in (State.PAUSING, State.PAUSED)), state


def test_the_history_tells_rates_and_why_a_job_paused_itself() -> None:
    def told(event: str, **details: Any) -> str:
        return happened(HistoryEntry(type="event", command_offset=1, at="", event=event, details=details))

    assert told("RateSet", rows_per_second=1_500_000.0) == "Rate set (at most 1,500,000 rows a second)"
    assert told("RateSet", rows_per_second=None) == "Rate set (no limit)"
    assert told("PauseRequested", budget_spent=True) == "Pause requested (too many row errors)"


def test_cells_are_shown_as_in_a_file_and_an_unknown_total_is_left_out() -> None:
    rows = [PreviewRow(row=1, document={"a": True, "b": None, "c": ["x", 1.5], "d": "<b>"})]
    numbers: dict[str, Any] = {"rows_total": None, "rows_valid": 12, "rows_failed": 0}
    preview = Preview(job_id="j1", state=State.RUNNING, errors=[], rows=rows, **numbers)
    values = {
        "preview": preview,
        "names": ["a", "b", "c", "d"],
        "problem": None,
        "moving": True,
        "job": some_job(State.RUNNING),
    }
    text = bytes(fragment("preview.html", **values).body).decode()
    assert re.findall(r'<td class="value">(.*?)</td>', text) == ["true", "", "[&#34;x&#34;,1.5]", "&lt;b&gt;"]
    assert "12 rows can be stored" in text_of(text)


def test_an_origin_that_is_none_is_foreign(served: Served) -> None:
    client, log = served
    headers = {"Origin": "http://[evil"}
    answers = [
        client.post("/start/export", data={"from": "2026-01-01"}, headers=headers),
        client.post("/v1/jobs", json={"operation": "export"}, headers=headers),
    ]
    assert [answer.status_code for answer in answers] == [403, 403]
    assert log.sent == []


def test_a_form_that_is_sent_again_with_another_file_leads_to_the_job_it_started(served: Served) -> None:
    client, log = served
    first = send_file(client, PEOPLE + ROW).headers["hx-redirect"]
    again = send_file(client, PEOPLE + ROW * 2)
    assert again.status_code == 422
    assert "this form has started another job already" in text_of(again.text)
    assert f'href="{first}"' in again.text
    assert "Idempotency-Key" not in again.text
    assert len(log.sent) == 1


def test_a_refused_page_has_the_headers_of_its_refusal(served: Served, tmp_path: Path) -> None:
    client, log = served
    log.live.view.jobs["j1"] = some_job(State.COMPLETED, operation="export", source=Source(kind="query"))
    (tmp_path / "storage/results").mkdir(parents=True)
    (tmp_path / "storage/results/j1.csv").write_bytes(b"a,b\n")
    beyond = client.get("/jobs/j1/result", headers={"Range": "bytes=9-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, "bytes */4")
    assert client.get("/jobs/j1/errors.csv").headers["retry-after"] == "5"


def test_a_form_with_no_end_of_fields_is_refused(served: Served) -> None:
    client, log = served
    parts = [(f"field{number}", (None, "")) for number in range(101)]
    for path in ("/start/upload", "/start/teams"):
        answer = client.post(path, files=[*parts, ("file", ("people.csv", PEOPLE))], headers=HTMX)
        assert (answer.status_code, "more than 100 fields" in answer.text) == (400, True)
    assert log.sent == []


def test_how_much_is_done_is_unknown_in_the_list_as_on_the_jobs_page(served: Served) -> None:
    client, log = served
    log.live.view.jobs["j1"] = some_job(State.RUNNING, source=Source(kind="topic"))
    said = "?%, 0 rows; how many there are is not known yet"
    assert said in text_of(client.get("/").text)
    page = client.get("/jobs/j1").text
    assert "?% 0 rows; how many" in text_of(page)
    assert 'data-say="Running"' in page


def test_whatever_is_chosen_in_the_buttons_can_be_kept_while_they_are_renewed(served: Served) -> None:
    client, log = served
    for state in State:
        log.live.view.jobs["j1"] = some_job(state)
        fields = re.findall(r"<input[^>]*>", client.get("/jobs/j1").text)
        # page.js takes them over by their ids: rows must not be deleted because someone else has paused the job.
        assert not [field for field in fields if " id=" not in field]
    script = client.get("/static/page.js").text
    assert "renewed.checked = input.checked" in script


def test_a_browser_gets_a_page_where_there_is_none(served: Served) -> None:
    client, _ = served
    browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    for path, code in (("/nothing", 404), ("/start/upload", 405), ("/sign-out", 405)):
        page = client.get(path, headers=browser)
        assert (page.status_code, "All jobs" in page.text) == (code, True)
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert client.get(path).json()["error"]["code"] == code, "for programs as before"
    assert client.get("/start/upload", headers=browser).headers["allow"] == "POST"
    assert client.get("/v1/nothing", headers=browser).json()["error"]["code"] == 404


def test_an_open_page_is_told_of_news_in_the_history(served: Served) -> None:
    client, _ = served
    path = send_file(client, PEOPLE + ROW).headers["hx-redirect"]
    page = client.get(path).text

    def ask() -> Any:
        asked = re.search(r'hx-get="([^"]+/live[^"]*)"', page)
        assert asked is not None
        return client.get(html.unescape(asked[1]), headers=HTMX)

    assert "hx-trigger-after-settle" not in ask().headers
    assert client.post(f"/v1{path}/rollback").status_code == 409
    news = ask()
    assert news.headers["hx-trigger-after-settle"] == "job-changed"
    assert 'id="actions"' not in news.text, "a refusal beside a form stays"
    page = news.text
    assert "hx-trigger-after-settle" not in ask().headers


def test_what_has_not_stopped_yet_is_told_and_not_its_opposite() -> None:
    missing = "partitions 0, 1 of 2 have not yet reported that nothing is in flight"
    assert sentence_of(some_job(State.PAUSING)).startswith(f"No new work is begun; {missing}")
    halting = some_job(State.ROLLING_BACK, phase="undo", halting=True, started_at=1)
    assert sentence_of(halting).startswith(f"The rollback is about to pause; {missing}")


@pytest.mark.parametrize("kind", ["file", "topic"])
def test_start_is_spoken_of_where_it_is_offered(kind: Any) -> None:
    tried = some_job(State.COMPLETED, options=Options(dry_run=True), source=Source(kind=kind), started_at=1)
    assert ("start makes" in sentence_of(tried)) == ("start" in available_actions(tried, CATALOG))
