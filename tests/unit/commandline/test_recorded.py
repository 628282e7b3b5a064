"""Ctrl-C while a command is on its way: what its user is told of it is known."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from typer.testing import CliRunner, Result

from client.requests import making
from commandline import connection
from devstack.cli import app
from tests.support.api.answers import WHOLE

UNKNOWN = "It is not known whether the command was recorded; see "
RECORDED = "on record"
MANY = {"action": "pause", "jobs": 1, "rows_applied": 9, "rows_left": 0} | dict.fromkeys(
    ("done", "refused", "unanswered", "left"), 0
)
MANY |= {"under_way": 1, "outcomes": [{"id": "j1", "outcome": "under_way", "state": "PAUSING", "message": None}]}

Serve = Callable[[httpx2.Request], httpx2.Response]


def answer(request: httpx2.Request) -> httpx2.Response:
    """What the API answers, of a job that gets nowhere."""
    if request.url.path.endswith("/actions"):
        return httpx2.Response(200, json=MANY)
    job = {**WHOLE, "id": "j1", "state": "PAUSING", "waiting_for": "the workers", "purging": True}
    if b'"upload"' in request.content:
        job |= {"state": "DRAFT"}
    return httpx2.Response(200, json=job)


def interrupted_before_the_answer(request: httpx2.Request) -> httpx2.Response:
    request.read()
    if request.method == "GET":
        return answer(request)
    raise KeyboardInterrupt


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setenv("SLUICE_API_URL", "http://sluice")
    original = connection.Api

    def sleep(_: float) -> None:
        raise KeyboardInterrupt

    def run(serve: Serve, *words: str) -> Result:
        monkeypatch.setattr(connection, "Api", lambda: original(httpx2.MockTransport(serve), sleep=sleep))
        return CliRunner().invoke(app, list(words))

    return run


@pytest.fixture
def people(tmp_path: Path) -> str:
    file = tmp_path / "people of 'May'.csv"
    file.write_text("name\nA\n")
    return str(file)


COMMANDS: list[tuple[list[str], str]] = [
    *(([action, "j1"], "sluice job j1") for action in ("pause", "resume", "terminate", "rollback", "purge")),
    (["rate", "j1", "5"], "sluice job j1"),
    (["end", "j1", "5"], "sluice job j1"),
    (["start", "j1"], "sluice jobs"),
    (["pause", "--all"], "sluice jobs"),
    (["rollback", "j1", "j2", "--yes"], "sluice jobs"),
    (["upload", "FILE", "--dataset", "people"], "sluice jobs"),
    (["upload", "FILE", "--dataset", "people", "--idempotency-key", "a b"], "--idempotency-key 'a b'"),
    (["upload", "FILE", "--dataset", "people", "--resumable"], "sluice jobs"),
    (["upload", "https://files.example.org/a.csv", "--dataset", "people"], "sluice jobs"),
    (["upload", "--from-topic", "--dataset", "people"], "sluice jobs"),
    (["upload", "--again", "j1"], "sluice jobs"),
    (["teams", "FILE"], "sluice jobs"),
    (["retry-errors", "j1", "FILE"], "sluice job j1"),
    (["export", "--dataset", "people", "--from", "2026-01-01"], "sluice jobs"),
    (["keys", "create", "name", "--organisation", "acme", "--role", "viewer"], "sluice keys list"),
    (["keys", "revoke", "abc"], "sluice keys list"),
    (["webhooks", "create", "name", "https://example.org"], "sluice webhooks list"),
    (["mappings", "delete", "name"], "sluice mappings"),
]


@pytest.mark.parametrize(("words", "look"), COMMANDS, ids=lambda value: value if isinstance(value, str) else value[0])
def test_before_the_answer_it_is_not_known_whether_a_command_is_recorded(
    words: list[str], look: str, run: Callable[..., Result], people: str
) -> None:
    done = run(interrupted_before_the_answer, *(people if word == "FILE" else word for word in words))
    assert done.exit_code == 130
    assert UNKNOWN in done.output and look in done.output and RECORDED not in done.output
    assert shlex.split(done.output.partition("`")[2].partition("`")[0])[0] == "sluice"


def test_what_only_asks_leaves_nothing_to_be_told(run: Callable[..., Result]) -> None:
    def interrupted(_: httpx2.Request) -> httpx2.Response:
        raise KeyboardInterrupt

    for words in (["jobs"], ["pause", "j1"], ["export", "--dataset", "people", "--from", "2026-01-01", "--estimate"]):
        done = run(interrupted, *words)
        assert (done.exit_code, done.output) == (130, "sluice: interrupted\n")
    done = run(interrupted_before_the_answer, "export", "--dataset", "people", "--from", "2026-01-01", "--estimate")
    assert (done.exit_code, done.output) == (130, "sluice: interrupted\n")


@pytest.mark.parametrize("words", [["pause", "j1"], ["terminate", "j1"], ["pause", "--all"], ["purge", "j1"]], ids=str)
def test_after_the_answer_a_command_is_on_record(words: list[str], run: Callable[..., Result]) -> None:
    def serve(request: httpx2.Request) -> httpx2.Response:
        if request.url.path.endswith("/watch"):
            raise KeyboardInterrupt
        return answer(request)

    done = run(serve, *words)
    assert done.exit_code == 130
    assert RECORDED in done.output and UNKNOWN not in done.output


def test_the_hint_to_continue_an_upload_can_be_pasted_into_a_shell(
    run: Callable[..., Result], people: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def serve(request: httpx2.Request) -> httpx2.Response:
        request.read()
        if request.method == "POST" and request.url.path == "/v1/jobs":
            assert json.loads(request.content)["source"]["upload"]
            return answer(request)
        raise KeyboardInterrupt

    monkeypatch.setattr(making, "LARGE_BYTES", 1)
    done = run(serve, "upload", people, "--dataset", "people")
    hint: Any = next(line for line in done.output.splitlines() if "If this breaks off: " in line)
    assert shlex.split(hint.partition("If this breaks off: ")[2]) == ["sluice", "upload", people, "--continue", "j1"]
    assert done.exit_code == 130 and UNKNOWN not in done.output, "the parts of a file are no command"
