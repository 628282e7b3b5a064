"""What reaches a terminal: no escape code of data's, no word of a table that was cut, and JSON as it is."""

from __future__ import annotations

import ast
import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from commandline.view import output as showing
from commandline.view.progress_line import JobBar
from devstack.lifecycle import status
from devstack.supervision.state import Addresses, Record
from runtime.network.urls import server_url, without_password
from runtime.text import tables
from runtime.text.tables import Column, laid_out
from runtime.text.terminal import out, out_json, visible
from tests.support.api.hostile import ESCAPE, JOB
from tests.support.places import ROOT

ODD = f"{ESCAPE} \x9b2J \u2028 \udcff \ud800 \r\n\t é 🦊"


def test_control_characters_are_shown_and_other_text_is_left() -> None:
    assert visible(ODD) == ("\\x1b[31mred\\x07\\u202e \\x9b2J \\u2028 \\xff \\ud800 \\r\\n\\t é 🦊")


def test_json_is_exact_and_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    out_json({ODD: [ODD]})
    shown = capsys.readouterr().out
    assert json.loads(shown) == {ODD: [ODD]}
    assert visible(shown.replace("\n", "")) == shown.replace("\n", "")


def test_a_line_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    out("a\nb\x1b[2J")
    assert capsys.readouterr().out == "a\\nb\\x1b[2J\n"


COMMAND_MODULES = sorted(
    path
    for pattern in (
        "commandline/**/*.py",
        "kibana/*.py",
        "sample_csv/cli.py",
        "devstack/*.py",
        "runtime/text/sentences.py",
    )
    for path in ROOT.glob(pattern)
    if path.name not in ("check.py", "supervisor.py")  # code's own checks, and a log
)


@pytest.mark.parametrize("path", COMMAND_MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_command_writes_to_the_terminal_by_the_one_module_that_escapes(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            harmless = "as_json" in ast.unparse(node)
            assert harmless or called not in ("print", "typer.echo", "click.echo", "sys.stderr.write"), node.lineno


ODD_JOB: dict[str, Any] = {**JOB, "dataset": ODD, "organisation": ODD, "reason": ODD, "created_by": ODD}
ODD_JOB |= {"source": {**JOB["source"], "name": ODD}, "lanes": [{**JOB["lanes"][0], "error": ODD}]}
LONG = "'someone(at)example.org' is not an email address: it has no @ between a name and a domain"
ERRORS = [
    {"row": 12, "line": 13, "column": "email", "value": "someone(at)example.org", "reason": LONG},
    {"row": 99_999, "line": 100_000, "column": ODD, "value": ODD, "reason": ODD},
]
PATH = "/srv/a-place-with-a-name/sluice/.sluice/logs/elasticsearch.log"


def shown_at(width: int | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """What each command with a table prints."""
    monkeypatch.setattr(tables, "width", lambda: width)
    monkeypatch.setattr(status, "runs", lambda record: True)
    jobs = [{**JOB, "state": state} for state in ("COMPLETED", "COMPLETED_WITH_ERRORS")]
    entry = {"at": "2026-01-01T12:00:00Z", "event": None, "command": "rollback", "state": None, "by": "admin"}
    history = [{**entry, "reason": LONG, "message": None}, {**entry, "reason": None, "message": ODD}]
    rows = [{"row": 1, "document": {"email": "someone@example.org", "name": ODD, "favorite_color": "green", "x": LONG}}]
    preview = {"rows_valid": 1, "rows_total": 2, "rows_failed": 1, "errors": ERRORS, "rows": rows, "job_id": JOB["id"]}
    records = tuple(
        Record(role=role, number=1, log=f"{PATH}.{role}", phase="late", pid=12345, restarts=3)
        for role in ("kafka", "elasticsearch", "api", "ingest", "worker")
    )
    addresses = Addresses("http://127.0.0.1:8080", "127.0.0.1:29092", "http://me:secret@127.0.0.1:29200")
    shown = {}
    for name, print_it in {
        "jobs": lambda: showing.show_jobs(jobs),
        "odd jobs": lambda: showing.show_jobs([ODD_JOB]),
        "job": lambda: showing.show_job(ODD_JOB),
        "errors": lambda: showing.show_errors({"errors": ERRORS, "total": 9}, JOB["id"]),
        "history": lambda: showing.show_history(history),
        "preview": lambda: showing.show_preview(preview),
        "status": lambda: status.show(addresses, records),
    }.items():
        print_it()
        shown[name] = capsys.readouterr().out
    return shown


@pytest.mark.parametrize("width", [40, 80, 120, None])
def test_tables_are_unambiguous_at_any_width(
    width: int | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = shown_at(width, monkeypatch, capsys)
    for text in shown.values():
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "…" not in text
    words = [word for line in shown["jobs"].splitlines() for word in line.split()]
    assert words.count("COMPLETED") == words.count("COMPLETED_WITH_ERRORS") == 1
    assert words.count(JOB["id"]) == 2
    for role in ("kafka", "elasticsearch", "api", "ingest", "worker"):
        assert f"{PATH}.{role}" in shown["status"].split(), "a path that is broken can't be copied"
    assert "secret" not in shown["status"]
    for name in ("errors", "preview"):
        assert "someone(at)example.org" in shown[name].split()
        assert visible(ODD) in shown[name]
    if width is not None:
        for line in shown["jobs"].splitlines():
            assert len(line) <= width, line


def test_columns_that_are_left_out_are_named() -> None:
    columns = (Column("job"), Column("rows", right=True), Column("created", spare=1), Column("rate", spare=2))
    row = ("a" * 10, "7", "2026-01-01", "12")
    assert laid_out(columns, [row], 40)[0].split() == ["job", "rows", "created", "rate"]
    assert laid_out(columns, [row], 29) == [
        "job         rows  created",
        "aaaaaaaaaa     7  2026-01-01",
        "(No room for: rate. --json",
        "has all.)",
    ]
    assert laid_out(columns, [row], 12) == ["job      aaaaaaaaaa", "rows     7", "created  2026-01-01", "rate     12"]


@pytest.mark.parametrize("width", [40, 60, 80, 120])
@pytest.mark.parametrize("state", ["RUNNING", "COMPLETED", "COMPLETED_WITH_ERRORS"])
def test_a_live_bar_is_one_line_that_is_never_cut(width: int, state: str) -> None:
    big = {**JOB["progress"], "rows_total": 100_000_000, "rows_applied": 99_000_000, "percent": 99.0}
    for progress in (big, {**big, "rows_total": None}):
        console = Console(width=width, file=io.StringIO(), force_terminal=True, color_system=None)
        console.print(JobBar({**JOB, "state": state, "progress": progress}))
        shown = console.file.getvalue()  # type: ignore[attr-defined]
        assert shown.count("\n") == 1
        assert shown.split()[0] == state
        assert "99.0%" in shown
        assert "…" not in shown


@pytest.mark.parametrize("url", ["http://a", "https://a:1/b", "http://[::1]:8080", "http://me:pw@host.example:9200"])
def test_urls_of_servers(url: str) -> None:
    assert server_url(url) == url


def test_passwords_of_urls_are_not_shown() -> None:
    text = "http://me:p@ss@host:1/x and https://host/a@b"
    assert without_password(text) == "http://***@host:1/x and https://host/a@b"
