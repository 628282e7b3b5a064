"""Starts Sluice's processes as forks of a process that has imported their modules already.

Imports take more processor time than all else that a process does until it is ready, or that a command does, and the
tests start many of them. `tests/e2e` has processes that the supervisor starts, as a user has them;
`tests/unit/commandline/test_processes.py` and `tests/unit/operating/test_extras.py` have such commands.
"""

from __future__ import annotations

import ctypes
import faulthandler
import io
import multiprocessing
import os
import runpy
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

PRELOADED = (
    "api.app",
    "client.requests.acting",
    "client.requests.downloads",
    "client.requests.files",
    "client.requests.making",
    "client.requests.reports",
    "commandline.cli",
    "commandline.connection",
    "commandline.following",
    "commandline.view.output",
    "devstack.foreground.commands",
    "httpx2",
    "ingest.inbox.inbox",
    "ingest.metrics",
    "ingest.reader",
    "kibana.cli",
    "processor.worker",
    "runtime.logs",
    "runtime.telemetry.exporter",
    "runtime.telemetry.tracing",
    "sample_csv.cli",
    "tests.support.processes.forking",
    "uvicorn.lifespan.on",
    "uvicorn.loops.uvloop",
)
"""What the roles import once signals count, and what commands import; no module that runs as `__main__`."""
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None

_context = multiprocessing.get_context("forkserver")


class Forked:
    """``python -m MODULE WORDS``, without its imports; it is used like a `subprocess.Popen`."""

    def __init__(
        self, module: str, environment: Mapping[str, str], log: Path, *words: str, errors: Path | None = None
    ) -> None:
        """Start it; its output goes to `log`, and what it writes on standard error to `errors`; None: to `log` too."""
        self._looking = threading.Lock()  # the exit code can be read once
        _context.set_forkserver_preload(list(PRELOADED))
        self._process = _context.Process(
            target=_begin, args=([module, *words], dict(environment), str(log), str(errors or ""))
        )
        self._process.start()

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    @property
    def returncode(self) -> int | None:
        return self.poll()

    def poll(self) -> int | None:
        """Its exit code, negative after a signal; None while it runs."""
        with self._looking:
            return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int | None:
        """The exit code; None if it still runs after the time."""
        multiprocessing.connection.wait([self._process.sentinel], timeout)
        return self.poll()

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


def end_with_parent() -> None:
    """Have Linux kill this process when its parent ends."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _begin(command: list[str], environment: Mapping[str, str], log: str, errors: str) -> None:
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))  # else it would keep the fork server from ending with the tests
    end_with_parent()
    anew = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    for number, path, flags in ((0, os.devnull, os.O_RDONLY), (1, log, anew), *([(2, errors, anew)] if errors else [])):
        opened = os.open(path, flags, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    if not errors:
        os.dup2(1, 2)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - it stays
    for stream in (sys.stdout, sys.stderr):
        assert isinstance(stream, io.TextIOWrapper)
        stream.reconfigure(write_through=True)
    os.environ.clear()
    os.environ.update(environment)
    faulthandler.enable()
    sys.path[1:1] = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path not in sys.path]
    sys.argv = command
    runpy.run_module(command[0], run_name="__main__", alter_sys=True)
