"""Behind `up`: prepares the home, starts a supervisor where none runs, and waits until everything is ready."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from devstack import descriptors
from devstack.errors import StackError, SupervisorEndedError
from devstack.layout import Layout
from devstack.lifecycle import follow
from devstack.lifecycle.shutdown import down
from devstack.program import Program
from devstack.servers import external
from devstack.supervision import processes, roles, state
from devstack.supervision.identity import Identity
from devstack.supervision.state import Addresses, Wanted
from devstack.supervision.supervisor import Supervisor, stop_on_signals
from devstack.supervision.supervisor_lock import supervised
from runtime.settings import Settings
from runtime.text.terminal import say

LOCK_SECONDS: Final = 300.0


def up(settings: Settings, detach: bool, workers: int | None = None, servers_only: bool = False) -> bool:
    """Start what is missing. Detached, or with a supervisor running already, returns once all of it is ready.

    In the foreground it returns when a signal has stopped it and every process has ended. The answer is whether this
    call started the supervisor: who did not start it leaves it running.

    Raises:
        StackError: a process can't be started; if this call started the supervisor, it has stopped it again.
    """
    layout = Layout.of(settings)
    if not servers_only:
        descriptors.usable_datasets(settings)
    layout.prepare()
    external.require_reachable(settings)
    with _alone(layout):
        if supervised(layout):
            _require_same_addresses(settings, layout)
            _want(layout, workers, servers_only, fresh=False)
            try:
                follow.until_ready(layout, lambda: supervised(layout))
                return False
            except SupervisorEndedError:
                if supervised(layout):
                    raise
                # The supervisor was already ending: take over the servers that it has left.
        left = _left_running(settings, layout)
        _want(layout, workers, servers_only, fresh=not left)
        # Here an error can be shown on the terminal; that of a port before anything is downloaded.
        if not servers_only:
            _check(roles.own(settings, layout, workers=1), left)
        _check(roles.servers(settings, layout), left)
        if detach:
            _detached(settings, layout)
            return True
    _foreground(settings, layout)
    return True


def _want(layout: Layout, workers: int | None, servers_only: bool, fresh: bool) -> None:
    """Write down what is wanted. Processes that run already stay wanted, except for workers beyond a given number."""
    before = Wanted(servers_only=True) if fresh else state.read_wanted(layout.wanted_file) or Wanted()
    wanted = Wanted(
        workers=workers if workers is not None else before.workers,
        servers_only=servers_only and before.servers_only,
    )
    state.write(layout.wanted_file, wanted)


def _require_same_addresses(settings: Settings, layout: Layout) -> None:
    now = state.read_state(layout.state_file)
    if now and now.addresses != Addresses.of(settings):
        raise StackError(
            f"The stack of {layout.home} runs already, at other addresses than the settings say (it has the API at "
            f"{now.addresses.api}, Kafka at {now.addresses.kafka}, Elasticsearch at {now.addresses.elasticsearch}): "
            "run `./sluice down` first, or name another SLUICE_HOME."
        )


def _check(programs: Iterable[Program], left: Mapping[str, Identity]) -> None:
    """Check that these can be started, unless they run. Raises as `up`."""
    for program in programs:
        if program.name not in left:
            program.check()


def _left_running(settings: Settings, layout: Layout) -> dict[str, Identity]:
    """Processes of a killed supervisor, by name, for the next one to take over; all others are stopped here."""
    earlier = state.read_state(layout.state_file)
    left: dict[str, Identity] = {}
    if earlier and earlier.addresses == Addresses.of(settings):
        recorded = {record.name: record.identity for record in earlier.processes if record.identity}
        left = {name: identity for name, identity in recorded.items() if identity.alive()}
    else:
        layout.state_file.unlink(missing_ok=True)
    processes.stop_marked(layout.home, left.values())
    return left


def _detached(settings: Settings, layout: Layout) -> None:
    with layout.log("supervisor").open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "devstack.supervision.supervisor"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "SLUICE_HOME": str(layout.home), "PYTHONSAFEPATH": "1"},
            start_new_session=True,
        )
    try:
        follow.until_ready(layout, lambda: child.poll() is None)
    except BaseException:
        down(settings)
        raise


def _foreground(settings: Settings, layout: Layout) -> None:
    supervisor = Supervisor(settings)
    stop_on_signals(supervisor)
    problems: list[StackError] = []

    def watch() -> None:
        try:
            follow.until_ready(layout, lambda: True, supervisor.stopping)
        except StackError as error:
            problems.append(error)
            supervisor.stopping.set()
        else:
            say("Stopping ..." if supervisor.stopping.is_set() else "Ctrl-C stops everything.")

    watcher = threading.Thread(target=watch, name="watcher", daemon=True)
    watcher.start()
    try:
        supervisor.run()
    finally:
        supervisor.stopping.set()
        watcher.join(timeout=5)
    if problems:
        raise problems[0]


@contextlib.contextmanager
def _alone(layout: Layout) -> Iterator[None]:
    """Hold this home's lock: a second `up` at the same time waits, and then finds what the first has started."""
    deadline = time.monotonic() + LOCK_SECONDS
    waiting = False
    with layout.up_lock.open("a") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    message = f"Another `sluice up` holds {layout.up_lock}: wait for it, or end it."
                    raise StackError(message) from None
                if not waiting:
                    say("Another `sluice up` is at work; waiting for it ...")
                    waiting = True
                time.sleep(0.2)
        yield
