"""Columns, over `tests/support/api/stub.py`: what is decided is in the job and stays, and the page's table shows it."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from schemas.descriptors.datasets import parse_dataset
from schemas.job import Input, LaneTotals
from schemas.messages.commands import CreateJob, InputEnded, LanesDone
from tests.support.api.stub import CATALOG, PEOPLE, ROW, StubLog, make_job, stub

LEGACY = b"Name,Email,Favorite Color,Phone number,Country\n"
VALUES = b"Ann,ann@example.org,blue,+31201234567,Netherlands\n"
FIELDS = {"Name": "name", "Email": "email", "Favorite Color": "favorite_color", "Phone number": "phone",
          "Country": "country"}  # fmt: skip
HTMX = {"Sec-Fetch-Site": "same-origin", "HX-Request": "true"}
Served = tuple[TestClient, StubLog]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    app, log = stub(tmp_path)
    with TestClient(app, raise_server_exceptions=False, follow_redirects=False) as client:
        yield client, log


def test_what_was_guessed_is_in_the_job_and_in_the_readers_plan(served: Served) -> None:
    client, log = served
    made = make_job(client, LEGACY + VALUES)
    assert (made.status_code, made.json()["source"]["columns"]) == (201, FIELDS)
    (command,) = log.sent
    assert isinstance(command, CreateJob) and command.source.columns == FIELDS
    assert make_job(client, PEOPLE + ROW, organisation="other").json()["source"]["columns"] is None


def test_a_repeat_gets_the_job_whatever_the_dataset_says_by_now(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, log = served
    first = make_job(client, LEGACY + VALUES, key="k").json()
    bare = [{**field, "title": "", "sluice": {}} for field in CATALOG.datasets["people"].descriptor["fields"]]
    monkeypatch.setitem(CATALOG.datasets, "people", parse_dataset("people", {"fields": bare}))  # type: ignore[arg-type]
    again = make_job(client, LEGACY + VALUES, key="k")
    assert (again.status_code, again.json()["id"], len(log.sent)) == (201, first["id"], 1)
    assert make_job(client, LEGACY + VALUES, key="other").status_code == 400


def test_other_columns_are_another_request(served: Served) -> None:
    client, _ = served
    asked = {"columns": {"Notes": None}}
    assert make_job(client, LEGACY.strip() + b",Notes\n" + VALUES, key="k", options=asked).status_code == 201
    for options in ({"ignore_extra": True}, {"columns": {"notes": None}}):
        again = make_job(client, LEGACY.strip() + b",Notes\n" + VALUES, key="k", options=options)
        assert (again.status_code, "this Idempotency-Key made job" in again.text) == (422, True)
    other = make_job(client, PEOPLE + ROW, key="k", options={})
    assert (other.status_code, "with another file" in other.text) == (422, True)


def test_a_start_takes_the_columns_as_they_were_tried(served: Served) -> None:
    client, log = served
    options = {"dry_run": True, "set": {"country": "NL"}, "columns": {"Country": None}}
    job = make_job(client, LEGACY + VALUES, options=options).json()
    log.report(InputEnded(job_id=job["id"], input=Input(blocks=1, rows=1, ended=True, blocks_per_partition=(1, 0))))
    log.report(LanesDone(job_id=job["id"], lanes={0: LaneTotals(rows_applied=1, blocks=1)}))
    refused = client.post(f"/v1/jobs/{job['id']}/start", json={"options": {"set": {"country": "DE"}}})
    assert (refused.status_code, "its columns as the dry run had them: leave set out" in refused.text) == (400, True)
    real = client.post(f"/v1/jobs/{job['id']}/start", json={"options": {"max_errors": 5}}).json()
    assert real["source"]["columns"] == {**FIELDS, "Country": None}
    assert real["options"] == {"max_errors": 5, "set": {"country": "NL"}, "columns": {"Country": None}}


@pytest.mark.parametrize(
    ("job", "words"),
    [
        ({"options": {"columns": {"a": "fone"}}}, "columns names 'fone', which is no column of dataset people"),
        ({"options": {"set": {"fone": "a"}}}, "set names 'fone', which is no column of dataset people; there are name"),
        ({"options": {"columns": {"a": "phone"}, "set": {"phone": "1"}}}, "phone is given twice"),
        ({"options": {"columns": {"a": 5}}}, "has to be a text, or null"),
        ({"options": {"set": {"phone": None}}}, "has to be a text"),
        ({"options": {"columns": {str(n): None for n in range(2001)}}}, "columns has at most 2,000 entries"),
        ({"options": {"set": dict.fromkeys(CATALOG.datasets["people"].columns, "a")}}, "set has every field"),
        ({"options": {"columns": {"a": "phone"}}, "source": "topic"}, "are for the columns of a file"),
        ({"options": {"ignore_extra": True}, "source": "topic"}, "are for the columns of a file"),
        (
            {"operation": "export", "from": "2026-01-01", "options": {"set": {"phone": "1"}}},
            "set belongs to operations",
        ),
        ({"operation": "export", "from": "2026-01-01", "options": {"ignore_extra": True}}, "for the columns of a file"),
    ],
)
def test_what_can_not_be_asked_of_columns(served: Served, job: dict[str, Any], words: str) -> None:
    client, log = served
    if "source" in job or "operation" in job:
        answer = client.post("/v1/jobs", json={"operation": "upload", "dataset": "people", **job})
    else:
        answer = make_job(client, LEGACY + VALUES, **job)
    assert (answer.status_code, words in answer.json()["error"]["message"]) == (400, True), answer.text
    assert not log.sent


def test_constants_are_another_name_of_what_is_set(served: Served) -> None:
    client, log = served
    file = b"name,email,phone,favorite_color\nAnn,ann@example.org,+31201234567,blue\n"
    made = make_job(client, file, options={"constants": {"country": "NL"}})
    assert (made.status_code, made.json()["options"]["set"]) == (201, {"country": "NL"}), made.text
    job = {"operation": "upload", "dataset": "people", "organisation": "inbox", "source": "topic"}
    by_inbox = client.post("/v1/jobs", json={**job, "options": {"constants": {"country": "NL"}}})
    assert (by_inbox.status_code, by_inbox.json()["options"]) == (201, {"set": {"country": "NL"}}), by_inbox.text
    both = make_job(client, file, options={"constants": {"country": "NL"}, "set": {"country": "NL"}})
    assert both.status_code == 400 and "two names of one option" in both.json()["error"]["message"]
    assert len(log.sent) == 2
    export = {"operation": "export", "dataset": "people", "from": "2026-01-01"}
    estimate = client.post("/v1/exports/estimate", json={**export, "options": {"constants": {"country": "NL"}}})
    assert "unknown field" not in estimate.text, estimate.text
    kept = client.put("/v1/mappings/old", json={"dataset": "people", "constants": {"country": "NL"}})
    assert "unknown field" not in kept.text, kept.text
    described = client.get("/openapi.json").json()["components"]["schemas"]["Options"]["properties"]
    assert described["constants"]["additionalProperties"] == described["set"]["additionalProperties"]


def test_rows_of_the_inbox_may_have_constants(served: Served) -> None:
    client, log = served
    job = {"operation": "upload", "dataset": "people", "source": "topic", "options": {"set": {"country": "NL"}}}
    assert client.post("/v1/jobs", json=job).status_code == 201
    (command,) = log.sent
    assert isinstance(command, CreateJob) and command.options.set == {"country": "NL"}


def test_datasets_tell_what_columns_may_be_called(served: Served) -> None:
    client, _ = served
    people = next(one for one in client.get("/v1/datasets").json()["datasets"] if one["name"] == "people")
    fields = {field["name"]: field for field in people["fields"]}
    assert "phone number" in fields["phone"]["aliases"]
    assert (fields["phone"]["default"], fields["created_at"]["default"]) == (None, {"time": "upload"})


def table(client: TestClient, head: bytes, whole: bool = True, columns: str = "", **more: str) -> Any:
    fields = {"dataset": "people", "columns": columns, **({"whole": "on"} if whole else {}), **more}
    parts = [(name, (None, value)) for name, value in fields.items()]
    return client.post("/columns", files=[*parts, ("file", ("f.csv", head))], headers=HTMX)


def chosen(page: str) -> dict[str, str]:
    """Column -> the option that is selected for it."""
    found = {}
    for name, options in re.findall(r'<select data-column="(.*?)".*?>(.*?)</select>', page, re.DOTALL):
        (value,) = re.findall(r'<option value="(.*?)" selected>', options)
        found[html.unescape(name)] = value
    return found


def test_the_table_shows_guesses_samples_and_defaults(served: Served) -> None:
    client, log = served
    page = table(client, LEGACY + VALUES + VALUES.replace(b"Ann", b"Bob") + b"Kim").text
    assert chosen(page) == {name: f"={field}" for name, field in FIELDS.items()}
    assert "Ann, Bob, Kim" in page and "created_at: the time of the upload" in page
    assert "notice bad" not in page and "undecided" not in page
    assert not log.sent


def test_what_is_missing_and_not_decided_is_red_until_it_is_chosen(served: Served) -> None:
    client, _ = served
    head = LEGACY.replace(b"Phone number", b"Fone") + VALUES
    page = table(client, head).text
    assert chosen(page)["Fone"] == "?" and page.count('class="undecided"') == 1
    assert '<p class="notice bad">Missing: phone</p>' in page
    page = table(client, head, columns=json.dumps({"Fone": "phone"})).text
    assert chosen(page)["Fone"] == "=phone" and "notice bad" not in page and "undecided" not in page
    page = table(client, head, columns=json.dumps({"Fone": None})).text
    assert chosen(page)["Fone"] == "-" and "Missing: phone" in page and "undecided" not in page
    page = table(client, head, columns=json.dumps({"Fone": "email", "Country": "phone"})).text
    assert "Missing: country" in page


def test_the_table_escapes_what_a_file_says(served: Served) -> None:
    client, _ = served
    page = table(client, b'"<b>""x""&",name\n<i>,Ann\n').text
    assert "<b>" not in page and "<i>" not in page and chosen(page)['<b>"x"&'] == "?"


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"", "the file is empty"),
        (LEGACY.strip() + b",\n", "column 6 has no name"),
        (LEGACY.strip() + b",Tel\n" + VALUES, "the columns Phone number and Tel would both be phone"),
        ("Name".encode("utf-16-le"), "send it with --encoding utf-16-le"),
        (b",".join(b"c%d" % n for n in range(2001)) + b"\n", "2,001 columns are too many"),
        (LEGACY + b'"', "Phone number"),
    ],
)
def test_a_header_that_can_not_be_used_is_told_before_it_is_sent(served: Served, head: bytes, words: str) -> None:
    answer = table(served[0], head)
    assert (answer.status_code, words in answer.text) == (200, True), answer.text


def test_the_table_is_bounded(served: Served) -> None:
    client, _ = served
    page = table(client, b",".join(b"c%d" % n for n in range(1500)) + b"\n")
    assert page.text.count("<select") == 200 and "and 1,300 more columns" in page.text
    assert table(client, b"x" * 500_000).status_code == 413
    assert table(client, LEGACY, columns="[]").status_code == 400
    assert table(client, LEGACY, dataset="planets").status_code == 400
    assert client.post("/columns", data={"dataset": "people"}, headers=HTMX).status_code == 400


def test_the_form_sends_what_was_chosen(served: Served) -> None:
    client, log = served
    fields = {"dataset": "people", "organisation": "acme", "columns": json.dumps({"Fone": "phone"})}
    parts: list[Any] = [(name, (None, value)) for name, value in fields.items()]
    body = LEGACY.replace(b"Phone number", b"Fone") + VALUES
    answer = client.post("/start/upload?key=k", files=[*parts, ("file", ("p.csv", body, "text/csv"))], headers=HTMX)
    assert answer.status_code == 204
    (command,) = log.sent
    assert isinstance(command, CreateJob)
    assert command.source.columns == {"Fone": "phone", **{k: v for k, v in FIELDS.items() if v != "phone"}}
    page = client.get(answer.headers["hx-redirect"]).text
    assert "<dt>Columns</dt><dd>Name is name" in page and "Fone is phone" in page


def told(page: str) -> Any:
    """What the page's script is told, to check the rows that it reads."""
    (found,) = re.findall(r'data-told="(.*?)"', page)
    return json.loads(html.unescape(found))


def test_a_header_alone_tells_the_script_what_each_column_is_and_how_to_check_it(served: Served) -> None:
    client, _ = served
    found = told(table(client, LEGACY.replace(b"Phone number", b'"Fone <&"').replace(b",", b";")).text)
    assert (found["delimiter"], found["missing"]) == (";", ["phone"])
    assert found["fields"] == ["name", "email", "favorite_color", "", "country"]
    assert found["decided"] == [True, True, True, False, True] and found["names"][3] == "Fone <&"
    assert found["filled"] == {"created_at": "the time of the upload"}
    assert (
        found["checks"]["email"]["required"] and found["checks"]["email"]["patterns"][0][1] == "is not an email address"
    )
    assert "data-told" not in table(client, b"").text


def test_a_draft_and_corrected_rows_are_matched_as_their_job_says(served: Served) -> None:
    client, log = served
    asked = {"operation": "upload", "dataset": "people", "source": "upload", "options": {"columns": {"Fone": "phone"}}}
    draft = client.post("/v1/jobs", json=asked).json()["id"]
    header = LEGACY.replace(b"Phone number", b"Fone")
    page = client.post(f"/jobs/{draft}/columns", files={"file": ("h.csv", header)}, headers=HTMX).text
    assert told(page)["missing"] == [] and "<select" not in page
    job = make_job(
        client, LEGACY + VALUES, organisation="other", options={"set": {"country": "NL"}, "columns": {"Country": None}}
    ).json()
    corrected = b"sluice_row,sluice_reason,name,email,favorite_color,phone\n"
    page = client.post(f"/jobs/{job['id']}/columns", files={"file": ("h.csv", corrected)}, headers=HTMX).text
    assert told(page)["missing"] == [] and told(page)["fields"] == ["", "", "name", "email", "favorite_color", "phone"]
    assert "country is missing" not in page and log.sent
