"""Which process is meant: a pid with the moment of its start."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import psutil

_CLOCK_SLACK_SECONDS: Final = 2.0
_PROC: Final = Path("/proc")
_START_TICKS: Final = 19
"""Place of the start time among the fields of /proc/PID/stat that follow the program's name; proc(5) calls it 22."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A process, identified beyond doubt: pids are used again, start times are not.

    `since_boot`: clock ticks from the boot to the start, with the boot's id. Who sets the clock does not change it, but
    on Linux changes `created`, seconds since 1970. Empty: this system does not tell, or a version up to 0.2 has
    recorded the process; then `created` counts.
    """

    pid: int
    created: float
    since_boot: str = ""

    @classmethod
    def of(cls, pid: int) -> Self:
        """The process that has this pid now.

        Raises:
            psutil.Error: there is none.
        """
        return cls(pid, psutil.Process(pid).create_time(), _since_boot(pid))

    def alive(self) -> bool:
        try:
            process = psutil.Process(self.pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            if self.since_boot:
                return _since_boot(self.pid) == self.since_boot
            return abs(process.create_time() - self.created) < _CLOCK_SLACK_SECONDS
        except psutil.Error:
            return False


def me() -> Identity:
    return Identity.of(os.getpid())


def _since_boot(pid: int) -> str:
    try:
        # The name stands in parentheses, and may hold spaces and parentheses itself.
        fields = (_PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
        ticks = int(fields[_START_TICKS])
    except (OSError, IndexError, ValueError):
        return ""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        boot = ""
    return f"{ticks}@{boot}"
