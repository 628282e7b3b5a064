"""Every command with arguments, settings and answers of the API that are none: a sentence and an exit code, always.

The commands and their parameters are found in the command line itself, so a new one is tried without a change here.
"""

from __future__ import annotations

import copy
import functools
import inspect
import io
import itertools
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from enum import Enum
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, get_args, get_origin

import httpx2
import pytest
import typer
import typer.main
import typer.testing
from typer.testing import CliRunner

from client import Retry
from commandline import connection
from devstack.cli import app
from runtime.settings import Settings, settings
from tests.support.api.hostile import ESCAPE, JOB, JOB_ID

HANDED_OVER = {"test", "bench", "check", "lock", "api", "ingest", "worker", "migrate"}
"""They start other programs with what they are given, become a process, or ask the network: nothing is read here."""
STARTING = {"demo", "up", "down", "rebuild", "status", "kibana"}
"""They start, stop or ask servers: here they are tried with settings that can't be used."""
SECRET = "hunter2-hunter2"

TEXTS = [
    "", " ", "\udcff\udcfe", ESCAPE, "a\nb\r", "nan", "inf", "-inf", "-1", "0", "1e999", "9" * 5000, "x" * 100_000,
    "[/red]",     "٣", "\u20ac", "🦊", "1.5", "--json", "../..", "a/b?c#d", "%s%n{}", "none", "last", "-",
]  # fmt: skip

ANSWER: dict[str, Any] = {
    **JOB,
    "job_id": JOB_ID, "jobs": [JOB], "next": None, "total": 1,
    "errors": [{"row": 1, "line": 2, "column": "email", "value": "x", "reason": "no address"}],
    "history": [
        {"at": "2026-01-01T12:00:00Z", "event": "paused", "state": "PAUSED", "by": "a", "reason": "b", "message": None}
    ],
    "datasets": [{"name": "people", "fields": [{"name": "email"}]}],
    "rows_valid": 2, "rows_total": 3, "rows_failed": 1,
    "rows": [{"row": 1, "document": {"email": "x", "sluice": {}}}],
}  # fmt: skip
"""What every question of a command is answered with: it has the keys of all answers."""

Command = Any
Answer = Callable[[httpx2.Request], httpx2.Response]
LINE: Any = typer.main.get_command(app)


def all_of(group: Any, *before: str) -> Iterator[tuple[str, Any]]:
    """The words of each command, and the command, those within groups too."""
    for name, command in group.commands.items():
        if command.callback is not None:
            yield " ".join((*before, name)), command
        if hasattr(command, "commands"):
            yield from all_of(command, *before, name)


COMMANDS: dict[str, Command] = dict(all_of(LINE))
BESIDE = {"keys create": ["--all-organisations"]}
"""What a command asks for where it has no parameter that is required."""
ASKING = sorted(set(COMMANDS) - HANDED_OVER - STARTING)


def good(request: httpx2.Request) -> httpx2.Response:
    return answered(ANSWER)(request)


def answered(body: Any) -> Answer:
    """The API answers this, whatever it is asked."""
    content = json.dumps(body).encode()
    watched = 0

    def answer(request: httpx2.Request) -> httpx2.Response:
        nonlocal watched
        watched += request.url.path.endswith("/watch")
        if watched > 1:
            return httpx2.Response(503)  # a job that never ends would be watched for ever
        if request.url.path.endswith("/watch"):
            return httpx2.Response(200, content=b"data: " + content + b"\n\n")
        return httpx2.Response(200, content=content)

    return answer


class Terminal:
    """Runs commands in a folder of their own against an API that answers as `answer` says; None: there is none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.answer: Answer | None = good
        self.found: set[int] = set()

    def transport(self) -> httpx2.BaseTransport | None:
        return httpx2.MockTransport(self.answer) if self.answer else None

    def run(self, *words: str) -> str:
        settings.cache_clear()
        result = CliRunner().invoke(app, list(words))
        told = f"sluice {' '.join(repr(word[:80]) for word in words)}: {result.exit_code}\n{result.output[:3000]}"
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise AssertionError(told) from result.exception
        assert result.exit_code in (0, 1, 2, 3), told
        assert "Traceback" not in result.output, told
        assert "mistake in Sluice" not in result.output, told
        assert "not JSON compliant" not in result.output, told
        assert SECRET not in result.output, told
        written = result.stderr if "--csv" in words else result.output  # which hands on the bytes that there are
        if words[0] != "sample":
            assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\ud800-\udfff]", written), told
        if result.exit_code:
            sentences = [
                line
                for line in result.stderr.splitlines()
                if line.startswith(("sluice: ", "Cannot write ")) and len(line) > 12
            ]
            # What was asked for may say it itself: what came of a job, or that nothing runs.
            asked = (result.exit_code == 1 and "Job " in result.stdout) or (words[0] == "status" and result.stdout)
            assert len(sentences) == 1 or asked, told
            odd = re.search(r"Value error|Input should|unable to parse|[^.?!] See `", result.stderr)
            assert odd is None, told
        self.found.add(result.exit_code)
        return result.stderr


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(typer.testing, "_get_command", lambda app: LINE)  # made once: it takes far longer than to run
    for name in [name for name in os.environ if name.startswith("SLUICE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SLUICE_API_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("SLUICE_KIBANA_URL", "http://127.0.0.1:1")
    monkeypatch.setattr(connection, "RETRY", Retry(attempts=1, first_seconds=0.0, give_up_seconds=0.0))
    terminal = Terminal(tmp_path)
    original = connection.Api
    monkeypatch.setattr(connection, "Api", lambda: original(terminal.transport()))
    yield terminal
    settings.cache_clear()


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Names of files that no row can be read from, or nothing be written to."""
    odd = tmp_path / "odd"
    odd.mkdir()
    (odd / "good.csv").write_text("email\na@example.org\n")
    os.mkfifo(odd / "fifo")
    (odd / "broken").symlink_to(odd / "nothing")
    (odd / "loop").symlink_to(odd / "loop")
    (odd / "empty").touch()
    for name in (b"\xff\xfe.csv", ESCAPE.encode() + b".csv", b"[red][blue].csv", b'a"b\nc.csv'):
        Path(os.fsdecode(bytes(odd) + b"/" + name)).write_text("email\n")
    return [
        *(str(path) for path in sorted(odd.iterdir())), str(odd), str(odd / "good.csv" / "x"), str(odd / "no" / "file"),
        "", "x" * 300, "/dev/null", "/proc/self/mem", "/proc/self/environ", "\udcff", ESCAPE,
    ]  # fmt: skip


class Parameter:
    """A parameter of a command: its name on the command line, and the type that its function says."""

    def __init__(self, command: str, of: Any) -> None:
        kind = inspect.signature(COMMANDS[command].callback, eval_str=True).parameters[of.name].annotation
        kind = get_args(kind)[0] if get_origin(kind) is Annotated else kind
        self.kind = next((one for one in get_args(kind) if one is not NoneType), kind)
        self.name: str = of.name
        self.argument = of.param_type_name == "argument"
        self.required = bool(of.required)
        self.option: str = max(of.opts, key=len)

    @property
    def values(self) -> bool:
        """Whether it has values, and is no flag."""
        return self.kind is not bool

    @property
    def names_file(self) -> bool:
        """Whether a file is read or written that has this name."""
        return self.kind is Path or self.name in ("file", "output")

    @property
    def good(self) -> str:
        """What it has while another one is tried."""
        if self.names_file:
            return "good.csv"
        if isinstance(self.kind, type) and issubclass(self.kind, Enum):
            return str(next(iter(self.kind)).value)
        return {"job_id": JOB_ID, "date_from": "2026-01-01", "role": "viewer"}.get(self.name, "3")


@functools.cache  # to read the types of a command takes longer than to run it
def parameters(command: str) -> list[Parameter]:
    return [Parameter(command, one) for one in COMMANDS[command].params if one.name != "help"]


def words(command: str, tried: Parameter | None = None, value: str = "") -> list[str]:
    """The command line that gives `value` to the parameter that is tried, and others what they have to have."""
    options, arguments = [*command.split(), *BESIDE.get(command, ())], ["--"]
    for parameter in parameters(command):
        this = tried is not None and parameter.name == tried.name
        given = value if this else parameter.good
        if parameter.argument:
            if this or parameter.required or parameter.names_file or parameter.name == "job_ids":
                arguments.append(given)
        elif this or parameter.required:
            options.append(f"{parameter.option}={given}")
    return [*options, *arguments]


@pytest.mark.parametrize("command", ASKING)
def test_no_argument_ends_a_command_in_a_traceback(terminal: Terminal, files: list[str], command: str) -> None:
    (terminal.folder / "good.csv").write_text("email\na@example.org\n")
    for parameter in parameters(command):
        for value in files + TEXTS if parameter.names_file else TEXTS:
            if parameter.name == "output" and ("fifo" in value or value not in files):
                continue  # it waits for a reader, as it should; any text would be a file here
            if parameter.values:
                terminal.run(*words(command, parameter, value))
    terminal.run(*command.split(), f"--{ESCAPE}", "\udcff")
    terminal.answer = None
    terminal.run(*words(command))
    assert 2 in terminal.found, "none of it was refused"


@pytest.mark.parametrize("command", sorted(STARTING))
def test_no_argument_of_a_command_for_the_servers_does_either(
    terminal: Terminal, command: str, monkeypatch: Any
) -> None:
    (terminal.folder / "file").touch()
    monkeypatch.setenv("SLUICE_HOME", str(terminal.folder / "file"))
    monkeypatch.setenv("SLUICE_KAFKA_PORT", "no port")
    for parameter in parameters(command):
        if parameter.values:
            for value in TEXTS:
                terminal.run(*words(command, parameter, value))
    assert "SLUICE_KAFKA_PORT: " in terminal.run(command)
    monkeypatch.delenv("SLUICE_KAFKA_PORT")
    if command not in ("rebuild", "kibana", "demo"):
        terminal.run(command)


HOSTILE_SETTINGS = [
    "", " ", "abc", "\udcff", ESCAPE, "-1", "99999", "nan", "inf", "9" * 5000,
    f"http://me:{SECRET}@[::1", f"http://me:{SECRET}@127.0.0.1:1",
    f"http://me:{SECRET}@127.0.0.1:99999", "http://", "ftp://127.0.0.1", "//x", "http://a b",
    f"{SECRET}\n", f"{SECRET}é", f"{SECRET}\nX: y", "/dev/null", "/dev/null/x", "x" * 5000, "127.0.0.1:1",
]  # fmt: skip


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_no_setting_ends_a_command_in_a_traceback(terminal: Terminal, monkeypatch: Any, name: str) -> None:
    # A real transport: what can't be sent is found by it.
    terminal.answer = None
    for value in HOSTILE_SETTINGS:
        if Settings.model_fields[name].annotation in (Path, Path | None):
            value = value.replace(SECRET, "x")  # a file's name is no secret
        if name == "kafka_bootstrap" and "@" not in value:
            value = value.replace(SECRET, "x")  # nor is the name of a host
        monkeypatch.setenv(f"SLUICE_{name.upper()}", value)
        terminal.run({"api": "jobs", "kibana": "kibana"}.get(name.partition("_")[0], "status"))
        terminal.run("status", "--json")
        if name == "home":
            terminal.run("jobs")


ANSWERS = [
    httpx2.Response(200, content=content)
    for content in (
        b"", b"{", b"[]", b"null", b"NaN", b"5", b'"text"', b"{}", b'{"jobs": 5}', b"\xff\xfe", b"[" * 200_000,
        b"data: {\n\n", b'{"jobs": [{"id": 1e999}], "next": null}', b'{"error": "text"}', b"<html>hello</html>",
        b'data: {"state": 5}\n\n', b'{"id": "\\ud800", "jobs": [NaN]}',
    )
] + [
    httpx2.Response(302, headers={"location": "http://127.0.0.1:1/"}),
    httpx2.Response(500, content=b"<html>\x1b[31m</html>"),
    httpx2.Response(404, content=b"<html></html>"),
    httpx2.Response(401, content=b""),
    httpx2.Response(204),
    httpx2.Response(400, json={"error": {"message": f"no {ESCAPE}\n\x9b31m", "code": "x"}}),
    httpx2.Response(400, json={"error": {"message": ["a", {}]}}),
    httpx2.Response(503, json={"error": None}),
]  # fmt: skip


@pytest.mark.parametrize("command", ASKING)
def test_no_answer_ends_a_command_in_a_traceback(terminal: Terminal, command: str, monkeypatch: Any) -> None:
    (terminal.folder / "good.csv").write_text("email\na@example.org\n")
    monkeypatch.setenv("SLUICE_API_KEY", SECRET)
    for response in ANSWERS:
        terminal.answer = lambda request, response=response: httpx2.Response(  # type: ignore[misc]
            response.status_code, headers=response.headers, content=response.content
        )
        terminal.run(*words(command))

    def gone(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.DecodingError("bad gzip", request=request)

    terminal.answer = gone
    terminal.run(*words(command))


def mutations(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Places in an answer, each with the answer in which something else is there."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield (*path, key), child
        yield from mutations(child, (*path, key))


def mutated(turn: int) -> Iterator[Any]:
    """Answers with one wrong place each; all commands together see all that can be wrong there."""
    others = (None, 5, 10**400, ESCAPE + "\n", [], {}, -1.5, [5], "gone")
    for number, (path, _) in enumerate(mutations(ANSWER)):
        for other in others[(number + turn) % 3 :: 3]:
            body = copy.deepcopy(ANSWER)
            place = body
            for key in path[:-1]:
                place = place[key]
            if other == "gone":
                del place[path[-1]]
            else:
                place[path[-1]] = other
            yield body


LOOKING = ("job", "jobs", "watch", "errors", "history", "preview", "datasets", "pause", "start")
"""Together they show everything that an answer holds."""


@pytest.mark.parametrize("command", LOOKING)
def test_an_answer_of_another_shape_is_told_as_such_and_its_text_is_harmless(terminal: Terminal, command: str) -> None:
    refused = 0
    for body in mutated(LOOKING.index(command)):
        terminal.answer = answered(body)
        refused += "API's answer" in terminal.run(*words(command))
    assert refused, "no answer was of a wrong shape"


BOTH = [name for name, command in COMMANDS.items() if {"as_csv", "as_json"} <= {one.name for one in command.params}]
"""Commands that print a list as CSV or as JSON."""


@pytest.mark.parametrize("command", BOTH)
def test_what_is_printed_has_one_form(terminal: Terminal, command: str) -> None:
    asked: list[httpx2.Request] = []
    terminal.answer = lambda request: asked.append(request) or good(request)  # type: ignore[func-returns-value]
    name, *others = words(command)
    assert "use one of them" in terminal.run(name, "--csv", "--json", *others)
    assert (terminal.found, asked) == ({2}, [])


WRITING = [name for name, command in COMMANDS.items() if "output" in {one.name for one in command.params}]
"""Commands that write a file."""


@pytest.mark.parametrize("command", WRITING)
@pytest.mark.parametrize("place", ["none/out", "good.csv/out", ".", "x" * 300, "/dev/full/out", "/proc/out"])
def test_a_file_that_can_not_be_written_is_no_wrong_usage(terminal: Terminal, command: str, place: str) -> None:
    (terminal.folder / "good.csv").touch()
    asked: list[httpx2.Request] = []
    terminal.answer = lambda request: asked.append(request) or good(request)  # type: ignore[func-returns-value]
    name, *others = words(command)
    assert place in terminal.run(name, f"--output={place}", *others)
    assert (terminal.found, asked) == ({1}, [])


def closed_pipe() -> int:
    """A place to write to, whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def full_disk() -> int:
    return os.open("/dev/full", os.O_WRONLY)


def ended(place: int, buffered: bool, words: list[str]) -> tuple[int, str]:
    """The exit code of a command whose output goes there, and what it says on stderr."""
    stream = os.fdopen(place, "wb", buffering=-1 if buffered else 0)
    stdout = io.TextIOWrapper(stream, "utf-8", write_through=not buffered)
    with redirect_stdout(stdout), redirect_stderr(io.StringIO()) as said, pytest.raises(SystemExit) as end:
        LINE.main(words, prog_name="sluice")
    stdout.close()  # as Python does when it exits, and with code 120 if that fails
    return int(end.value.code or 0), said.getvalue()


def forms(command: str) -> list[list[str]]:
    """The command line with what it has to have, alone and with each option that changes what is printed."""
    shown = [name for one in COMMANDS[command].params for name in one.opts if name in ("--json", "--csv", "--wait")]
    return [words(command), *([command, option, *words(command)[1:]] for option in shown)]


@pytest.mark.parametrize("buffered", [True, False])
@pytest.mark.parametrize("command", ASKING)
def test_output_that_nobody_reads_leaves_a_command_its_exit_code(
    terminal: Terminal, command: str, buffered: bool
) -> None:
    (terminal.folder / "good.csv").write_text("email\na@example.org\n")
    shown = terminal.folder / "shown"
    for given, state in itertools.product(forms(command), ("COMPLETED", "FAILED", "PAUSED")):
        outcomes = []
        for place in (os.open(shown, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), closed_pipe(), full_disk()):
            terminal.answer = answered({**ANSWER, "state": state, "budget": "spent"})
            outcomes.append(ended(place, buffered, given))
        (own, _), (unread, said), (full, complaint) = outcomes
        unwritten = re.compile("the output can't be written|Cannot write standard output")
        assert (unread, unwritten.search(said)) == (own, None), (given, state)
        if shown.stat().st_size:
            assert full and unwritten.search(complaint), (given, state)
        else:
            assert full == own


def test_a_list_without_an_end_ends_when_nobody_reads_it(terminal: Terminal) -> None:
    looks = iter(range(10))

    def answer(request: httpx2.Request) -> httpx2.Response:
        assert next(looks, None) is not None, "it has looked long enough"
        return good(request)

    terminal.answer = answer
    for buffered in (True, False):
        assert ended(closed_pipe(), buffered, ["top", "--plain"]) == (0, "")
