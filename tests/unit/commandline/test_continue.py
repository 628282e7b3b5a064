"""`sluice upload FILE --continue ID`: which jobs it goes on with, which it refuses, and which options go with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import typer.main
from starlette.testclient import TestClient
from typer.testing import CliRunner, Result

from commandline import connection
from commandline.cli import app as cli
from schemas.job import State
from schemas.messages.commands import StartDraft
from tests.support.api.stub import PEOPLE, ROW, StubLog, complete, rest, stub

UPLOAD: Any = typer.main.get_command(cli).commands["upload"]  # type: ignore[attr-defined]
BESIDE = {"file", "continue_", "resumable", "wait", "as_json", "help"}
"""Parameters that say how the rest is sent, and not which job is made."""


class Terminal:
    def __init__(self, log: StubLog, client: TestClient, file: Path) -> None:
        self.log = log
        self.client = client
        self.file = file
        self.asked: list[str] = []
        """The methods of the requests of the last command."""

    def serve(self, request: httpx2.Request) -> httpx2.Response:
        request.read()
        self.asked.append(request.method)
        answer = self.client._transport.handle_request(request)
        answer.read()
        return answer

    def draft(self) -> str:
        """A draft of an organisation of its own, so that no other job is in its way."""
        whose = f"organisation-{len(self.log.sent)}"
        asked = {"operation": "upload", "dataset": "people", "organisation": whose, "source": {"upload": "people.csv"}}
        return str(self.client.post("/v1/jobs", json=asked).json()["id"])

    def started(self) -> str:
        """A job that has been started with the file."""
        job_id = self.draft()
        assert self.go_on(job_id).exit_code == 0
        return job_id

    def go_on(self, job_id: str, *words: str) -> Result:
        self.asked.clear()
        return CliRunner().invoke(cli, ["upload", str(self.file), "--continue", job_id, *words])

    def act(self, job_id: str, action: str, **body: Any) -> None:
        assert self.client.post(f"/v1/jobs/{job_id}/{action}", json=body).is_success

    def state(self, job_id: str) -> str:
        return str(self.log.live.view.jobs[job_id].state)


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    app, log = stub(tmp_path, draft_hours=1e6)
    file = tmp_path / "people.csv"
    file.write_bytes(PEOPLE + ROW * 4)
    monkeypatch.setenv("SLUICE_API_URL", "http://testserver")
    original = connection.Api
    with TestClient(app) as client:
        terminal = Terminal(log, client, file)
        monkeypatch.setattr(connection, "Api", lambda: original(httpx2.MockTransport(terminal.serve)))
        yield terminal


def test_a_draft_that_has_ended_takes_no_file(terminal: Terminal) -> None:
    job_id = terminal.draft()
    terminal.act(job_id, "terminate")
    done = terminal.go_on(job_id)
    assert (done.exit_code, done.stdout) == (1, "")
    assert f"job {job_id} is ROLLED_BACK and does not have this file" in done.stderr
    assert set(terminal.asked) == {"GET"}, "no file is sent to it, whatever the API would make of it"


def test_a_job_of_another_file_is_not_gone_on_with(terminal: Terminal) -> None:
    job_id = terminal.started()
    terminal.file.write_bytes(PEOPLE + ROW * 3)
    for end in (lambda: None, lambda: complete(terminal.log, job_id)):
        end()
        done = terminal.go_on(job_id)
        assert (done.exit_code, done.stdout) == (1, ""), terminal.state(job_id)
        assert set(terminal.asked) == {"GET"}


def test_a_job_of_this_very_file_is_shown_as_long_as_the_file_has_use(terminal: Terminal) -> None:
    found: dict[str, int] = {}

    def shown(job_id: str) -> None:
        done = terminal.go_on(job_id)
        assert f"Job {job_id}" in done.stdout and "nothing was sent" in done.stderr, done.output
        assert json.loads(terminal.go_on(job_id, "--json").stdout)["state"] == terminal.state(job_id)
        found[terminal.state(job_id)] = done.exit_code

    for failed in (0, 1):
        job_id = terminal.started()
        shown(job_id)
        complete(terminal.log, job_id, failed=failed)
        shown(job_id)
    terminal.act(job_id, "rollback")
    shown(job_id)
    job_id = terminal.started()
    terminal.act(job_id, "pause")
    shown(job_id)
    rest(terminal.log, job_id)
    shown(job_id)
    terminal.act(job_id, "terminate", keep_rows=True)
    shown(job_id)
    good = dict.fromkeys((State.RUNNING, State.PAUSING, State.PAUSED, State.COMPLETED), 0)
    bad = dict.fromkeys((State.COMPLETED_WITH_ERRORS, State.ROLLING_BACK, State.TERMINATED), 1)
    assert found == good | bad


@pytest.mark.parametrize(
    "parameter", [one for one in UPLOAD.params if one.name not in BESIDE], ids=lambda one: one.name
)
def test_an_option_of_a_creation_is_refused_and_nothing_is_sent(terminal: Terminal, parameter: Any) -> None:
    job_id = terminal.draft()
    option = max(parameter.opts, key=len)
    value = [] if parameter.is_flag else [{"start_at": "2h", "map_": "a=b", "set_": "a=b"}.get(parameter.name, "3")]
    done = terminal.go_on(job_id, option, *value)
    assert (done.exit_code, terminal.state(job_id)) == (2, "DRAFT"), done.output
    assert f"leave out {option}" in done.stderr


def test_what_says_how_the_rest_is_sent_goes_with_it(terminal: Terminal) -> None:
    job_id = terminal.draft()
    assert json.loads(terminal.go_on(job_id, "--resumable", "--json").stdout)["state"] == "RUNNING"
    assert [command.job_id for command in terminal.log.sent if isinstance(command, StartDraft)] == [job_id]


@pytest.mark.parametrize(
    "words",
    [("FILE", "--from-topic", "--resumable"), ("--from-topic", "--resumable"), ("--again", "ID", "--resumable")],
)
def test_no_way_to_a_file_is_passed_over_for_another(terminal: Terminal, words: tuple[str, ...]) -> None:
    named = {"FILE": str(terminal.file), "ID": terminal.started()}
    sent = len(terminal.log.sent)
    done = CliRunner().invoke(cli, ["upload", "--dataset", "people", *(named.get(word, word) for word in words)])
    assert (done.exit_code, len(terminal.log.sent)) == (2, sent), done.output
