"""Behind `status`: what runs, and where."""

from __future__ import annotations

import json
from typing import Any

from devstack.layout import Layout
from devstack.supervision import state
from devstack.supervision.state import Addresses, Record
from runtime.network.urls import without_password
from runtime.settings import Settings
from runtime.text import tables
from runtime.text.tables import Column
from runtime.text.terminal import out


def report(settings: Settings) -> tuple[Addresses, tuple[Record, ...]]:
    """Where the stack is reached, and its processes; a process that does not run is reported as stopped."""
    now = state.read_state(Layout.of(settings).state_file)
    if now is None:
        return Addresses.of(settings), ()
    return now.addresses, tuple(record for record in now.processes)


def runs(record: Record) -> bool:
    return record.identity is not None and record.identity.alive()


def as_json(addresses: Addresses, records: tuple[Record, ...]) -> str:
    """The machine-readable form: the processes that run, and no others."""
    processes = [{"role": record.role, "pid": record.pid, "log": record.log} for record in records if runs(record)]
    content: dict[str, Any] = {**_shown(addresses), "processes": processes}
    return json.dumps(content, indent=2)


def _shown(addresses: Addresses) -> dict[str, str]:
    """Role -> where it is reached, without names and passwords."""
    where = {"api": addresses.api, "kafka": addresses.kafka, "elasticsearch": addresses.elasticsearch}
    return {role: without_password(address) for role, address in where.items()}


def in_words(record: Record) -> str:
    """A process's state, for the table."""
    if not runs(record):
        return f"stopped ({record.error})" if record.error else "stopped"
    words = {"ready": "ready", "late": "running, not ready yet"}.get(record.phase, "running, getting ready")
    return f"{words}, restarted {record.restarts}x" if record.restarts else words


def show(addresses: Addresses, records: tuple[Record, ...]) -> None:
    """Print the table for people."""
    if not any(runs(record) for record in records):
        out("Nothing runs. Start it with: ./sluice up")
        return
    where = _shown(addresses)
    columns = (
        Column("process"), Column("state", fold=True), Column("pid", right=True), Column("address", under=True),
        Column("log", under=True),
    )  # fmt: skip
    rows = [
        (
            record.name,
            in_words(record),
            str(record.pid) if runs(record) else "",
            where.get(record.role, ""),
            record.log,
        )
        for record in records
    ]
    tables.show(columns, rows)
