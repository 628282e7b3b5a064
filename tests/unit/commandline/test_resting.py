"""Which states end a wait, for every state there is: of the client, of a command for a job, and of one for many. And
whether each command that waits does so where there is no event stream for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from typer.testing import CliRunner, Result

from client import Sluice
from client.requests import states
from commandline import connection
from commandline.cli import app as cli
from schemas.job import ENDED, RESTING, State
from tests.support.api.answers import WHOLE

MOVING = sorted(set(State) - RESTING)


class Api:
    """Stands for the API: the answer to a command has the first of its job's states, and each look at the job finds the
    next one, the last for ever. Its events are all of them."""

    def __init__(self, *script: str, outcome: str = "under_way", **jobs: tuple[str, ...]) -> None:
        self.jobs = {name: list(states) for name, states in (jobs or {"j1": script}).items()}
        self.outcome = outcome
        self.acted = False
        self.slept: list[float] = []

    def job(self, name: str, state: str, **more: Any) -> dict[str, Any]:
        ended = state in ENDED or state == "FAILED"
        return {**WHOLE, "id": name, "state": state, "ended": ended, "reason": f"why {name}", **more}

    def serve(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path.removeprefix("/v1/jobs") or "/j1"
        if path == "/actions":
            return httpx2.Response(200, json=self.many(json.loads(request.content)))
        name = path.split("/")[1]
        script = self.jobs[name]
        if path.endswith("/watch"):
            events = [{**self.job(name, state), "epoch": at} for at, state in enumerate(script)]
            return httpx2.Response(200, text="".join(f"event: state\ndata: {json.dumps(one)}\n\n" for one in events))
        if request.method == "POST":
            return httpx2.Response(202, json=self.job(name, script[0], waiting_for="the rows to be taken out"))
        if self.acted and len(script) > 1:
            script.pop(0)
        return httpx2.Response(200, json=self.job(name, script[0]))

    def many(self, asked: dict[str, Any]) -> dict[str, Any]:
        outcomes = [
            {"id": name, "outcome": self.outcome, "state": script[0], "message": "the rows to be taken out"}
            for name, script in self.jobs.items()
        ]
        counts = dict.fromkeys(("done", "under_way", "refused", "unanswered", "left"), 0)
        counts[self.outcome] = len(outcomes)
        self.acted = True
        numbers = {"jobs": len(outcomes), "rows_applied": 9, "rows_left": 0}
        return {"action": asked["action"], **numbers, **counts, "outcomes": outcomes}


Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command against an API to its end with this code."""
    monkeypatch.setenv("SLUICE_API_URL", "http://sluice")
    original = connection.Api

    def run(api: Api, *words: str, code: int = 0) -> Result:
        monkeypatch.setattr(
            connection, "Api", lambda: original(httpx2.MockTransport(api.serve), sleep=api.slept.append)
        )
        done = CliRunner().invoke(cli, list(words))
        assert done.exit_code == code, (done.output, done.exception)
        return done

    return run


def test_the_states_are_those_of_the_server() -> None:
    assert states.ENDED == ENDED
    assert states.RESTING == RESTING
    assert {state for state in State if states.at_rest(state)} == RESTING


@pytest.mark.parametrize("state", State)
def test_the_client_waits_through_every_state_that_moves(state: State) -> None:
    api = Api(state, "COMPLETED")
    found = Sluice("http://sluice", "key", transport=httpx2.MockTransport(api.serve)).wait("j1", "resting").state
    assert found == (state if state in RESTING else "COMPLETED")


@pytest.mark.parametrize("state", MOVING)
@pytest.mark.parametrize(("end", "code"), [("ROLLED_BACK", 0), ("ROLLBACK_PAUSED", 0), ("FAILED", 1)])
def test_a_command_for_a_job_waits_through_every_state_that_moves(run: Run, state: State, end: str, code: int) -> None:
    for action in ("pause", "terminate", "rollback"):
        assert json.loads(run(Api(state, end), action, "j1", "--json", code=code).stdout)["state"] == end
        assert end in run(Api(state, end), action, "j1", code=code).stdout


@pytest.mark.parametrize("state", MOVING)
def test_a_command_for_many_jobs_waits_through_every_state_that_moves(run: Run, state: State) -> None:
    api = Api(j1=(state, state, "ROLLED_BACK"), j2=(state, "PAUSED"))
    told = run(api, "rollback", "j1", "j2", "--yes").output
    assert "2 of 2 jobs are still under way" in told
    assert ": 2 done." in told and "ROLLED_BACK" in told and "PAUSED" in told


def test_a_job_that_has_failed_is_told_as_such_and_ends_a_command_with_1(run: Run) -> None:
    for outcome in ("under_way", "done"):
        api = Api(j1=("FAILED",), j2=("FAILED",), j3=("ROLLED_BACK",), outcome=outcome)
        told = run(api, "rollback", "j1", "j2", "j3", "--yes", code=1).stdout
        assert ": 2 FAILED, 1 done." in told, told
    api = Api(j1=("ROLLING_BACK", "FAILED"), j2=("ROLLING_BACK", "ROLLED_BACK"))
    answer = json.loads(run(api, "rollback", "j1", "j2", "--yes", "--json", code=1).stdout)
    assert [item["message"] for item in answer["outcomes"]] == ["why j1", None]
    assert (answer["done"], answer["under_way"]) == (2, 0)


@pytest.mark.parametrize("action", ["pause", "resume", "terminate", "rollback"])
def test_a_command_that_no_worker_has_taken_is_not_done(run: Run, action: str) -> None:
    before, after = {"resume": ("PAUSED", "RUNNING")}.get(action, ("COMPLETED", "ROLLED_BACK"))
    words = (action, "j1", "j2", *(("--yes",) if action in ("terminate", "rollback") else ()))
    api = Api(j1=(before,), j2=(before,), outcome="unanswered")
    assert ": 2 on record, and taken by no worker yet." in run(api, *words, code=3).stdout
    api = Api(j1=(before, after), j2=(before,), outcome="unanswered")
    assert ": 1 done, 1 on record, and taken by no worker yet." in run(api, *words, code=3).stdout
    api = Api(j1=(before, after), j2=(before, after), outcome="unanswered")
    assert ": 2 done." in run(api, *words).stdout


def test_what_is_not_named_is_counted_all_the_same(run: Run) -> None:
    class More(Api):
        def many(self, asked: dict[str, Any]) -> dict[str, Any]:
            return {**super().many(asked), "jobs": 5, "done": 1, "under_way": 4}

    told = run(More(j1=("ROLLED_BACK",), j2=("ROLLED_BACK",)), "rollback", "--all", "--yes", code=1).stdout
    assert ": 3 done, 2 still under way." in told
    at_once = run(Api(j1=("ROLLING_BACK",), j2=("PAUSING",)), "rollback", "--all", "--yes", "--no-wait")
    assert ": 2 still under way." in at_once.stdout


class Crowded(Api):
    """There are as many event streams as there may be, and a look at a job may be one too many as well."""

    def serve(self, request: httpx2.Request) -> httpx2.Response:
        watch = request.url.path.endswith("/watch")
        self.acted = self.acted or watch
        if watch or (self.acted and request.method == "GET" and len(self.slept) == 1):
            self.slept.append(0.0)
            return httpx2.Response(429, json={"error": {"code": 429, "message": "there are 200 already"}})
        return super().serve(request)


@pytest.mark.parametrize(
    "words",
    ["watch j1", "pause j1", "terminate j1", "rollback j1", "start j1 --wait", "retry-errors j1 FILE --wait",
     "upload FILE --dataset people --wait", "teams FILE --wait", "run mine FILE --wait",
     "upload --again j1 --wait", "upload --from-topic --dataset people --wait",
     "export --dataset people --from 2026-01-01 --wait"],
)  # fmt: skip
@pytest.mark.parametrize(("end", "code"), [("COMPLETED", 0), ("FAILED", 1)])
def test_a_command_that_waits_needs_no_event_stream(run: Run, tmp_path: Path, words: str, end: str, code: int) -> None:
    (tmp_path / "people.csv").write_text("name\n")
    api = Crowded("TERMINATING", "ROLLING_BACK", "ROLLING_BACK", end)
    given = words.replace("FILE", str(tmp_path / "people.csv")).split()
    done = run(api, *given, "--json", code=code)
    assert json.loads(done.stdout)["state"] == end
    assert api.jobs["j1"] == [end]
