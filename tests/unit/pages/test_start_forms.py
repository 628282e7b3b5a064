"""The forms that start jobs: each operation of the catalogue has one, which sends a job that is taken."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from control.creation.admission import Catalog, Kind
from control.creation.kinds import BUILT_IN
from runtime.datasets import load_datasets
from schemas.job import Options, State
from tests.support.api.pages import HTMX, OWN, Served, some_job, text_of
from tests.support.api.stub import stub

DATASETS = load_datasets()
TEAMS = ",".join(DATASETS["teams"].columns).encode() + b"\n"
OWN_KINDS = {
    "rephone": Kind(
        frozenset({"file"}), dataset="teams", title="Change phone numbers", summary="Of teams <that> exist."
    ),
    "listen_in": Kind(frozenset({"topic"}), exclusive=False, button="Listen"),
    "audit": Kind(frozenset({"query"}), dated=True, makes_file=True),
    "unknown_dataset": Kind(frozenset({"file"}), dataset="no-such-dataset"),
}
CATALOG = Catalog({**BUILT_IN, **OWN_KINDS}, DATASETS)


class Forms(HTMLParser):
    """The fields of each form that starts a job, by the operation in its address."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.fields: dict[str, list[str]] = {}
        self.ids: list[str] = []
        self._into: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        if values.get("id"):
            self.ids.append(str(values["id"]))
        address = str(values.get("action") or "")
        if tag == "form":
            self._into = []
            if address.startswith("/start/"):
                self._into = self.fields[address.removeprefix("/start/").partition("?")[0]] = []
        elif tag in ("input", "select") and values.get("name"):
            self._into.append(str(values["name"]))


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    app, log = stub(tmp_path, CATALOG)
    with TestClient(app, raise_server_exceptions=False, follow_redirects=False) as client:
        yield client, log


FORMAT = ["encoding", "delimiter", "quote", "escape", "skip_lines", "comment"]
ROWS = [
    "dry_run",
    "queue",
    "same",
    "raw",
    "max_errors",
    "suspicions",
    "rows_per_second",
    "notify",
    "start_at",
    *FORMAT,
    "columns",
    "mapping",
    "keep",
    "file",
]


def test_each_operation_has_a_form_with_the_fields_of_its_kind(served: Served) -> None:
    client, _ = served
    page = client.get("/").text
    forms = Forms(page)
    assert forms.fields == {
        "upload": ["dataset", "organisation", "reason", *ROWS[:3], "mode", "empty", *ROWS[3:]],
        "export": [
            "dataset",
            "organisation",
            "from",
            "till",
            "confirm",
            "reason",
            "raw",
            "rows_per_second",
            "notify",
            "start_at",
        ],
        "teams": ["organisation", "reason", *ROWS],
        "rephone": ["organisation", "reason", *ROWS],
        "listen_in": [
            "dataset",
            "organisation",
            "reason",
            "dry_run",
            "raw",
            "max_errors",
            "rows_per_second",
            "notify",
            "start_at",
        ],
        "audit": [
            "dataset",
            "organisation",
            "from",
            "till",
            "confirm",
            "reason",
            "queue",
            "raw",
            "rows_per_second",
            "notify",
            "start_at",
        ],
    }
    assert len(forms.ids) == len(set(forms.ids)), "labels need ids that are there once"
    titles = re.findall(r"<summary>(.*?)</summary>", page)
    inside = ("Options", "How the file is written", "Kept mapping", "Act on several jobs")
    assert [title for title in titles if title not in inside] == [
        *("Upload a CSV", "Export by date", "Create teams", "Change phone numbers", "Listen in", "Audit")
    ]
    buttons = re.findall(r'<button class="main">(.*?)</button>', page)
    assert buttons == ["Upload", "Export", "Create teams", "Start", "Listen", "Start"]
    assert "manager_phone, region, size. Of teams &lt;that&gt; exist." in page


@pytest.mark.parametrize("headers", [OWN, HTMX])
def test_an_operation_of_ones_own_is_started_with_a_file(served: Served, headers: dict[str, str]) -> None:
    client, log = served
    fields = {"organisation": "acme", "reason": "a typo", "dry_run": "on", "queue": "on", "max_errors": "5%"}
    parts: list[Any] = [(name, (None, value)) for name, value in fields.items()]
    answer = client.post("/start/rephone?key=k", files=[*parts, ("file", ("new.csv", TEAMS))], headers=headers)
    path = answer.headers["hx-redirect" if headers is HTMX else "location"]
    job = log.live.view.jobs[path.removeprefix("/jobs/")]
    assert (job.operation, job.dataset, job.organisation, job.reason) == ("rephone", "teams", "acme", "a typo")
    assert job.options == Options(dry_run=True, max_errors="5%", if_busy="queue")
    assert "Dry run: Rephone from new.csv" in client.get(path).text


def test_an_operation_whose_rows_come_by_the_topic_is_started_without_a_file(served: Served) -> None:
    client, log = served
    path = client.post("/start/listen_in", data={"dataset": "people"}, headers=OWN).headers["location"]
    job = log.live.view.jobs[path.removeprefix("/jobs/")]
    assert (job.source.kind, job.dataset) == ("topic", "people")
    assert "Listen in of rows from the inbox into people" in text_of(client.get(path).text)


def test_an_operation_that_makes_a_file_is_shown_as_an_export_is(served: Served) -> None:
    client, log = served
    fields = {"dataset": "people", "from": "2026-01-01", "dry_run": "on", "max_errors": "5"}
    path = client.post("/start/audit", data=fields, headers=OWN).headers["location"]
    job = log.live.view.jobs[path.removeprefix("/jobs/")]
    assert job.options == Options(), "what its form has not is not looked at"
    page = text_of(client.get(path).text)
    assert "Audit of people, 2026-01-01 till the last day" in page
    assert "Rows are being exported." in page
    assert "Row errors" not in page


def test_an_operation_that_is_not_there_is_refused(served: Served) -> None:
    client, log = served
    answer = client.post("/start/fly", data={"dataset": "people"}, headers=HTMX)
    assert (answer.status_code, log.sent) == (404, [])
    assert "there is no operation 'fly' here" in text_of(answer.text)


def test_a_job_whose_operation_is_not_installed_any_more_has_a_page(served: Served) -> None:
    client, log = served
    log.live.view.jobs["j1"] = some_job(State.RUNNING, operation="gone")
    page = text_of(client.get("/jobs/j1").text)
    assert "Gone of rows from the inbox into people" in page
    assert "Rows are being written." in page
