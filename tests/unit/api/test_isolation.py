"""Two organisations, three roles, and every route there is: each sees its own, and nothing of the other's.

A route of a job is tried without a change here. Another one that stands in none of the tables fails the test: add it,
and what another organisation gets from it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from httpx2 import Response
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from api.app import routes
from schemas.policies.principals import Role
from tests.support.api.pages import HTMX, OWN
from tests.support.api.stub import PEOPLE, ROW, make_job
from tests.support.api.world import CORRECTED, EXPORT, World

Place = tuple[str, str]
JOB, PAGE = "/v1/jobs/{job_id}", "/jobs/{job_id}"


def places() -> Iterator[Place]:
    for route in routes():
        if isinstance(route, Mount):
            yield "GET", route.path
        else:
            assert isinstance(route, Route)
            for method in sorted(route.methods or ()):
                if method != "HEAD":
                    yield method, route.path


OF_A_JOB = {place for place in places() if "{job_id}" in place[1]}
ACTS: set[Place] = {place for place in OF_A_JOB if place[0] != "GET"} | {("GET", f"{PAGE}/file")}
READS: set[Place] = OF_A_JOB - ACTS
"""Viewers may; what is in `ACTS` takes an operator, or an admin."""
LISTS: set[Place] = {("GET", "/v1/jobs"), ("GET", "/v1/stats"), ("GET", "/"), ("GET", "/jobs")}
"""They show the caller's own."""
MAKES: set[Place] = {("POST", "/v1/jobs"), ("POST", "/start/{operation}")}
ADMINS: set[Place] = {
    ("GET", "/v1/keys"),
    ("POST", "/v1/keys"),
    ("DELETE", "/v1/keys/{key_id}"),
    ("GET", "/v1/security-events"),
    ("GET", "/keys"),
    ("POST", "/keys"),
    ("POST", "/keys/{key_id}/revoke"),
}
COMMON: set[Place] = {
    *(("GET", path) for path in ("/installation", "/stop", "/v1/limits")),
    *(("POST", f"{root}/jobs/actions") for root in ("", "/v1")),
    ("POST", "/estimate/{operation}"),
    ("POST", "/v1/exports/estimate"),
    ("GET", "/v1/datasets"),
    ("GET", "/v1/principal"),
    ("POST", "/columns"),
    ("POST", "/sign-out"),
}
"""They show the caller, or what all organisations have in common."""
OPEN: set[Place] = {
    *(("GET", path) for path in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/sign-in", "/static")),
    ("GET", "/sign-in/provider"),
    ("GET", "/sign-in/callback"),
    ("POST", "/sign-in"),
}
MAPPINGS: set[Place] = {("GET", "/v1/mappings"), *((m, "/v1/mappings/{name}") for m in ("GET", "PUT", "DELETE"))}
WEBHOOKS: set[Place] = {
    *(("GET", path) for path in ("/v1/webhooks", "/v1/webhooks/{webhook_id}", "/v1/webhooks/{webhook_id}/deliveries")),
    ("POST", "/v1/webhooks"),
    ("DELETE", "/v1/webhooks/{webhook_id}"),
    *(("POST", f"/v1/webhooks/{{webhook_id}}/{name}") for name in ("test", "secret", "redeliver")),
    ("GET", "/webhooks"),
    ("POST", "/webhooks"),
    *(("POST", f"/webhooks/{{webhook_id}}/{name}") for name in ("delete", "test", "secret", "redeliver")),
}
KNOWN = READS | ACTS | LISTS | MAKES | ADMINS | COMMON | OPEN | MAPPINGS | WEBHOOKS
SENTINEL = "sentinel"
"""In whatever the other organisation has: in its name, its files, its reasons."""
OURS, THEIRS = "acme", f"{SENTINEL}-globex"


class Both(World):
    """An API with jobs of both organisations, and callers of each role."""

    def start(self, **more: Any) -> None:
        super().start(api_require_key=True, **more)
        self.keys = {
            (organisation, role): self.log.principals.key(role, organisation)
            for organisation in (OURS, THEIRS)
            for role in Role
        }
        self.cookies: dict[tuple[str, str], str] = {}
        self.client.follow_redirects = False
        self.as_admin()

    def as_admin(self) -> None:
        self.client.headers["X-API-Key"] = "secret"

    def asked(self, place: Place, organisation: str, role: str, job_id: str = "", **more: Any) -> Response:
        """The answer to a request of this caller: with its key, or on the page with its session."""
        method, pattern = place
        path = pattern.replace("{job_id}", job_id).replace("{operation}", "export")
        self.client.headers.pop("X-API-Key", None)
        headers = {**more.pop("headers", {})}
        if pattern.startswith("/v1/"):
            headers["X-API-Key"] = self.keys[organisation, role]
        else:
            headers |= {**OWN, "Cookie": self.cookie(organisation, role)}
        try:
            return self.client.request(method, path, headers=headers, **more)
        finally:
            self.client.cookies.clear()
            self.as_admin()

    def cookie(self, organisation: str, role: str) -> str:
        if (organisation, role) not in self.cookies:
            answer = self.client.post("/sign-in", data={"key": self.keys[organisation, role]}, headers=OWN)
            self.cookies[organisation, role] = answer.headers["set-cookie"].partition(";")[0]
            self.client.cookies.clear()
        return self.cookies[organisation, role]

    def job_of(self, organisation: str, place: Place) -> str:
        """A job for which the request is valid."""
        name = place[1].rpartition("/")[2]
        job = {"organisation": organisation, "reason": SENTINEL if organisation == THEIRS else "ours"}
        if name == "file":
            return self.draft(**job)
        if name.startswith("undone"):
            return self.rolled_back(**job)
        if name in ("preview", "start", "changes", "changes.csv"):
            return self.completed(**job, options={"dry_run": True})
        if name == "result":
            before = len(self.log.live.view.jobs)
            job_id = str(self.ask("createJob", json={**EXPORT, **job}).json()["id"])
            assert len(self.log.live.view.jobs) == before + 1
            return self.export_done(job_id)
        if name == "end":
            body = {"operation": "upload", "dataset": "people", "source": "topic", **job}
            return str(self.ask("createJob", json=body).json()["id"])
        return self.completed(**job, failed=1) if name in ("retry-errors", "watch") else self.running(**job)


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Both]:
    made = Both(tmp_path)
    yield made
    made.open.close()


def body_of(place: Place) -> dict[str, Any]:
    """A valid body."""
    method, path = place
    name = path.rpartition("/")[2]
    if method == "GET":
        return {}
    if method == "PATCH":
        return {"content": b"", "headers": {"Upload-Offset": "0"}}
    if path.startswith("/v1/"):
        bodies: dict[str, dict[str, Any]] = {
            "rate": {"json": {"rows_per_second": 5}},
            "end": {"json": {"rows": 1}},
            "retry-errors": {"content": CORRECTED, "headers": {"content-type": "text/csv"}},
        }
        return bodies.get(name, {"json": {}})
    if name == "retry-errors":
        return {"files": [("file", ("errors.csv", CORRECTED, "text/csv"))]}
    return {"data": {"rows_per_second": "5"} if name == "rate" else {"reason": ""}}


def test_every_route_is_known_here() -> None:
    there = set(places())
    assert there - KNOWN == set(), "say in a table of this module what another organisation gets from these"
    assert KNOWN - there == set(), "these are no routes any more"


@pytest.mark.parametrize("place", sorted(READS | ACTS), ids=" ".join)
def test_a_job_is_there_for_its_own_organisation_alone(both: Both, place: Place) -> None:
    theirs = both.job_of(THEIRS, place)
    methods = [place[0], "HEAD"] if place[0] == "GET" else [place[0]]
    before = len(both.log.sent)
    for role in Role:
        for method in methods:
            answer = both.asked((method, place[1]), OURS, role, theirs, **body_of(place))
            assert answer.status_code == 404, (role, method, answer.text)
            assert SENTINEL not in answer.text
            assert SENTINEL not in str(answer.headers)
    none = both.asked(place, OURS, Role.ADMIN, "0" * len(theirs), **body_of(place))
    some = both.asked(place, OURS, Role.ADMIN, theirs, **body_of(place))
    assert none.text.replace("0" * len(theirs), theirs) == some.text, "a job that is not there is answered alike"
    assert len(both.log.sent) == before, "no command was sent"
    for role in Role:
        answer = both.asked(place, THEIRS, role, theirs, **body_of(place))
        needed = Role.ADMIN if place[1].endswith("/purge") else Role.OPERATOR if place in ACTS else Role.VIEWER
        if not role.covers(needed):
            assert answer.status_code == 403, answer.text
        else:
            assert answer.status_code not in (401, 403, 404, 405, 500), (role, answer.status_code, answer.text)


@pytest.mark.parametrize(
    "place", sorted(LISTS | COMMON | {place for place in ADMINS if place[0] == "GET"}), ids=" ".join
)
def test_nothing_of_another_organisation_is_in_a_list(both: Both, place: Place) -> None:
    theirs, ours = both.running(organisation=THEIRS, reason=SENTINEL), both.running(organisation=OURS)
    both.asked(("POST", f"{JOB}/pause"), THEIRS, Role.VIEWER, theirs, json={})  # an event of security
    for role in Role:
        answer = both.asked(place, OURS, role, headers=HTMX if place == ("GET", "/jobs") else {}, **body_of(place))
        if place in ADMINS and role is not Role.ADMIN:
            assert answer.status_code == 403
            continue
        assert SENTINEL not in answer.text, role
        assert theirs not in answer.text
        if place in LISTS and place != ("GET", "/v1/stats"):
            assert ours in answer.text
    if place == ("GET", "/v1/stats"):
        assert both.asked(place, OURS, Role.VIEWER).json()["jobs"] == 1
        assert both.client.get("/v1/stats").json()["jobs"] == 2


def test_what_names_an_organisation_is_refused_for_another_one(both: Both) -> None:
    both.running(organisation=THEIRS, reason=SENTINEL)
    estimate = {"operation": "export", "dataset": "people", "from": "2026-01-01", "organisation": THEIRS}
    form = {"dataset": "people", "from": "2026-01-01", "organisation": THEIRS}
    for role in Role:
        answer = both.asked(("GET", "/v1/limits"), OURS, role, params={"organisation": THEIRS})
        none = both.asked(("GET", "/v1/limits"), OURS, role, params={"organisation": "no-such"})
        assert (answer.status_code, none.status_code) == (404, 404)
        assert answer.text.replace(THEIRS, "no-such") == none.text
        assert both.asked(("GET", "/v1/limits"), THEIRS, role).json()["organisation"] == THEIRS
        for place, body in ((("POST", "/v1/exports/estimate"), {"json": estimate}),
                            (("POST", "/estimate/{operation}"), {"data": form})):  # fmt: skip
            refused = both.asked(place, OURS, role, **body)
            # The page says it where the estimate would be.
            assert refused.status_code == 403 or "may not act for organisation" in refused.text, (role, refused.text)
            own = both.asked(place, THEIRS, role, **body)
            assert own.status_code == (200 if role.covers(Role.OPERATOR) else 403), (role, place, own.text)
        # The page's list: the organisation's name is a filter, and its limits are shown to those who may see it.
        ours = both.asked(("GET", "/"), OURS, role, params={"organisation": THEIRS}).text
        theirs = both.asked(("GET", "/"), THEIRS, role).text
        assert f"Limits of {THEIRS}" not in ours and f"Limits of {THEIRS}" in theirs
        stop = both.asked(("GET", "/stop"), OURS, role, params={"organisation": THEIRS})
        assert stop.status_code in (200, 303, 400, 403) and SENTINEL not in stop.text.replace(THEIRS, "")
        assert "Jobs by state" not in both.asked(("GET", "/installation"), OURS, role, headers=HTMX).text
        assert "Jobs by state" in both.asked(("GET", "/installation"), THEIRS, role, headers=HTMX).text


@pytest.mark.parametrize("place", [("POST", "/v1/jobs/actions"), ("POST", "/jobs/actions")], ids=" ".join)
def test_a_command_for_many_reaches_no_job_of_another_organisation(both: Both, place: Place) -> None:
    theirs, ours = both.running(organisation=THEIRS, reason=SENTINEL), both.running(organisation=OURS)
    rest = place[1].startswith("/v1/")
    for role in Role:
        before = len(both.log.sent)
        chosen: list[dict[str, Any]] = [
            {"jobs": [theirs]}, {"filter": {"organisation": [THEIRS]}}, {"filter": {"state": ["PAUSED"]}},
        ]  # fmt: skip
        for which in chosen:
            names = (
                {"which": "ticked", "job": theirs} if "jobs" in which else {"which": "filter", "organisation": THEIRS}
            )
            body = {"json": {"action": "pause", "reason": "r", **which}} if rest else {
                "data": {"action": "pause", "reason": "r", "sure": "yes", **names}}  # fmt: skip
            answer = both.asked(place, OURS, role, **body)
            assert answer.status_code == 403 if role is Role.VIEWER else answer.status_code < 500, answer.text
            assert SENTINEL not in answer.text.replace(THEIRS, "")
        assert len(both.log.sent) == before, "no command was sent"
        assert both.log.live.view.jobs[theirs].state == "RUNNING"
    none = both.asked(("POST", "/v1/jobs/actions"), OURS, Role.OPERATOR, json={"action": "pause", "jobs": ["0" * 16]})
    some = both.asked(("POST", "/v1/jobs/actions"), OURS, Role.OPERATOR, json={"action": "pause", "jobs": [theirs]})
    assert none.text.replace("0" * 16, theirs) == some.text, "a job that is not there is answered alike"
    every = both.asked(("POST", "/v1/jobs/actions"), OURS, Role.OPERATOR, json={"action": "pause", "all": True})
    assert every.status_code == 202 and theirs not in every.text and ours in every.text
    assert both.log.live.view.jobs[theirs].state == "RUNNING"


@pytest.mark.parametrize("place", sorted(MAKES), ids=" ".join)
def test_a_job_is_made_for_ones_own_organisation_alone(both: Both, place: Place) -> None:
    for role in Role:
        if place[1].startswith("/v1/"):
            body: dict[str, Any] = {"json": {**EXPORT, "organisation": THEIRS}}
        else:
            body = {"data": {"dataset": "people", "from": "2026-01-01", "organisation": THEIRS}}
        answer = both.asked(place, OURS, role, **body)
        assert answer.status_code == 403, (role, answer.text)
    assert both.log.sent == []


@pytest.mark.parametrize(
    "place", [("DELETE", "/v1/keys/{key_id}"), ("POST", "/keys/{key_id}/revoke")], ids=["REST", "page"]
)
def test_a_key_of_another_organisation_is_not_there(both: Both, place: Place) -> None:
    theirs = both.keys[THEIRS, Role.VIEWER].split("_")[1]
    for role, code in ((Role.VIEWER, 403), (Role.OPERATOR, 403), (Role.ADMIN, 404)):
        asked = place[0], place[1].replace("{key_id}", theirs)
        assert both.asked(asked, OURS, role, **body_of(place)).status_code == code
    assert both.asked(("GET", JOB), THEIRS, Role.VIEWER, both.running(organisation=THEIRS)).status_code == 200


@pytest.mark.parametrize("place", sorted(MAPPINGS), ids=" ".join)
def test_a_mapping_of_another_organisation_is_not_there(both: Both, place: Place) -> None:
    asked = place[0], place[1].replace("{name}", "monday")
    body = {"json": {"dataset": "people", "columns": {"Name": "name"}}} if place[0] == "PUT" else {}
    for role in Role:
        theirs = both.asked(asked, OURS, role, params={"organisation": THEIRS}, **body)
        if asked == ("GET", "/v1/mappings"):
            assert theirs.json() == {"mappings": []}
        else:
            assert theirs.status_code == (404 if place[0] == "GET" else 403), role
        own = both.asked(asked, THEIRS, role, **body)  # its one organisation goes without saying
        reads = place[0] == "GET" or role is not Role.VIEWER
        assert own.status_code == (403 if not reads else 204 if place[0] == "DELETE" else 200), own.text


@pytest.mark.parametrize("place", sorted(WEBHOOKS), ids=" ".join)
def test_a_webhook_of_another_organisation_is_not_there(both: Both, place: Place) -> None:
    hook = {"url": f"https://8.8.8.8/{SENTINEL}", "organisation": THEIRS}
    theirs = str(both.ask("createWebhook", json={**hook, "name": SENTINEL}).json()["id"])
    asked = place[0], place[1].replace("{webhook_id}", theirs)
    more: dict[str, Any] = {}
    if place[0] == "POST":
        making = {**hook, "once": "0123456789"} if place[1] == "/webhooks" else {}
        more = {"json": hook if place[1] == "/v1/webhooks" else {}} if "v1" in place[1] else {"data": making}
    for role in Role:
        answer = both.asked(asked, OURS, role, **more)
        if role is Role.VIEWER:
            assert answer.status_code == 403, answer.text
        elif place[0] == "GET" and "{" not in place[1]:
            assert answer.status_code == 200
            assert SENTINEL not in answer.text
        else:
            assert answer.status_code == (404 if "{" in place[1] else 403), (role, answer.text)
        own = both.asked((place[0], asked[1].replace(theirs, "0" * 10)), OURS, role, **more)
        assert own.text.replace("0" * 10, theirs) == answer.text or "{" not in place[1], "as one that is not there"
    assert theirs in both.log.webhooks.webhooks.all


def test_the_file_of_another_organisations_job_is_not_read_again(both: Both) -> None:
    theirs = both.completed(organisation=THEIRS)
    for role, code in ((Role.VIEWER, 403), (Role.OPERATOR, 404), (Role.ADMIN, 404)):
        body = {"operation": "upload", "source": {"job": theirs}, "organisation": OURS}
        answer = both.asked(("POST", "/v1/jobs"), OURS, role, json=body)
        assert answer.status_code == code, answer.text
    own = both.asked(("POST", "/v1/jobs"), THEIRS, Role.OPERATOR, json={**body, "organisation": THEIRS})
    assert own.status_code != 404


def test_what_a_scraper_sees_names_no_one(both: Both) -> None:
    theirs = both.running(organisation=THEIRS, reason=SENTINEL)
    both.asked(("GET", JOB), THEIRS, Role.VIEWER, theirs)
    text = both.client.get("/metrics").text
    for name in (SENTINEL, theirs, OURS, "viewer of"):
        assert name not in text


def test_an_idempotency_key_is_of_one_organisation(both: Both) -> None:
    """Two principals of one name, as two teams may well have a `loader`."""
    keys = [both.log.principals.key("operator", organisation, name="loader") for organisation in (OURS, THEIRS)]
    made = []
    for key in keys:
        both.client.headers["X-API-Key"] = key
        answer, again = (make_job(both.client, key="monday") for _ in range(2))
        assert (answer.status_code, again.json()["id"]) == (201, answer.json()["id"])
        made.append(answer.json())
    assert [job["organisation"] for job in made] == [OURS, THEIRS]
    assert len({job["id"] for job in made}) == 2


def test_an_exclusive_key_tells_nothing_of_another_organisation(both: Both) -> None:
    theirs = both.running(organisation=THEIRS)
    both.client.headers["X-API-Key"] = both.keys[OURS, Role.OPERATOR]
    assert make_job(both.client).status_code == 201
    busy = make_job(both.client, key="2")
    assert (busy.status_code, theirs in busy.text) == (409, False)


def test_a_cursor_leads_on_in_lists_of_the_same_organisations_alone(both: Both) -> None:
    for organisation in (OURS, THEIRS):
        for number in range(2):
            both.completed(organisation=organisation, key=f"{organisation}{number}")
    first = both.client.get("/v1/jobs", params={"limit": 1}, headers={"X-API-Key": both.keys[THEIRS, Role.VIEWER]})
    after = {"limit": 1, "after": first.json()["next"]}
    for role in Role:
        following = both.client.get("/v1/jobs", params=after, headers={"X-API-Key": both.keys[THEIRS, role]})
        assert len(following.json()["jobs"]) == 1
        assert (
            both.client.get("/v1/jobs", params=after, headers={"X-API-Key": both.keys[OURS, role]}).status_code == 400
        )
    assert both.client.get("/v1/jobs", params=after).status_code == 400, "nor in the admin's list"


def test_the_history_of_one_job_names_no_other(both: Both) -> None:
    both.running(organisation=THEIRS, reason=SENTINEL)
    ours = both.running(organisation=OURS)
    for role in Role:
        history = both.asked(("GET", f"{JOB}/history"), OURS, role, ours)
        assert history.status_code == 200
        assert SENTINEL not in json.dumps(history.json())


def test_a_caller_of_several_organisations_says_which(both: Both) -> None:
    both.client.headers["X-API-Key"] = both.log.principals.key("operator", "acme", "initech")
    assert make_job(both.client).status_code == 403, "none of them is `default`"
    made = make_job(both.client, organisation="initech", key="2")
    assert (made.status_code, made.json()["organisation"]) == (201, "initech")
    assert isinstance(both.client, TestClient)
    assert make_job(both.client, body=PEOPLE + ROW, organisation="globex", key="3").status_code == 403
