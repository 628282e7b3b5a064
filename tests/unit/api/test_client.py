"""The command-line client against the API over the stub: output and exit codes."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import typer.main
from starlette.testclient import TestClient
from typer.testing import CliRunner

from api.jobs.actions import COMMANDS
from client import AsyncSluice, Retry, Sluice, Unreachable
from client.protocol.steps import Coded, Part, Steps
from client.requests import parts
from commandline import connection, following
from commandline.address import api_key, api_url
from commandline.cli import app as cli
from commandline.view.wording import line
from devstack.cli import app as whole_line
from runtime.settings import Settings
from runtime.text.formatting import duration, number, size
from schemas.job import Input, LaneTotals, RestedLane
from schemas.messages.commands import InputEnded, LanesDone, LanesRested, PurgeEnded, RowsInspected, UndoChecked
from schemas.suspicion import Suspicion
from tests.support.api.stub import CATALOG, PEOPLE, ROW, StubLog, stub
from tests.support.api.world import RowErrors


class Terminal:
    """Runs commands; what stands for Kafka and the workers is `log`."""

    def __init__(self, log: StubLog) -> None:
        self.log = log

    def run(self, *words: str, code: int = 0, typed: bytes = b"") -> str:
        result = CliRunner().invoke(cli, list(words), input=typed)
        assert result.exit_code == code, (result.output, result.exception)
        assert "Traceback" not in result.output
        return result.output

    def finish(self, failed: int = 0) -> None:
        """From now on the workers finish every job as soon as it runs."""

        def done(command: object) -> None:
            self.log.after = None
            job = max(self.log.live.view.jobs.values(), key=lambda job: job.command_offset)
            totals = LaneTotals(rows_applied=1, rows_failed=failed)
            progress = Input(blocks=1, rows=1, ended=True, blocks_per_partition=(1, 0))
            self.log.report(InputEnded(job_id=job.id, run=job.run, input=progress))
            self.log.report(LanesDone(job_id=job.id, run=job.run, lanes={0: totals}))

        self.log.after = done

    def rest(self) -> None:
        """From now on the workers stop at once when they are told to."""

        def rest(command: object) -> None:
            self.log.after = None
            job = max(self.log.live.view.jobs.values(), key=lambda job: job.command_offset)
            lanes = {number: RestedLane(epoch=job.epoch, totals=LaneTotals()) for number in (0, 1)}
            self.log.report(LanesRested(job_id=job.id, run=job.run, epoch=job.epoch, lanes=lanes))

        self.log.after = rest

    def count(self) -> None:
        """From now on a worker counts what a rollback has left, and finds nothing."""

        def check(command: object) -> None:
            self.log.after = None
            job = max(self.log.live.view.jobs.values(), key=lambda job: job.command_offset)
            self.log.report(UndoChecked(job_id=job.id, epoch=job.epoch, remaining=0))

        self.log.after = check


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    app, log = stub(tmp_path, draft_hours=1e6)
    monkeypatch.setenv("SLUICE_API_URL", "http://testserver")
    monkeypatch.delenv("SLUICE_API_KEY", raising=False)
    original = connection.Api
    with TestClient(app) as client:
        monkeypatch.setattr(connection, "Api", lambda: original(client._transport))
        yield Terminal(log)


@pytest.fixture
def people(tmp_path: Path) -> str:
    path = tmp_path / "people.csv"
    path.write_bytes(PEOPLE + ROW)
    return str(path)


def test_upload_and_look(terminal: Terminal, people: str) -> None:
    assert "is RUNNING" in terminal.run("upload", people, "--dataset", "people", "--max-errors", "5%", "--rate", "10")
    listed = json.loads(terminal.run("jobs", "--json"))
    assert listed[0]["options"] == {"max_errors": "5%", "rows_per_second": 10.0}
    job_id = listed[0]["id"]
    assert job_id in terminal.run("jobs", "--state", "running")
    assert "no such jobs" in terminal.run("jobs", "--state", "PAUSED")
    for name in ("last", job_id, job_id[:10]):
        assert json.loads(terminal.run("job", name, "--json"))["id"] == job_id
    assert "people.csv" in terminal.run("job", "last")
    assert "Created" in terminal.run("history", "last")
    assert "people: name, email" in terminal.run("datasets")


def test_standard_input_is_sent_as_it_comes(terminal: Terminal) -> None:
    upload = ("upload", "-", "--dataset", "people")
    assert "header" in terminal.run(*upload, code=2, typed=b"nothing\n")
    assert "is RUNNING" in terminal.run(*upload, typed=PEOPLE + ROW * 20_000)
    source = json.loads(terminal.run("job", "last", "--json"))["source"]
    assert (source["name"], source["lines"], source["bytes"]) == ("stdin.csv", 20_001, len(PEOPLE + ROW * 20_000))
    assert "SLUICE_SOURCE_URLS" in terminal.run("upload", "s3://in/a.csv", "--dataset", "people", code=2)


def test_a_file_in_parts_goes_on_after_a_part_that_failed(
    terminal: Terminal, people: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "PART_BYTES", 20)
    append, failures = parts._append, iter([True, False, True, True])

    def sometimes(job_id: str, offset: int, data: bytes) -> Part[int]:
        half = yield from append(job_id, offset, data[:7])
        if next(failures, False):
            raise Unreachable("the answer was lost; a part of it had come", sent=True)
        return (yield from append(job_id, half, data[7:]))

    monkeypatch.setattr(parts, "_append", sometimes)
    monkeypatch.setattr(connection, "RETRY", Retry(attempts=1, first_seconds=0.0))
    told = terminal.run("upload", people, "--dataset", "people", "--resumable")
    job_id = json.loads(terminal.run("job", "last", "--json"))["id"]
    assert f"--continue {job_id}" in told and "is RUNNING" in told
    assert json.loads(terminal.run("job", "last", "--json"))["source"]["bytes"] == len(PEOPLE + ROW)
    assert f"Job {job_id} is RUNNING" in terminal.run("upload", people, "--continue", job_id)


def as_steps(part: Part[int]) -> Steps[None]:
    yield from part
    return Coded(b"", None)


def test_another_file_can_not_go_on(terminal: Terminal, people: str, tmp_path: Path) -> None:
    source = {"upload": "people.csv"}
    asked = {"operation": "upload", "dataset": "people", "source": source}
    job_id = connection.Api().call("POST", "/v1/jobs", json=asked)["id"]
    half = (PEOPLE + ROW)[:70]
    connection.Api().json(as_steps(parts._append(job_id, 0, half)))
    Path(people).write_bytes((PEOPLE + ROW).replace(b"name", b"Name"))
    assert "has the SHA-256" in terminal.run("upload", people, "--continue", job_id, code=1)
    Path(people).write_bytes(b"name")
    assert "it is not the file" in terminal.run("upload", people, "--continue", job_id, code=2)
    assert "DRAFT" in terminal.run("job", job_id)


def test_columns_are_mapped_set_and_passed_over_and_told_in_a_line(terminal: Terminal, tmp_path: Path) -> None:
    old = tmp_path / "old.csv"
    old.write_bytes(b"Name,Email,a=b,Favorite Color,Notes,Rest\nAnn,a@example.org,12345,blue,x,y\n")
    send = ("upload", str(old), "--dataset", "people")
    refused = terminal.run(*send, code=2)
    assert "unknown: a=b, Notes, Rest" in refused and "--ignore-extra" in refused
    words = ("--map", "a=b=phone", "--map", "notes=", "--set", "country=N=L", "--ignore-extra")
    told = terminal.run(*send, *words)
    renamed = "Name is name, Email is email, a=b is phone, Favorite Color is favorite_color"
    line = f"Columns: {renamed}; passed over: Notes, Rest"
    assert line in told
    made = json.loads(terminal.run("job", "last", "--json"))
    assert made["options"] == {
        "columns": {"a=b": "phone", "notes": None}, "set": {"country": "N=L"}, "ignore_extra": True,
    }  # fmt: skip
    assert line.removeprefix("Columns: ") in terminal.run("job", "last")
    assert "{" not in terminal.run("job", "last")


def test_a_format_is_said_and_told_in_a_line(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "old.csv.gz"
    header = b"About people\n# 2026\nname|email|phone|country|favorite_color|created_at\n"
    row = "'Jürgen'|j@example.org|+31201234567|NL|blue|2026-01-01T00:00:00Z\n"
    file.write_bytes(gzip.compress(header + row.encode("cp1252")))
    words = (
        "--encoding",
        "cp1252",
        "--skip-lines",
        "1",
        "--comment",
        "hash",
        "--delimiter",
        "pipe",
        "--quote",
        "single",
    )
    told = terminal.run("upload", str(file), "--dataset", "people", *words)
    line = "gzip, cp1252, delimiter |, first lines skipped: 1, lines in front with # skipped"
    assert f"Format: {line}" in " ".join(told.split())
    made = json.loads(terminal.run("job", "last", "--json"))
    assert made["options"] == {
        "encoding": "cp1252", "skip_lines": 1, "comment": "hash", "delimiter": "pipe", "quote": "single",
    }  # fmt: skip
    assert line in " ".join(terminal.run("job", "last").split())
    refused = terminal.run("upload", str(file), "--dataset", "people", "--encoding", "klingon", code=2)
    assert "encoding 'klingon' is not known" in refused


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--map", "Phone number"), "write --map 'COLUMN=FIELD', or 'COLUMN=' to pass over the column"),
        (("--map", "=phone"), "'=phone' is not"),
        (("--set", "country"), "write --set 'FIELD=TEXT'; 'country' is not"),
        (("--set", "a=1", "--set", "a=2"), "--set has 'a' twice"),
    ],
)
def test_what_is_no_mapping_is_told_before_anything_is_sent(
    terminal: Terminal, people: str, words: tuple[str, ...], told: str
) -> None:
    said = " ".join(terminal.run("upload", people, "--dataset", "people", *words, code=2).split())
    assert told in said
    assert not terminal.log.sent


@pytest.mark.parametrize(("failed", "code", "state"), [(0, 0, "COMPLETED"), (1, 1, "COMPLETED_WITH_ERRORS")])
def test_wait_ends_with_the_job(terminal: Terminal, people: str, failed: int, code: int, state: str) -> None:
    terminal.finish(failed)
    job = json.loads(terminal.run("upload", people, "--dataset", "people", "--wait", "--json", code=code))
    assert job["state"] == state
    assert terminal.run("watch", "last", code=code).splitlines()[-1].startswith(f"Job {job['id']} is {state}")


def test_wait_ends_with_a_job_that_rests_since_its_first_rows_look_like_an_accident(
    terminal: Terminal, people: str
) -> None:
    told = "name and country look exchanged: 998 of 1,000 rows fit better with them the other way round"
    seen = Suspicion(kind="exchanged", columns=("name", "country"), fit=0.998, rows=1000, message=told)

    def inspected(command: object) -> None:
        terminal.log.after = None
        job = max(terminal.log.live.view.jobs.values(), key=lambda job: job.command_offset)
        terminal.log.report(RowsInspected(job_id=job.id, epoch=job.epoch, suspicion=seen, own_rows=1000))
        epoch = terminal.log.live.view.jobs[job.id].epoch
        lanes = {number: RestedLane(epoch=epoch, totals=LaneTotals()) for number in (0, 1)}
        terminal.log.report(LanesRested(job_id=job.id, run=job.run, epoch=epoch, lanes=lanes))

    terminal.log.after = inspected
    shown = terminal.run("upload", people, "--dataset", "people", "--wait", code=1)
    assert f"is PAUSED ({told}" in shown
    assert "0 rows applied" in shown and "sluice resume" in shown and "sluice terminate" in shown
    job = json.loads(terminal.run("watch", "last", "--json", code=1))
    assert (job["state"], job["suspicion"]["message"]) == ("PAUSED", told)


def test_a_shell_completes_job_ids(terminal: Terminal, people: str) -> None:
    terminal.run("upload", people, "--dataset", "people")
    job_id = json.loads(terminal.run("job", "last", "--json"))["id"]

    def completed(word: str) -> list[str]:
        words = {"_SLUICE_COMPLETE": "complete_bash", "COMP_WORDS": f"sluice pause {word}", "COMP_CWORD": "2"}
        return CliRunner().invoke(whole_line, [], prog_name="sluice", env=words).output.split()

    assert completed(job_id[:4]) == [job_id]
    assert completed("") == [job_id, "last"]
    assert completed("la") == ["last"]
    assert completed("zz") == []


def test_acting(terminal: Terminal, people: str) -> None:
    terminal.run("upload", people, "--dataset", "people")
    terminal.rest()
    assert "is PAUSED (lunch)" in terminal.run("pause", "last", "--reason", "lunch")
    assert "is RUNNING" in terminal.run("resume", "last")
    assert "at most 5 rows" in terminal.run("rate", "last", "5")
    terminal.rest()
    assert "TERMINATED" in terminal.run("terminate", "last", "--keep-rows")
    assert "resume is possible when" in terminal.run("resume", "last", code=1)
    assert "TERMINATED" in terminal.run("watch", "last", code=1)
    terminal.count()
    assert "ROLLED_BACK" in terminal.run("rollback", "last")


def test_many_jobs_get_one_command_with_one_reason(terminal: Terminal, people: str) -> None:
    for organisation in ("acme", "globex", "initech"):
        terminal.run("upload", people, "--dataset", "people", "--organisation", organisation)
    few = terminal.run("pause", "--organisation", "acme", "--state", "RUNNING", "--reason", "half of it", "--no-wait")
    assert "pause: 1 job, " in few and "1 still under way" in few
    asked = terminal.run("terminate", "--operation", "upload", "--no-wait", code=2)
    assert "this would terminate 3 jobs" in asked and "--yes" in asked
    stop = json.loads(terminal.run("pause", "--all", "--reason", "stop", "--no-wait", "--json"))
    assert (stop["jobs"], stop["under_way"]) == (3, 3), "what is on its way already is named as well"
    listed = json.loads(terminal.run("jobs", "--json"))
    assert {job["state"] for job in listed} == {"PAUSING"}
    assert {(job["organisation"], job["reason"]) for job in listed} >= {("acme", "half of it"), ("globex", "stop")}
    assert "not known" in terminal.run("pause", "--state", "SLEEPING", code=2)


def test_a_time_to_start_is_set_shown_and_cancelled(terminal: Terminal, people: str) -> None:
    later = terminal.run("upload", people, "--dataset", "people", "--start-at", "2h")
    assert "QUEUED" in later and "it starts at" in terminal.run("job", "last")
    assert "is RUNNING" in terminal.run("resume", "last")
    assert "it starts at" not in terminal.run("job", "last")


def test_row_errors_come_by_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, people: str) -> None:
    app, log = stub(tmp_path, elasticsearch=RowErrors())
    monkeypatch.setenv("SLUICE_API_URL", "http://testserver")
    original = connection.Api
    with TestClient(app) as client:
        monkeypatch.setattr(connection, "Api", lambda: original(client._transport))
        terminal = Terminal(log)
        terminal.finish(1)
        terminal.run("upload", people, "--dataset", "people", "--wait", code=1)
        shown = terminal.run("errors", "last", "--groups")
        assert "50%" in shown and "odd" in shown and "--like ROW" in shown
        assert json.loads(terminal.run("errors", "last", "--groups", "--json"))["groups"][0]["rows"] == 1
        assert "odd" in terminal.run("errors", "last", "--like", "1")
        assert "use one of them" in terminal.run("errors", "last", "--groups", "--csv", code=2)


def test_every_action_on_a_job_is_a_command_and_a_method_of_both_clients() -> None:
    commands: dict[str, Any] = typer.main.get_command(cli).commands  # type: ignore[attr-defined]
    for there in (commands, vars(Sluice), vars(AsyncSluice)):
        assert sorted(set(COMMANDS) - set(there)) == []


def test_wrong_usage_is_2(terminal: Terminal, people: str, tmp_path: Path) -> None:
    assert "there is no file" in terminal.run("upload", str(tmp_path / "none.csv"), "--dataset", "people", code=2)
    assert "is a folder: name a file in it" in terminal.run("upload", str(tmp_path), "--dataset", "people", code=2)
    assert f"use one of {', '.join(CATALOG.datasets)}" in terminal.run("upload", people, "--dataset", "cats", code=2)
    assert "does not fit" in terminal.run("teams", people, code=2)
    assert "has no date" in terminal.run("export", "--dataset", "teams", "--from", "2026-01-01", code=2)
    assert "there are no jobs" in terminal.run("job", "last", code=2)
    assert "there is no job" in terminal.run("pause", "zzz", code=2)
    assert "not a job id" in terminal.run("job", "../x", code=2)
    assert "is not a number" in terminal.run("rate", "last", "fast", code=2)
    told = terminal.run("jobs", "--limit", "x", code=2)  # the words between are typer's
    assert "'--limit'" in told and "valid integer" in told and ". See " in told
    terminal.run("upload", people, code=2)


def test_a_busy_dataset_is_1_and_can_be_queued_for(terminal: Terminal, people: str) -> None:
    terminal.run("upload", people, "--dataset", "people")
    assert "is RUNNING on dataset people" in terminal.run("upload", people, "--dataset", "people", code=1)
    assert "is QUEUED" in terminal.run("upload", people, "--dataset", "people", "--if-busy", "queue")


def test_no_server_is_3(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused")

    original = connection.Api
    monkeypatch.setattr(connection, "Api", lambda: original(httpx2.MockTransport(refuse)))
    result = CliRunner().invoke(cli, ["jobs"])
    assert (result.exit_code, "can't be reached" in result.output) == (3, True)


def test_row_errors_without_elasticsearch_are_3(terminal: Terminal, people: str) -> None:
    terminal.run("upload", people, "--dataset", "people")
    assert "Elasticsearch" in terminal.run("errors", "last", code=3)
    assert "Elasticsearch" in terminal.run("errors", "last", "--csv", code=3)


def event(state: str) -> str:
    return f'event: state\ndata: {{"state": "{state}"}}\n\n'


def test_following_survives_a_restart_and_gives_up_in_the_end() -> None:
    slept: list[float] = []
    answers: list[Any] = [event("RUNNING"), httpx2.ConnectError("refused"), 503, ": ping\n\n" + event("COMPLETED")]

    def serve(request: httpx2.Request) -> httpx2.Response:
        answer = answers.pop(0) if answers else httpx2.ConnectError("refused")
        if isinstance(answer, Exception):
            raise answer
        return httpx2.Response(answer) if isinstance(answer, int) else httpx2.Response(200, text=answer)

    said: list[str] = []
    api = connection.Api(httpx2.MockTransport(serve), clock=lambda: sum(slept), sleep=slept.append)

    def follow() -> Iterator[Any]:
        return following.follow(api, "j1", said.append)

    assert [job["state"] for job in follow()] == ["RUNNING", "COMPLETED"]
    assert ["does not answer" in said[0], said[1]] == [True, "the API answers again"]
    with pytest.raises(connection.ClientError) as given_up:
        list(follow())
    assert given_up.value.exit_code == 3
    assert sum(slept) > 60


@pytest.mark.parametrize(
    "environment",
    [{}, {"SLUICE_API_PORT": "9"}, {"SLUICE_API_HOST": "::", "SLUICE_API_URL": "https://x/"}, {"sluice_api_port": "7"}],
)
def test_the_address_is_that_of_the_settings(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    for name in ("SLUICE_API_URL", "SLUICE_API_HOST", "SLUICE_API_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert api_url(environment) == Settings().api


def test_the_key_of_a_local_stack_stays_local(tmp_path: Path) -> None:
    (tmp_path / "admin.key").write_text("k\n")
    home = {"SLUICE_HOME": str(tmp_path)}
    assert api_key(home) == "k"
    assert api_key({**home, "SLUICE_API_KEY": "other"}) == "other"
    assert api_key({**home, "SLUICE_API_URL": "https://elsewhere"}) is None
    assert api_key({**home, "SLUICE_API_URL": "http://localhost:1"}) == "k"
    assert api_key({"SLUICE_HOME": str(tmp_path / "none")}) is None


def test_words() -> None:
    assert (number(1234567), number(None)) == ("1,234,567", "-")
    assert (duration(65), duration(3725), duration(None)) == ("1:05", "1:02:05", "-")
    assert (size(999), size(1500), size(2.5e9)) == ("999 bytes", "1.5 kB", "2.5 GB")
    progress = {
        "rows_total": 10, "rows_applied": 4, "rows_failed": 1, "rows_rolled_back": 0, "percent": 50.0,
        "rows_per_second": 2.0, "eta_seconds": 3,
    }  # fmt: skip
    text = line({"state": "RUNNING", "phase": "apply", "progress": progress})
    assert text == "RUNNING: 5 of 10 rows done (50%), 1 row error, 2 rows/s, 0:03 left"


def test_limits_are_a_table_or_json(terminal: Terminal) -> None:
    shown = terminal.run("limits", "--organisation", "acme")
    assert shown.startswith("Organisation acme, weight 1\n")
    assert "jobs_running" in shown and "SLUICE_LIMITS" in shown
    assert json.loads(terminal.run("limits", "--json"))["organisation"] == "default"


def test_a_start_keeps_the_options_of_the_dry_run_that_it_does_not_name(terminal: Terminal, people: str) -> None:
    terminal.finish()
    tried = ("--dry-run", "--if-busy", "queue", "--if-same", "allow", "--max-errors", "9")
    terminal.run("upload", people, "--dataset", "people", *tried)
    made = json.loads(terminal.run("start", "last", "--rate", "5", "--json"))
    expected = {"if_busy": "queue", "if_same": "allow", "max_errors": 9, "rows_per_second": 5.0}
    assert made["options"] == expected


def test_a_purge_waits_until_nothing_is_left_and_tells_what_keeps_it(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_bytes(PEOPLE + ROW)
    terminal.finish()
    terminal.run("upload", str(file), "--dataset", "people", "--wait")

    def end_with(problem: str | None) -> None:
        def end(command: object) -> None:
            terminal.log.after = None
            (job,) = terminal.log.live.view.jobs.values()
            terminal.log.report(PurgeEnded(job_id=job.id, epoch=job.epoch, problem=problem))

        terminal.log.after = end

    end_with("results: the disk is read-only")
    assert "is not purged: results: the disk is read-only" in terminal.run("purge", "last", code=1)
    end_with(None)
    assert "is purged" in terminal.run("purge", "last", "--reason", "a person asked for it")
    assert json.loads(terminal.run("purge", "last", "--json"))["purged_at"] is not None
    assert "were removed" in terminal.run("errors", "last", code=2)
