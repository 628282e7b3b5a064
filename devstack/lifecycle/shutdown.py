"""Behind `down`: stops the supervisor, and the processes that are left of its home."""

from __future__ import annotations

import os
import signal
import time
from typing import Final

from devstack import processes, state
from devstack.layout import Layout
from devstack.processes import Identity
from runtime.settings import Settings

SUPERVISOR_SECONDS: Final = 60.0


def down(settings: Settings) -> bool:
    """Stop every process of this home; returns whether any ran."""
    layout = Layout.of(settings)
    now = state.read_state(layout.state_file)
    supervisor = Identity(now.supervisor_pid, now.supervisor_created) if now else None
    ran = supervisor is not None and supervisor.alive()
    if supervisor and ran:
        _end(supervisor)
    strays = processes.stop_strays(layout.home)
    layout.state_file.unlink(missing_ok=True)
    return ran or strays


def _end(supervisor: Identity) -> None:
    """End the supervisor, which stops its processes in order; after a minute it is killed, and `down` stops them."""
    deadline = time.monotonic() + SUPERVISOR_SECONDS
    os.kill(supervisor.pid, signal.SIGTERM)
    while supervisor.alive():
        if time.monotonic() > deadline:
            os.kill(supervisor.pid, signal.SIGKILL)
        time.sleep(0.1)
