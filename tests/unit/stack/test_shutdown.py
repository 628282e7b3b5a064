"""Which process is meant, whatever the clock says; and what `down` and the demo stop."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import psutil
import pytest

from devstack import demo
from devstack.errors import StackError
from devstack.layout import Layout
from devstack.lifecycle.shutdown import down
from devstack.supervision import processes, state, supervisor_lock
from devstack.supervision.identity import Identity, me
from devstack.supervision.processes import MARK
from devstack.supervision.state import Addresses, Record, State, Wanted
from runtime.settings import Settings
from tests.support.waiting import PATIENCE

SUPERVISOR = """
import fcntl, os, subprocess, sys
lock = open(sys.argv[1], "w")
fcntl.flock(lock, fcntl.LOCK_EX)
while True:
    child = subprocess.Popen(["sleep", "600"], env={**os.environ, sys.argv[2]: sys.argv[3]}, start_new_session=True)
    print(child.pid, flush=True)
    child.wait()
"""
"""Holds the lock of a home, and starts its one process again and again."""
STEPS = [-3600.0, 0.0, 3600.0]
"""Seconds by which the clock is set."""


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Set the clock: Linux then tells another moment of the boot, and psutil other start times of all processes."""
    real = psutil.Process.create_time

    def step(seconds: float) -> None:
        monkeypatch.setattr(psutil.Process, "create_time", lambda process: real(process) + seconds)

    return step


ADDRESSES = Addresses("http://127.0.0.1:1", "127.0.0.1:2", "http://127.0.0.1:3")


def state_of(process: Identity, *processes: Record, addresses: Addresses = ADDRESSES) -> State:
    return State(
        process.pid, process.created, addresses, Wanted(), processes, prepared=True,
        supervisor_since_boot=process.since_boot,
    )  # fmt: skip


def as_before(now: State) -> bytes:
    """The state as a version up to 0.2 has written it."""
    fields = json.loads(msgspec.json.encode(now))
    del fields["supervisor_since_boot"]
    for process in fields["processes"]:
        del process["since_boot"]
    return json.dumps(fields).encode()


@pytest.mark.parametrize("seconds", STEPS)
def test_a_process_stays_the_same_when_the_clock_is_set(
    tmp_path: Path, set_clock: Callable[[float], None], seconds: float
) -> None:
    mine = me()
    file = tmp_path / "state.json"
    state.write(
        file, state_of(mine, Record("api", 1, "log", "ready", mine.pid, mine.created, since_boot=mine.since_boot))
    )
    set_clock(seconds)
    read = state.read_state(file)
    assert read and read.supervisor.alive() and read.processes[0].identity.alive()  # type: ignore[union-attr]


def test_a_pid_that_is_used_again_is_another_process() -> None:
    mine = me()
    ticks, boot = mine.since_boot.split("@")
    others = [f"{int(ticks) - 1}@{boot}", f"{ticks}@another-boot"]
    assert [replace(mine, since_boot=other).alive() for other in others] == [False, False]
    assert not Identity(mine.pid, mine.created - 60).alive()


def test_a_record_of_the_version_before_is_read() -> None:
    mine = me()
    now = state_of(mine, Record("api", 1, "log", "ready", mine.pid, mine.created))
    read = msgspec.json.decode(as_before(now), type=State)
    assert read.supervisor.alive() and read.processes[0].identity.alive()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    found = Settings(home=tmp_path / "home")
    Layout.of(found).prepare()
    return found


@pytest.fixture
def supervisor(settings: Settings) -> Iterator[Identity]:
    """A supervisor of this home, which runs a process."""
    layout = Layout.of(settings)
    command = [sys.executable, "-c", SUPERVISOR, str(layout.supervisor_lock), MARK, str(layout.home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as started:
        assert started.stdout and started.stdout.readline()
        try:
            yield Identity.of(started.pid)
        finally:
            started.kill()
            started.wait()
            processes.stop_marked(layout.home)


def _written(layout: Layout, supervisor: Identity) -> None:
    state.write(layout.state_file, state_of(supervisor))


def _of_the_version_before(layout: Layout, supervisor: Identity) -> None:
    layout.state_file.write_bytes(as_before(state_of(supervisor)))


def _of_an_earlier_supervisor(layout: Layout, supervisor: Identity) -> None:
    state.write(layout.state_file, state_of(replace(supervisor, since_boot="1@another-boot")))


def _broken(layout: Layout, supervisor: Identity) -> None:
    layout.state_file.write_text("{")


def _missing(layout: Layout, supervisor: Identity) -> None:
    pass


@pytest.mark.parametrize("seconds", STEPS)
@pytest.mark.parametrize("write", [_written, _of_the_version_before, _of_an_earlier_supervisor, _broken, _missing])
def test_down_ends_the_supervisor_and_what_it_runs(
    settings: Settings,
    supervisor: Identity,
    set_clock: Callable[[float], None],
    write: Callable[[Layout, Identity], None],
    seconds: float,
) -> None:
    layout = Layout.of(settings)
    write(layout, supervisor)
    set_clock(seconds)
    assert down(settings)
    assert not supervisor.alive() and processes.marked(layout.home) == []
    assert not supervisor_lock.supervised(layout)
    assert not down(settings)


def test_down_ends_a_process_whose_program_is_being_loaded(
    settings: Settings, supervisor: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux shows neither its arguments nor its environment for a moment, which on a busy machine may be long."""
    monkeypatch.setattr(processes, "_EXEC_SECONDS", PATIENCE)
    (child,) = psutil.Process(supervisor.pid).children()
    looks = {child.pid: 6}
    environ, cmdline = psutil.Process.environ, psutil.Process.cmdline

    def shown(process: psutil.Process) -> bool:
        looks[process.pid] = looks.get(process.pid, 0) - 1
        return looks[process.pid] < 0

    monkeypatch.setattr(psutil.Process, "environ", lambda it: environ(it) if shown(it) else {})
    monkeypatch.setattr(psutil.Process, "cmdline", lambda it: cmdline(it) if looks.get(it.pid, 0) < 0 else [])
    assert down(settings)
    assert not psutil.pid_exists(child.pid) or child.status() == psutil.STATUS_ZOMBIE


def test_down_says_so_when_it_can_not_see_the_supervisor(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "process_iter", lambda: iter(()))
    with supervisor_lock.held(Layout.of(settings)), pytest.raises(StackError, match="this user does not see"):
        down(settings)
    assert not down(settings)


def test_down_says_so_when_the_supervisor_is_another_users(
    settings: Settings, supervisor: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_pid: int, _signal: int) -> None:
        raise PermissionError

    with monkeypatch.context() as patched:
        patched.setattr("devstack.lifecycle.shutdown.os.kill", refuse)
        with pytest.raises(StackError, match=f"process {supervisor.pid}, is another user's"):
            down(settings)
    assert supervisor.alive()


@pytest.fixture
def demo_of(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], int]], int]:
    """Runs `sluice demo --exit` in this home, with something else to show."""
    monkeypatch.setattr(demo, "settings", lambda: settings)

    def run(show: Callable[[], int]) -> int:
        monkeypatch.setattr(demo, "_show", lambda _: show())
        return demo.run(exit_at_end=True)

    return run


def test_the_demo_leaves_a_stack_that_it_was_refused(
    settings: Settings, supervisor: Identity, demo_of: Callable[[Callable[[], int]], int]
) -> None:
    state.write(Layout.of(settings).state_file, state_of(supervisor))
    with pytest.raises(StackError, match="at other addresses"):
        demo_of(lambda: 0)
    assert supervisor.alive()


def test_the_demo_leaves_a_stack_that_ran_before(
    settings: Settings, supervisor: Identity, demo_of: Callable[[Callable[[], int]], int]
) -> None:
    state.write(Layout.of(settings).state_file, state_of(supervisor, addresses=Addresses.of(settings)))
    assert demo_of(lambda: 7) == 7
    assert supervisor.alive()


@pytest.mark.parametrize("error", [None, KeyboardInterrupt, StackError])
def test_the_demo_stops_what_it_has_started(
    error: type[BaseException] | None,
    supervisor: Identity,
    demo_of: Callable[[Callable[[], int]], int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(demo, "up", lambda *_, **__: True)

    def show() -> int:
        if error:
            raise error("it ends early")
        return 0

    with pytest.raises(error) if error else contextlib.nullcontext():
        demo_of(show)
    assert not supervisor.alive()
