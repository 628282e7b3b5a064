"""One supervised process over its restarts."""

from __future__ import annotations

import time
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Final

from devstack.errors import StackError
from devstack.program import Program
from devstack.supervision import processes
from devstack.supervision.backoff import delay_seconds, failures_after
from devstack.supervision.processes import Running
from devstack.supervision.state import Phase, Record

PROBE_PAUSE_SECONDS: Final = 0.2


class Child:
    """Starts its program, notices when it is ready or has died, and starts it again after a pause.

    `tick` never blocks: checks before a start and probes run in the executor it is given.
    """

    def __init__(self, program: Program, mark: Path) -> None:
        self.program = program
        self.phase: Phase = "waiting"
        self.running: Running | None = None
        self._mark = mark
        self._restarts = 0
        self._failures = 0
        self._error: str | None = None
        self._began = 0.0
        self._next_start = 0.0
        self._next_probe = 0.0
        self._checking: Future[None] | None = None
        self._probing: Future[bool] | None = None

    def adopt(self, record: Record) -> None:
        """Take over the process that an earlier supervisor started, if it still runs."""
        identity = record.identity
        if identity and identity.alive():
            self.running = Running(identity, None)
            self._began = time.monotonic()
            self._restarts = record.restarts
            self.phase = "starting"

    def tick(self, executor: Executor) -> None:
        if self.running is None:
            self._start(executor)
        elif not self.running.alive():
            self._died()
        elif self.phase in ("starting", "late"):
            self._ask(executor)

    def stoppers(self) -> list[tuple[Running, float]]:
        """Its running process with its deadline, as `processes.stop` takes them."""
        if self._checking is not None:
            self._checking.cancel()
        return [(self.running, self.program.stop_seconds)] if self.running else []

    def record(self) -> Record:
        identity = self.running.identity if self.running else None
        return Record(
            role=self.program.role,
            number=self.program.number,
            log=str(self.program.log),
            phase=self.phase,
            pid=identity.pid if identity else None,
            created=identity.created if identity else 0.0,
            since_boot=identity.since_boot if identity else "",
            restarts=self._restarts,
            failures=self._failures,
            error=self._error,
        )

    def _start(self, executor: Executor) -> None:
        if self._checking is None:
            if time.monotonic() >= self._next_start:
                self._checking = executor.submit(self.program.check)
            return
        if not self._checking.done():
            return
        problem, self._checking = self._checking.exception(), None
        try:
            if problem is not None:
                raise problem
            self.running = processes.start(self.program, self._mark)
        except (StackError, OSError) as error:
            self._fail(str(error), 0.0)
            return
        self._began = time.monotonic()
        self._next_probe = self._began
        self.phase, self._error = "starting", None

    def _ask(self, executor: Executor) -> None:
        now = time.monotonic()
        if self._probing is None:
            if now >= self._next_probe:
                self._probing = executor.submit(self.program.probe)
            return
        if not self._probing.done():
            return
        problem = self._probing.exception()
        ready = problem is None and self._probing.result()
        self._probing, self._next_probe = None, now + PROBE_PAUSE_SECONDS
        if ready:
            if self.phase != "ready" and self.running is not None:
                processes.stand_back(self.running, self.program.niceness)
            self.phase, self._error, self._failures = "ready", None, 0
        elif now - self._began > self.program.ready_seconds:
            self.phase = "late"
            cause = f" (asking it failed: {problem})" if problem else ""
            self._error = f"it is not ready after {self.program.ready_seconds:.0f} seconds{cause}"

    def _died(self) -> None:
        assert self.running is not None
        ending = self.running.ending
        processes.stop([(self.running, 0.0)])  # what is left of its group
        self.running, self._probing = None, None
        self._restarts += 1
        self._fail(ending, time.monotonic() - self._began)

    def _fail(self, error: str, lived_seconds: float) -> None:
        self.phase, self._error = "waiting", error
        self._failures = failures_after(self._failures, lived_seconds)
        self._next_start = time.monotonic() + delay_seconds(self._failures)
