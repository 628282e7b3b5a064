"""Kafka and Elasticsearch without a supervisor, which end with this process: for the tests."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from devstack.errors import StackError
from devstack.layout import Layout
from devstack.program import Program
from devstack.servers import jvm
from devstack.supervision import processes, roles
from devstack.supervision.processes import Running
from runtime.settings import Settings

POLL_SECONDS: Final = 0.1


class Server:
    """One server that a test may kill and start again; its data survives that."""

    def __init__(self, program: Program, layout: Layout) -> None:
        self.program = program
        self._layout = layout
        self._running: Running | None = None

    @property
    def pid(self) -> int:
        """Its process.

        Raises:
            RuntimeError: it does not run.
        """
        if self._running is None:
            raise RuntimeError(f"{self.program.name} does not run")
        return self._running.identity.pid

    def start(self) -> None:
        """Start it, without waiting until it answers. On Linux it ends when the thread that calls this ends."""
        self.program.check()
        self._running = processes.start(self.program, self._layout.home, die_with_parent=True)

    def wait_ready(self) -> None:
        """Wait until it answers.

        Raises:
            StackError: it has died, or takes too long; the message quotes its log.
        """
        deadline = time.monotonic() + self.program.ready_seconds
        while not self.program.probe():
            if self._running is None or not self._running.alive() or time.monotonic() > deadline:
                log = self.program.log
                raise StackError(f"{self.program.name} does not start; {log} ends:\n{processes.last_lines(log)}")
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """Stop it in good order."""
        self._end(self.program.stop_seconds)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._running and self._running.child:
            self._running.child.kill()
            self._running.child.wait()
        self._end(0.0)

    def freeze(self) -> None:
        """Stop it (SIGSTOP) until `wake`."""
        os.kill(self.pid, signal.SIGSTOP)

    def wake(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def _end(self, seconds: float) -> None:
        if self._running:
            processes.stop([(self._running, seconds)])
        self._running = None


class Servers:
    """Kafka and Elasticsearch in a home of their own."""

    def __init__(self, settings: Settings) -> None:
        """Prepare them; downloads what is missing.

        Raises:
            StackError: they can't be prepared.
        """
        self.settings = settings
        self.layout = Layout.of(settings)
        self.layout.prepare()
        programs = [_short_lived(program) for program in roles.servers(settings, self.layout)]
        self.by_role = {program.role: Server(program, self.layout) for program in programs}

    @property
    def kafka(self) -> Server:
        return self.by_role["kafka"]

    @property
    def elasticsearch(self) -> Server:
        return self.by_role["elasticsearch"]

    def start(self) -> None:
        """Start both side by side and wait until they answer; if one does not, neither is left."""
        try:
            for server in self._all:
                server.start()
            for server in self._all:
                server.wait_ready()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop both in good order."""
        for server in self._all:
            server.stop()

    def remove(self) -> None:
        """Delete their home, with what lies outside of it."""
        for folder in (self.layout.elasticsearch.resolve(), self.layout.home):
            shutil.rmtree(folder, ignore_errors=True)

    @property
    def _all(self) -> Sequence[Server]:
        return tuple(self.by_role.values())


def _short_lived(program: Program) -> Program:
    """The program with the least work for its JVM."""
    java, *flags = program.command
    flags = [jvm.SERIAL_COLLECTOR if flag == jvm.CONCURRENT_COLLECTOR else flag for flag in flags]
    return replace(program, command=(java, jvm.FIRST_COMPILER_ONLY, *flags))
