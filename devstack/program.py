"""The description of a process that the supervisor runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Role = Literal["kafka", "elasticsearch", "api", "ingest", "worker"]


@dataclass(frozen=True, slots=True)
class Program:
    """How a process is started, where it logs, and how its readiness is checked.

    `user` is the uid and gid it runs as (None: ours). `stdin` is its standard input, at most 60 KiB. `check` is called
    right before each start and raises StackError to refuse it. `probe` returns whether the process is ready, and never
    raises. `niceness` is 0 to 19, as for setpriority(2), from when the process is ready.
    """

    role: Role
    number: int
    command: tuple[str, ...]
    environment: Mapping[str, str]
    log: Path
    probe: Callable[[], bool]
    check: Callable[[], None] = lambda: None
    ready_file: Path | None = None
    folder: Path | None = None
    user: int | None = None
    stdin: bytes | None = None
    ready_seconds: float = 120.0
    stop_seconds: float = 20.0
    niceness: int = 0

    @property
    def name(self) -> str:
        return name_of(self.role, self.number)


def name_of(role: Role, number: int) -> str:
    """A process's name: its role, and from the second worker on its number."""
    return role if number == 1 else f"{role}-{number}"
