"""The lock that the supervisor of a home holds while it runs: it outlives every state file."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

import psutil

from devstack.errors import StackError
from devstack.layout import Layout
from devstack.supervision import state
from devstack.supervision.identity import Identity


@contextlib.contextmanager
def held(layout: Layout) -> Iterator[None]:
    """Hold the lock.

    Raises:
        StackError: another supervisor runs this home.
    """
    with layout.supervisor_lock.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StackError(f"Another supervisor already runs {layout.home}.") from error
        yield


def supervised(layout: Layout) -> bool:
    """Whether a supervisor runs this home."""
    try:
        with layout.supervisor_lock.open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def supervisor(layout: Layout) -> Identity | None:
    """The supervisor that runs this home: the one of the state file, else the process that holds the lock.

    Raises:
        StackError: the lock is held by a process that this user does not see.
    """
    now = state.read_state(layout.state_file)
    if now and now.supervisor.alive():
        return now.supervisor
    found = _holder(layout.supervisor_lock.resolve()) if supervised(layout) else None
    if found is None and supervised(layout):
        raise StackError(
            f"A supervisor that this user does not see runs {layout.home}: run `./sluice down` as its user, or end the "
            f"process that holds {layout.supervisor_lock}."
        )
    return found


def _holder(lock: Path) -> Identity | None:
    """The process that has this file open for writing; one that only tries the lock has it open for reading."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            # macOS does not tell the mode; what tries the lock there has closed the file after a moment.
            if any(Path(file.path) == lock and getattr(file, "mode", "w") != "r" for file in process.open_files()):
                return Identity.of(process.pid)
    return None
