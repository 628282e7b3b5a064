"""`-` in place of a file is standard input or standard output, in every command that reads or writes one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from typer.main import get_command
from typer.testing import CliRunner, Result

from commandline import connection
from devstack.cli import app
from kibana.catalog import text
from runtime.settings import settings
from tests.support.api.answers import WHOLE

ROWS = b"name\r\n\xe9=1\r\n"
DONE = {**WHOLE, "id": "j1", "state": "COMPLETED", "ended": True}
EXPORT = "export --dataset people --from 2026-01-01 -o -"

READING = {
    "upload": "upload - --dataset people",
    "teams": "teams -",
    "run": "run mine -",
    "retry-errors": "retry-errors j1 -",
}
WRITING = {"export": EXPORT, "sample": "sample people 2 -o -", "kibana": "kibana -o -"}


def of_files(command: Any, *words: str) -> Iterator[tuple[str, Any]]:
    """Each command's parameters that name a file of rows, or one that is written."""
    for parameter in command.params:
        if parameter.name == "file" or "--output" in parameter.opts:
            yield " ".join(words), parameter
    for name, inner in getattr(command, "commands", {}).items():
        yield from of_files(inner, *words, name)


Run = Callable[..., Result]


@pytest.fixture
def sent() -> list[bytes]:
    """The bodies of the requests that make or change a job."""
    return []


@pytest.fixture
def run(sent: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    def serve(request: httpx2.Request) -> httpx2.Response:
        if request.method == "POST":
            sent.append(request.read())
        if request.url.path.endswith("/result"):
            return httpx2.Response(200, content=ROWS)
        if request.url.path.endswith("/watch"):
            return httpx2.Response(200, text=f"event: state\ndata: {json.dumps({**DONE, 'epoch': 1})}\n\n")
        return httpx2.Response(201 if request.method == "POST" else 200, json=DONE)

    original = connection.Api
    monkeypatch.setattr(connection, "Api", lambda: original(httpx2.MockTransport(serve)))
    monkeypatch.setenv("SLUICE_API_URL", "http://sluice")
    monkeypatch.chdir(tmp_path)
    settings.cache_clear()

    def run(words: str, given: bytes = b"") -> Result:
        done = CliRunner().invoke(app, words.split(), input=given)
        assert not [*tmp_path.iterdir()], "a file of this name was made"
        return done

    yield run
    settings.cache_clear()


def test_every_command_with_a_file_is_here() -> None:
    assert {words for words, _ in of_files(get_command(app))} == {*READING, *WRITING}


@pytest.mark.parametrize("words", READING.values())
def test_rows_come_from_standard_input(run: Run, sent: list[bytes], words: str) -> None:
    done = run(words, ROWS)
    assert done.exit_code == 0, done.output
    assert ROWS in sent[-1]


@pytest.mark.parametrize("words", WRITING.values())
def test_standard_output_has_the_file_and_nothing_else(run: Run, words: str) -> None:
    whole = {EXPORT: ROWS, WRITING["kibana"]: text().encode()}
    done = run(words)
    assert done.exit_code == 0, done.output
    assert done.stdout_bytes == whole.get(words, done.stdout_bytes) and done.stdout_bytes.count(b"\n") > 1
    assert b"j1" not in done.stdout_bytes and b"Wrote" not in done.stdout_bytes


def test_the_outcome_of_an_export_is_told_beside_its_file(run: Run) -> None:
    assert "Job j1 is COMPLETED" in run(EXPORT).stderr


def test_two_things_for_standard_output_are_wrong_usage(run: Run, sent: list[bytes]) -> None:
    done = run(f"{EXPORT} --json")
    assert done.exit_code == 2 and "-o - and --json both write to standard output" in done.stderr
    assert not sent
