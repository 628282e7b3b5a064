"""What a request says of a job has an effect: every field of every body that REST takes shows in the command that is
sent, or is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from starlette.testclient import TestClient

from api.models.requests import ActionRequest, Elsewhere, InputEnd, JobRequest, Rate, Start
from api.readmodel.seen import JobSeen
from api.routes import commands, jobs
from tests.support.api.stub import PEOPLE, ROW, StubLog, complete, make_job, stub

FILE = PEOPLE + ROW * 3
AT, AT_MS = "2026-03-01T12:00:00Z", 1_772_366_400_000
VALUES: dict[str, Any] = {
    "reason": "for this reason", "resume_at": AT, "keep_rows": True, "force": True, "partial": True, "rows": 77,
    "options": {"max_errors": 77}, "start_at": AT, "sha256": "ab" * 32, "rows_per_second": 77.5, "operation": "teams",
    "dataset": "teams", "organisation": "acme", "file": "/imports/a.csv", "source": {"upload": "seventy.csv"},
    "from": "2026-01-01", "till": "2026-01-02", "confirm": True, "job": "another", "url": "s3://bucket/seventy.csv",
    "upload": "seventy.csv", "bytes": 77,
}  # fmt: skip
"""Field -> a value that is not its default."""
NOT_IN_COMMANDS = {("rollback", "partial"), ("create", "confirm"), ("draft", "confirm")}
"""What waives a check of the API before the command."""


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[TestClient, StubLog]]:
    monkeypatch.setattr("api.jobs.creation.drafts.now_ms", lambda: AT_MS - 3_600_000)
    monkeypatch.setattr("api.readmodel.command_log.now_ms", lambda: AT_MS - 3_600_000)
    monkeypatch.setattr("api.jobs.creation.job_request.now_ms", lambda: AT_MS - 3_600_000)
    app, log = stub(tmp_path, draft_hours=1e6)
    log.began_at = AT_MS - 3_600_000
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client, log


def running(client: TestClient, log: StubLog) -> str:
    return f"/{make_job(client, FILE).json()['id']}"


def of_the_inbox(client: TestClient, log: StubLog) -> str:
    body = {"operation": "upload", "dataset": "people", "source": "topic"}
    return f"/{client.post('/v1/jobs', json=body).json()['id']}"


def ended(client: TestClient, log: StubLog, **options: Any) -> str:
    job_id = make_job(client, FILE, options=options).json()["id"]
    complete(log, job_id)
    return f"/{job_id}"


def dry_run(client: TestClient, log: StubLog) -> str:
    return ended(client, log, dry_run=True)


def draft(client: TestClient, log: StubLog) -> str:
    body = {"operation": "upload", "dataset": "people", "source": {"upload": "people.csv"}}
    job_id = client.post("/v1/jobs", json=body).json()["id"]
    client.patch(f"/v1/jobs/{job_id}/file", content=FILE, headers={"Upload-Offset": "0"})
    return f"/{job_id}"


def none(client: TestClient, log: StubLog) -> str:
    return ""


TOPIC = {"operation": "upload", "dataset": "people", "source": "topic"}
ELSEWHERE = {"operation": "upload", "dataset": "people"}
CASES: dict[str, tuple[str, Any, Any, dict[str, Any]]] = {
    "pause": ("pause", running, ActionRequest, {}),
    "resume": ("resume", running, ActionRequest, {}),
    "terminate": ("terminate", running, ActionRequest, {}),
    "rollback": ("rollback", ended, ActionRequest, {}),
    "purge": ("purge", ended, ActionRequest, {}),
    "rate": ("rate", running, Rate, {"rows_per_second": 5.5}),
    "end": ("end", of_the_inbox, InputEnd, {"rows": 5}),
    "start of a draft": ("start", draft, Start, {}),
    "start of a dry run": ("start", dry_run, Start, {}),
    "create": ("", none, JobRequest, TOPIC),
    "draft": ("", none, JobRequest, {**ELSEWHERE, "source": {"upload": "people.csv"}}),
    "a part of a file": ("", none, Elsewhere, {**ELSEWHERE, "source": {"upload": "people.csv"}}),
    "another job": ("", none, Elsewhere, {**ELSEWHERE, "source": {"job": ""}}),
    "an address": ("", none, Elsewhere, {**ELSEWHERE, "source": {"url": "https://example.org/a.csv"}}),
}
"""Case -> the last part of its path, what makes its job, the struct, a body."""


def test_every_body_of_a_request_for_a_job_is_tried() -> None:
    bodies = {one.body.json for one in (*commands.ENDPOINTS, *jobs.ENDPOINTS) if one.body is not None and one.body.json}
    assert bodies <= {struct for _, _, struct, _ in CASES.values()}, "tell here what else a request may say"
    paths = {one.path.rpartition("/")[2] for one in commands.ENDPOINTS if one.body is not None and one.body.json}
    assert paths <= {path for path, *_ in CASES.values()}


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, key)
    else:
        yield name, value


def shown(field: str, value: Any, command: Any) -> bool:
    found = set(leaves(msgspec.to_builtins(command)))
    if value is True:
        return (field, True) in found
    values = {AT_MS if inner == AT else inner for _, inner in leaves(value)}
    return values <= {inner for _, inner in found}


@pytest.mark.parametrize("case", CASES)
def test_what_a_request_says_shows_in_the_command_or_is_refused(served: tuple[TestClient, StubLog], case: str) -> None:
    client, log = served
    path, make, struct, base = CASES[case]
    for field in msgspec.structs.fields(struct):
        name = field.encode_name
        log.live.take([JobSeen(job, None) for job in list(log.live.view.jobs)])
        at = make(client, log)
        body = {**base, name: VALUES[name]}
        if struct is Elsewhere:
            other = ended(client, log).strip("/") if "job" in base["source"] else None
            body = {**base, "source": {**base["source"], **({"job": other} if other else {}), name: VALUES[name]}}
        sent = len(log.sent)
        method = "PUT" if path == "rate" else "POST"
        answer = client.request(method, f"/v1/jobs{at}{'/' if path else ''}{path}", json=body)
        if len(log.sent) == sent:
            assert 400 <= answer.status_code < 500, (name, answer.text)
        elif (case, name) not in NOT_IN_COMMANDS:
            (command,) = log.sent[sent:]
            assert shown(name, VALUES[name], command), f"{name} is passed over in silence: {command}"
