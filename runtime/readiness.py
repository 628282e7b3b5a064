"""How a process without an HTTP port says that it is ready: it makes a file."""

from __future__ import annotations

from runtime.settings import Settings


def mark_ready(settings: Settings) -> None:
    """Make the file that the settings name, if they name one; probes and the supervisor look for it."""
    if settings.ready_file is not None:
        settings.ready_file.parent.mkdir(parents=True, exist_ok=True)
        settings.ready_file.touch()
