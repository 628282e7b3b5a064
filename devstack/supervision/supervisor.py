"""The supervisor: a process that starts the others in order, and starts those again that die."""

from __future__ import annotations

import signal
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from types import FrameType
from typing import Final

from devstack.errors import StackError
from devstack.layout import Layout
from devstack.program import Program
from devstack.supervision import processes, roles, state, supervisor_lock
from devstack.supervision.child import Child
from devstack.supervision.identity import me
from devstack.supervision.processes import Running
from devstack.supervision.state import Addresses, State, Wanted
from runtime.privacy import keep_files_private
from runtime.settings import Settings, settings

TICK_SECONDS: Final = 0.2
PROVISION_PAUSE_SECONDS: Final = 2.0
SURPLUS_SECONDS: Final = 20.0


class Supervisor:
    """Runs until `stopping` is set; then stops everything it runs."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.layout = Layout.of(settings)
        self.stopping = threading.Event()
        self._identity = me()
        self._addresses = Addresses.of(settings)
        self._wanted = state.read_wanted(self.layout.wanted_file) or Wanted()
        self._servers: list[Program] = []
        self._children: dict[str, Child] = {}
        self._provisioning: Future[None] | None = None
        self._provisioned = False
        self._provision_after = 0.0
        self._error: str | None = None
        self._hopeless = False
        self._prepared = False
        self._written: State | None = None
        # Probes and provisioning may take seconds; the loop must not, or a signal would wait for them.
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="supervisor")

    def run(self) -> None:
        """Supervise until `stopping` is set.

        Raises:
            StackError: another supervisor runs this home.
        """
        with supervisor_lock.held(self.layout):
            try:
                self._run()
            finally:
                self._stop()

    def _run(self) -> None:
        earlier = state.read_state(self.layout.state_file)
        self._write()
        self._servers = roles.servers(self.settings, self.layout)
        self._read_wanted()
        self._adopt(earlier)
        self._prepared = True
        while not self.stopping.is_set():
            self._read_wanted()
            self._tick()
            self._write()
            self.stopping.wait(TICK_SECONDS)

    def _read_wanted(self) -> None:
        """Read what `up` wants by now: add the processes that are missing, and stop surplus workers."""
        wanted = state.read_wanted(self.layout.wanted_file) or self._wanted
        if self._children and wanted == self._wanted:
            return
        self._wanted = wanted
        programs = [*self._servers]
        if not self._wanted.servers_only:
            programs += roles.own(self.settings, self.layout, self._wanted.workers)
        for program in programs:
            if program.name not in self._children:
                self._children[program.name] = Child(program, self.layout.home)
        surplus = [name for name in self._children if name not in {program.name for program in programs}]
        if surplus:
            processes.stop(stopper for name in surplus for stopper in self._children.pop(name).stoppers())

    def _adopt(self, earlier: State | None) -> None:
        """Take over the processes that a killed supervisor left; `up` has stopped those that can't be taken over."""
        recorded = {record.name: record for record in (earlier.processes if earlier else ())}
        for name, child in self._children.items():
            if record := recorded.pop(name, None):
                child.adopt(record)
        surplus = [record.identity for record in recorded.values() if record.identity]
        processes.stop((Running(identity, None), SURPLUS_SECONDS) for identity in surplus)

    def _tick(self) -> None:
        servers = {program.name for program in self._servers}
        for name, child in self._children.items():
            if name in servers or self._provisioned:
                child.tick(self._pool)
        if not self._provisioned and all(self._children[name].phase == "ready" for name in servers):
            self._provision()

    def _provision(self) -> None:
        if self._wanted.servers_only:
            return
        if self._provisioning is None:
            if time.monotonic() >= self._provision_after:
                self._provisioning = self._pool.submit(provision, self.settings)
        elif self._provisioning.done():
            problem = self._provisioning.exception()
            self._provisioned, self._provisioning = problem is None, None
            self._provision_after = time.monotonic() + PROVISION_PAUSE_SECONDS
            self._error = f"The topics and indices could not be made: {problem}" if problem else None
            self._hopeless = problem is not None and not retry_helps(problem)

    def _stop(self) -> None:
        """Stop Sluice's own processes first, while the servers still answer them, and then the servers."""
        servers = {program.name for program in self._servers}
        self._pool.shutdown(wait=False, cancel_futures=True)
        for last in (False, True):
            group = [child for name, child in self._children.items() if (name in servers) is last]
            processes.stop(stopper for child in group for stopper in child.stoppers())
            for child in group:
                child.phase = "stopped"
                child.running = None
        self._write()

    def _write(self) -> None:
        current = State(
            supervisor_pid=self._identity.pid,
            supervisor_created=self._identity.created,
            supervisor_since_boot=self._identity.since_boot,
            addresses=self._addresses,
            wanted=self._wanted,
            processes=tuple(child.record() for child in self._children.values()),
            error=self._error,
            hopeless=self._hopeless,
            prepared=self._prepared,
        )
        if current != self._written:
            state.write(self.layout.state_file, current)
            self._written = current


def provision(settings: Settings) -> None:
    """Make the topics and indices; nothing to do where that part is not installed."""
    try:
        from runtime.provision import provision as make
    except ModuleNotFoundError as error:
        if error.name != "runtime.provision":
            raise
        return
    for difference in make(settings):
        print(difference, flush=True)


def retry_helps(problem: BaseException) -> bool:
    """Whether provisioning that has failed may succeed a little later."""
    from runtime.provision import RefusedError
    from schemas.descriptors.datasets import DatasetError

    return not isinstance(problem, RefusedError | DatasetError)


def stop_on_signals(supervisor: Supervisor) -> None:
    """Ctrl-C, SIGTERM and a closed terminal all end the supervisor in good order."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        supervisor.stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)


def main() -> None:
    """Run detached; errors go to the log, which `up` quotes."""
    keep_files_private()
    supervisor = Supervisor(settings())
    stop_on_signals(supervisor)
    try:
        supervisor.run()
    except StackError as error:
        sys.exit(f"sluice: {error.message}")


if __name__ == "__main__":
    main()
