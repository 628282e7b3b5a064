"""The state file: what the supervisor runs, for `status`, `down` and the next supervisor."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self, TypeVar

import msgspec

from devstack.layout import write_atomically
from devstack.program import Role, name_of
from devstack.supervision.identity import Identity
from runtime.settings import Settings

Content = TypeVar("Content")
Phase = Literal["waiting", "starting", "late", "ready", "stopped"]


class Record(msgspec.Struct, frozen=True):
    """One supervised process; `identity` says what tells it from a later one with the same pid."""

    role: Role
    number: int
    log: str
    phase: Phase
    pid: int | None = None
    created: float = 0.0
    restarts: int = 0
    failures: int = 0
    error: str | None = None
    since_boot: str = ""

    @property
    def identity(self) -> Identity | None:
        """Its process, if it has had one."""
        return None if self.pid is None else Identity(self.pid, self.created, self.since_boot)

    @property
    def name(self) -> str:
        return name_of(self.role, self.number)


class Addresses(msgspec.Struct, frozen=True):
    """Where the stack is reached: the API's URL, Kafka's host:port, Elasticsearch's URL."""

    api: str
    kafka: str
    elasticsearch: str

    @classmethod
    def of(cls, settings: Settings) -> Self:
        return cls(settings.api, settings.bootstrap, settings.elasticsearch)


class Wanted(msgspec.Struct, frozen=True):
    """What `up` asked for; the running supervisor applies changes of it."""

    workers: int = 1
    servers_only: bool = False


class State(msgspec.Struct, frozen=True):
    """The whole stack. `prepared` is false until the supervisor knows its processes; `error` is what keeps it from
    going on, such as topics that it can't make; `hopeless`: trying again does not help."""

    supervisor_pid: int
    supervisor_created: float
    addresses: Addresses
    wanted: Wanted
    processes: tuple[Record, ...] = ()
    error: str | None = None
    hopeless: bool = False
    prepared: bool = False
    supervisor_since_boot: str = ""

    @property
    def supervisor(self) -> Identity:
        return Identity(self.supervisor_pid, self.supervisor_created, self.supervisor_since_boot)

    def record(self, name: str) -> Record | None:
        return next((record for record in self.processes if record.name == name), None)

    @property
    def ready(self) -> bool:
        """Whether every process that is wanted is ready."""
        return self.prepared and all(record.phase == "ready" for record in self.processes)


def read_state(file: Path) -> State | None:
    """The last state written, or None where there is none that can be read."""
    return _read(file, State)


def read_wanted(file: Path) -> Wanted | None:
    return _read(file, Wanted)


def write(file: Path, content: State | Wanted) -> None:
    write_atomically(file, msgspec.json.encode(content).decode() + "\n")


def _read(file: Path, kind: type[Content]) -> Content | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError):
        return None
