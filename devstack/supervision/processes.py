"""Starts, finds and stops processes. Each one leads its own process group."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from devstack.program import Program
from devstack.supervision.identity import Identity

# An environment variable of each process that we start, which its children inherit: it finds processes that are not in
# the state file.
MARK: Final = "SLUICE_SUPERVISED"
_POLL_SECONDS: Final = 0.05
_EXEC_SECONDS: Final = 5.0
_STOP_SECONDS: Final = 15.0
"""Processes of an earlier supervisor are killed after so long."""
"""How long `marked` waits for programs that are being loaded, in all: one may also hide its arguments for good."""
_PR_SET_PDEATHSIG: Final = 1


@dataclass(frozen=True, slots=True)
class Running:
    """A process that we run. `child` is None where an earlier supervisor started it."""

    identity: Identity
    child: subprocess.Popen[bytes] | None

    def alive(self) -> bool:
        return self.child.poll() is None if self.child else self.identity.alive()

    @property
    def ending(self) -> str:
        """How it ended, for a message."""
        code = self.child.returncode if self.child else None
        if code is None:
            return "it ended"
        return f"it was killed by {signal.Signals(-code).name}" if code < 0 else f"it ended with exit code {code}"


def start(program: Program, mark: Path, die_with_parent: bool = False) -> Running:
    """Start a process, its log begun anew and the previous one kept as `.old`.

    With `die_with_parent` (Linux only) the process gets SIGTERM when the thread that starts it ends.
    """
    if program.ready_file:
        program.ready_file.unlink(missing_ok=True)
    if program.log.exists() and program.log.stat().st_size:
        program.log.replace(program.log.with_suffix(".log.old"))
    reading, writing = os.pipe() if program.stdin is not None else (None, None)
    try:
        if writing is not None and program.stdin is not None:
            os.write(writing, program.stdin)
        with program.log.open("wb") as log:
            child = subprocess.Popen(
                program.command,
                stdin=subprocess.DEVNULL if reading is None else reading,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**program.environment, MARK: str(mark)},
                cwd=program.folder,
                user=program.user,
                group=program.user,
                extra_groups=None if program.user is None else [],
                start_new_session=True,
                # The child keeps the writing end of its own input open, so that the input outlives us.
                pass_fds=() if writing is None else (writing,),
                preexec_fn=_end_with_parent() if die_with_parent else None,
            )
    finally:
        for descriptor in (reading, writing):
            if descriptor is not None:
                os.close(descriptor)
    return Running(Identity.of(child.pid), child)


def stand_back(running: Running, niceness: int) -> None:
    """Lower the priority of a process and of all its threads, where the system allows it; 0: leave it.

    Linux by default shares the processors among sessions first: a process that leads one, as ours do, is compared with
    others by its session's niceness, and its own counts only among the threads of that session.
    """
    if niceness:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PGRP, running.identity.pid, niceness)
        with contextlib.suppress(OSError):
            Path(f"/proc/{running.identity.pid}/autogroup").write_text(str(niceness), encoding="ascii")


def stop(running: Iterable[tuple[Running, float]]) -> None:
    """Stop processes and their groups side by side: SIGTERM, and SIGKILL once a process's own deadline is over."""
    groups = [(process, time.monotonic() + seconds) for process, seconds in running]
    for process, _ in groups:
        if _is_ours(process):
            _signal_group(process.identity.pid, signal.SIGTERM)
    for process, deadline in groups:
        while _is_ours(process) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        if _is_ours(process):
            _signal_group(process.identity.pid, signal.SIGKILL)
        while _is_ours(process):
            time.sleep(_POLL_SECONDS)


def stop_marked(mark: Path, keep: Iterable[Identity] = ()) -> bool:
    """Stop every process started for this home, save `keep` and their groups; returns whether there was one."""
    leaders = {identity.pid for identity in keep}
    others = [Running(identity, None) for identity in marked(mark) if _leader(identity.pid) not in leaders]
    stop((other, _STOP_SECONDS) for other in others)
    return bool(others)


def marked(mark: Path) -> list[Identity]:
    """Every living process that was started for this home, by this supervisor or another."""
    found = []
    deadline = time.monotonic() + _EXEC_SECONDS
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            while not (variables := process.environ()) and _begins(process) and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
            if variables.get(MARK) == str(mark) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(Identity.of(process.pid))
    return found


def _begins(process: psutil.Process) -> bool:
    """Whether a program is being loaded into a process without environment: Linux shows no arguments of it yet either.

    On a busy machine this may take a while.
    """
    if process.cmdline() or process.status() == psutil.STATUS_ZOMBIE:
        return False
    return bool(process.exe())  # the kernel's own threads have none


def last_lines(log: Path, count: int = 5) -> str:
    """The last lines of a log file, for a message; '(empty)' where there are none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4096))
            lines = file.read().decode("utf-8", "replace").strip().splitlines()
    except OSError:
        lines = []
    return "\n".join(f"    {line[:300]}" for line in lines[-count:]) or "    (empty)"


def _is_ours(process: Running) -> bool:
    """Whether it, or something left of its group, still runs."""
    return process.alive() or (process.child is not None and bool(_group(process.identity.pid)))


def _leader(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def _group(leader: int) -> list[int]:
    members = []
    for pid in psutil.pids():
        with contextlib.suppress(ProcessLookupError, PermissionError, psutil.Error):
            if os.getpgid(pid) == leader and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                members.append(pid)
    return members


def _signal_group(leader: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if _leader(leader) == leader:
            os.killpg(leader, number)
        else:
            os.kill(leader, number)


def _end_with_parent() -> Callable[[], None] | None:
    """A function for the child to run before its program, so that it gets SIGTERM when its parent ends; Linux only."""
    if sys.platform != "linux":
        return None
    import ctypes

    # Loaded here: in the child it could fail, as that may run as a user who can't read our libraries.
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
