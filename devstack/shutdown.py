"""Behind `down`: stops the supervisor, and whatever it left."""

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
    """Stop everything of this home; returns whether anything ran. No process is left, whatever its state."""
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
    """Give it the time to stop its processes in order; after that `down` stops them itself."""
    deadline = time.monotonic() + SUPERVISOR_SECONDS
    os.kill(supervisor.pid, signal.SIGTERM)
    while supervisor.alive():
        if time.monotonic() > deadline:
            os.kill(supervisor.pid, signal.SIGKILL)
        time.sleep(0.1)
