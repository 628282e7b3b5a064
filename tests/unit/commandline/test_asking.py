"""A question before many jobs are changed: the command is for the jobs that were counted, and for no others."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import typer.main
from starlette.testclient import TestClient

from commandline import connection
from commandline.cli import app as cli
from schemas.job import State
from tests.support.api.stub import StubLog, complete, make_job, stub

LINE: Any = typer.main.get_command(cli)


class Keyboard(io.StringIO):
    """What a person types at a terminal."""

    def isatty(self) -> bool:
        return True


@dataclass(frozen=True)
class Ended:
    exit_code: int
    stdout: str
    stderr: str


class Terminal:
    """Runs commands; as soon as a question has been counted for, `meanwhile` comes about."""

    def __init__(self, client: TestClient, log: StubLog, monkeypatch: pytest.MonkeyPatch) -> None:
        self.client = client
        self.log = log
        self.monkeypatch = monkeypatch
        self.sent: list[dict[str, Any]] = []
        self.meanwhile: Callable[[], Any] = lambda: None

    def serve(self, request: httpx2.Request) -> httpx2.Response:
        request.read()
        answer = self.client._transport.handle_request(request)
        answer.read()
        if request.url.path.endswith("/actions"):
            self.sent.append(json.loads(request.content))
            if self.sent[-1].get("preview"):
                self.meanwhile()
        return answer

    def run(self, *words: str, typed: str = "y\n") -> Ended:
        self.sent.clear()
        self.monkeypatch.setattr("sys.stdin", Keyboard(typed))
        shown, said = io.StringIO(), io.StringIO()
        with redirect_stdout(shown), redirect_stderr(said), pytest.raises(SystemExit) as end:
            LINE.main([*words, "--no-wait"], prog_name="sluice")
        return Ended(int(end.value.code or 0), shown.getvalue(), said.getvalue())

    def state(self, job_id: str) -> State:
        return self.log.live.view.jobs[job_id].state

    def made(self, organisation: str, *, done: bool = False) -> str:
        """A job that is RUNNING, or COMPLETED."""
        job_id = str(make_job(self.client, organisation=organisation).json()["id"])
        if done:
            complete(self.log, job_id)
        return job_id


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    app, log = stub(tmp_path)
    monkeypatch.setenv("SLUICE_API_URL", "http://testserver")
    original = connection.Api
    with TestClient(app) as client:
        terminal = Terminal(client, log, monkeypatch)
        monkeypatch.setattr(connection, "Api", lambda: original(httpx2.MockTransport(terminal.serve)))
        yield terminal


@pytest.mark.parametrize("action", ["terminate", "rollback"])
@pytest.mark.parametrize(
    "which", [("--all",), ("--operation", "upload"), ("--state", "RUNNING,COMPLETED"), ("--organisation", "a,b,c")]
)
def test_a_job_that_comes_to_fit_after_the_question_is_left_alone(
    terminal: Terminal, action: str, which: tuple[str, ...]
) -> None:
    done = action == "rollback"
    counted = [terminal.made(whose, done=done) for whose in ("a", "b")]
    later: list[str] = []
    terminal.meanwhile = lambda: later.append(terminal.made("c", done=done))
    told = terminal.run(action, *which)
    assert told.exit_code == 0, told.output
    assert f"{action.capitalize()} 2 jobs" in told.stderr
    assert {terminal.state(job_id) for job_id in counted} <= {State.TERMINATING, State.ROLLING_BACK}
    assert [terminal.state(job_id) for job_id in later] == [State.COMPLETED if done else State.RUNNING]
    assert [set(sent) & {"jobs", "filter", "all"} for sent in terminal.sent][1:] == [{"jobs"}]


def test_no_is_no_and_nothing_that_was_counted_is_nothing(terminal: Terminal) -> None:
    job_id = terminal.made("a")
    no = terminal.run("terminate", "--all", typed="n\n")
    assert (no.exit_code, terminal.state(job_id), len(terminal.sent)) == (1, State.RUNNING, 1)
    terminal.meanwhile = lambda: terminal.made("b", done=True)
    none = terminal.run("rollback", "--organisation", "b")
    assert (none.exit_code, "There is no such job" in none.stdout) == (0, True)
    assert all(sent.get("preview") for sent in terminal.sent)


def test_more_jobs_than_can_be_named_are_not_asked_about(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [terminal.made(whose) for whose in ("a", "b", "c")]
    monkeypatch.setattr("api.glance.many.MOST_NAMED", 2)
    told = terminal.run("terminate", "--all")
    assert (told.exit_code, {terminal.state(job_id) for job_id in jobs}) == (2, {State.RUNNING})
    assert "this would terminate 3 jobs" in told.stderr and "--yes" in told.stderr
    assert terminal.run("terminate", "--all", "--yes").exit_code == 0
    assert {terminal.state(job_id) for job_id in jobs} == {State.TERMINATING}


def test_jobs_that_are_named_stay_those_that_are_named(terminal: Terminal) -> None:
    running, ended = terminal.made("a"), terminal.made("b", done=True)
    told = terminal.run("rollback", running, ended)
    assert (told.exit_code, "Rollback 1 job" in told.stderr, "1 refused" in told.stdout) == (1, True, True)
    assert terminal.sent[-1]["jobs"] == [running, ended]
