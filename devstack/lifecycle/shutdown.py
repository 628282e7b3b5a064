"""Behind `down`: stops the supervisor, and the processes that are left of its home."""

from __future__ import annotations

import os
import signal
import time
from typing import Final

from devstack.errors import StackError
from devstack.layout import Layout
from devstack.supervision import processes, supervisor_lock
from devstack.supervision.identity import Identity
from runtime.settings import Settings

SUPERVISOR_SECONDS: Final = 60.0


def down(settings: Settings) -> bool:
    """Stop every process of this home; returns whether any ran.

    Raises:
        StackError: another user's supervisor runs it.
    """
    layout = Layout.of(settings)
    supervisor = supervisor_lock.supervisor(layout)
    if supervisor:
        _end(supervisor)
    others = processes.stop_marked(layout.home)
    layout.state_file.unlink(missing_ok=True)
    return supervisor is not None or others


def _end(supervisor: Identity) -> None:
    """End the supervisor, which stops its processes in order; after a minute it is killed, and `down` stops them."""
    deadline = time.monotonic() + SUPERVISOR_SECONDS
    try:
        os.kill(supervisor.pid, signal.SIGTERM)
        while supervisor.alive():
            if time.monotonic() > deadline:
                os.kill(supervisor.pid, signal.SIGKILL)
            time.sleep(0.1)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise StackError(
            f"The supervisor, process {supervisor.pid}, is another user's: run `./sluice down` as that user."
        ) from error
