"""The command as a process: streams that are closed or full, odd environments, odd bytes, files that change."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest

from commandline.connection import Api
from commandline.errors import ClientError
from tests.support.api.hostile import ESCAPE, JOB, JOB_ID
from tests.support.places import ROOT
from tests.support.waiting import PATIENCE, wait_until

JOBS = {"jobs": [JOB, {**JOB, "state": "COMPLETED_WITH_ERRORS", "organisation": ESCAPE}], "next": None}
RAW = b"row,value\n1,\x1b[31m\xff\n"


STATS = {
    "rows_per_second": 50.0, "states": {"RUNNING": 2, "PAUSED": 0}, "workers": 1, "readers": 2, "partitions": 8,
    "stored": {"index_bytes": 10**7, "file_bytes": 10**6}, "out_of_reach": ["Elasticsearch can't be reached"],
}  # fmt: skip


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        listed = "?" in self.path or self.path.endswith("jobs")
        content = json.dumps(STATS if self.path == "/v1/stats" else JOBS if listed else JOB).encode()
        content = RAW if self.path.endswith("errors.csv") else content
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def api() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def run(
    api: str, *words: str | bytes, redirect: str = "", code: int = 0, folder: Path = ROOT, **environment: str
) -> subprocess.CompletedProcess[bytes]:
    """A command to its end; `redirect` is how a shell redirects its streams."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLUICE_", "LC_", "PYTHONIO"))}
    kept |= {"SLUICE_API_URL": api, "PYTHONPATH": str(ROOT), **environment}
    kept = {name: value for name, value in kept.items() if value != "unset"}
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {redirect}', "sh", sys.executable, "-m", "devstack.cli", *words],
        cwd=folder,
        env=kept,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    told = f"{words!r} {redirect} {environment}: {done.returncode}\n{done.stdout!r}\n{done.stderr!r}"
    assert done.returncode == code, told
    assert b"Traceback" not in done.stderr, told
    assert b"Exception ignored" not in done.stderr, told
    return done


@pytest.mark.parametrize(
    ("redirect", "code"),
    [("<&-", 0), (">&-", 0), ("2>&-", 0), ("<&- >&- 2>&-", 0), (">/dev/full", 1), ("2>/dev/full", 0),
     (">/dev/full 2>&1", 1)],
)  # fmt: skip
@pytest.mark.parametrize("words", [("jobs",), ("errors", JOB_ID, "--csv"), ("jobs", "--json")])
def test_streams_that_are_closed_or_full(api: str, words: tuple[str, ...], redirect: str, code: int) -> None:
    done = run(api, *words, redirect=redirect, code=code)
    if code and "2>" not in redirect:
        assert done.stderr == b"sluice: the output can't be written: No space left on device\n"


def test_a_full_disk_leaves_a_command_its_exit_code(api: str, tmp_path: Path) -> None:
    own = {"SLUICE_HOME": str(tmp_path), "PYTHONUNBUFFERED": "unset"}
    for words in (("status",), ("status", "--json")):
        done = run(api, *words, redirect=">/dev/full", code=3, **own)
        assert done.stderr == b"sluice: the output can't be written: No space left on device\n"


@pytest.mark.parametrize(
    "environment",
    [
        {"LANG": "C", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        {"PYTHONIOENCODING": "ascii"},
        {"COLUMNS": "0", "LINES": "abc", "TERM": "dumb", "NO_COLOR": "1"},
        {"COLUMNS": "²", "TERMINAL_WIDTH": "wide", "TERM": "nonsense", "HOME": "unset"},
        {"COLUMNS": "-5", "TERM": "unset", "TERMINAL_WIDTH": "0", "PATH": "unset"},
    ],
)
def test_odd_environments(api: str, environment: dict[str, str]) -> None:
    shown = run(api, "jobs", **environment).stdout
    assert b"COMPLETED_WITH_ERRORS" in shown
    assert b"\x1b" not in shown
    assert json.loads(run(api, "jobs", "--json", **environment).stdout)[1]["organisation"] == ESCAPE
    assert b"upload" in run(api, "--help", **environment).stdout
    assert run(api, "upload", "\u20ac.csv".encode(), "--dataset", "x", code=2, **environment).stderr


def test_bytes_that_are_no_utf_8(api: str, tmp_path: Path) -> None:
    done = run(api, "upload", b"\xff\x1b[31m.csv", "--dataset", "x", code=2, folder=tmp_path)
    assert done.stderr == b"sluice: there is no file \\xff\\x1b[31m.csv\n"
    assert run(api, "job", b"\xff", code=2).stderr.startswith(b"sluice: ")
    assert run(api, b"\xff\x1b[31m", code=2).stderr.startswith(b"sluice: ")
    assert run(api, "errors", JOB_ID, "--csv").stdout == RAW, "CSV is handed on as it is"


def test_a_reader_that_has_had_enough(api: str) -> None:
    run(api, "sample", "people", "20000", redirect="| head -1")
    run(api, "jobs", redirect="| true")


def test_a_pipe_is_told_to_be_one(api: str) -> None:
    for words in (("upload", "/dev/stdin", "--dataset", "x"), ("retry-errors", JOB_ID, "/dev/stdin")):
        done = run(api, *words, code=2)
        assert (
            done.stderr
            == b"sluice: /dev/stdin is a pipe or a device: write what comes from it to a file, and name that\n"
        )


class Screen:
    """`sluice top` in a terminal of this size, and all that it has written there."""

    def __init__(self, api: str, wide: int, high: int, **environment: str) -> None:
        self.mine, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (high, wide))
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("SLUICE_", "COLUMNS", "LINES"))
        }
        kept |= {"SLUICE_API_URL": api, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", **environment}
        command = [sys.executable, "-m", "devstack.cli", "top"]
        self.child = subprocess.Popen(command, cwd=ROOT, env=kept, stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        os.set_blocking(self.mine, False)
        self.written = ""

    def shows(self, text: str) -> None:
        """Wait until it is on the screen."""
        wait_until(lambda: text in self._read(), f"the screen shows {text!r}")

    def press(self, keys: str) -> None:
        """Press keys; what was written before them is forgotten."""
        self._read()
        self.written = ""
        os.write(self.mine, keys.encode())

    def _read(self) -> str:
        with contextlib.suppress(OSError):  # nothing is there yet, or the program has ended
            while more := os.read(self.mine, 65536):
                self.written += more.decode("utf-8", "replace")
        return self.written


@pytest.mark.parametrize(("wide", "environment"), [(100, {}), (40, {"NO_COLOR": "1"})])
def test_all_jobs_live_in_a_terminal(api: str, wide: int, environment: dict[str, str]) -> None:
    screen = Screen(api, wide, 20, **environment)
    screen.shows("1 worker, 2 readers")
    screen.shows(f"> {JOB_ID[:6]}")
    screen.shows("Elasticsearch can't be reached")
    for keys, text in (
        ("t", "y: and take its rows out" if wide > 80 else "keep its rows"),
        ("n", "Nothing is terminated."),
        ("f", "[at work"),
        ("fff", "[all jobs"),
        ("/", "Search: _"),
        ("zz\r", "There are no such jobs."),
        ("\x1b", f"> {JOB_ID[:6]}"),
    ):
        screen.press(keys)
        screen.shows(text)
    if environment:
        assert not re.search("\x1b\\[[0-9;]*3[0-8][;m]", screen.written), "there are no colours"
    screen.press("q")
    assert screen.child.wait(PATIENCE) == 0
    screen.shows("\x1b[?1049l")
    os.close(screen.mine)


@pytest.mark.parametrize("width", [40, 80])
def test_a_narrow_terminal(api: str, width: int) -> None:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "SLUICE_API_URL": api, "COLUMNS": str(width), "TERM": "xterm"}
    with subprocess.Popen(
        [sys.executable, "-m", "devstack.cli", "jobs"],
        cwd=ROOT,
        env=environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # the end of a pseudo terminal
            while data := os.read(ours, 65536):
                shown += data
        os.close(ours)
        assert process.wait() == 0
    lines = [line.replace("\x1b[1m", "").replace("\x1b[0m", "") for line in shown.decode().splitlines()]
    assert max(map(len, lines)) <= width
    assert not any("\x1b" in line or "…" in line for line in lines)
    states = [word for line in lines for word in line.split() if word.startswith("COMPLETED")]
    assert states == ["COMPLETED", "COMPLETED_WITH_ERRORS"]


@pytest.mark.parametrize("change", ["grows", "shrinks", "is written again"])
def test_a_file_that_changes_while_it_is_sent(tmp_path: Path, change: str, monkeypatch: Any) -> None:
    monkeypatch.setenv("SLUICE_API_URL", "http://127.0.0.1:1")
    file = tmp_path / "people.csv"
    file.write_bytes(b"x" * 300_000)

    def accept(request: httpx2.Request) -> httpx2.Response:
        raise AssertionError("all of it was sent")

    def progress(sent: int) -> None:
        if change == "grows":
            with file.open("ab") as more:
                more.write(b"y")
        elif change == "shrinks":
            os.truncate(file, 1)
        else:
            os.utime(file, ns=(1, 1))

    with pytest.raises(ClientError, match=r"people\.csv has changed while it was sent") as told:
        Api(httpx2.MockTransport(accept)).send_file(file, {"operation": "upload"}, None, progress)
    assert told.value.exit_code == 2


@pytest.mark.parametrize("width", [40, 80])
def test_help_names_options_in_full(api: str, width: int) -> None:
    shown = run(api, "upload", "--help", COLUMNS=str(width)).stdout.decode()
    for option in ("--idempotency-key", "--organisation", "--max-errors", "--reason"):
        assert option in shown
