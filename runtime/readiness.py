"""How a process says that it is ready: by a file, for probes and the supervisor.

`runtime/telemetry/exporter.py` says it over HTTP.
"""

from __future__ import annotations

import os

from runtime.process import CannotStartError
from runtime.settings import Settings


class Readiness:
    """Whether this process does its work. One that has not said so yet, or has ended, leaves no file."""

    def __init__(self, settings: Settings) -> None:
        """Remove the file that an earlier process may have left.

        Raises:
            CannotStartError: the file can't be made where the settings say.
        """
        self._file = settings.ready_file
        self.ready = False
        """Whether it is ready, for an answer over HTTP."""
        if self._file is None:
            return
        trial = self._file.with_name(f"{self._file.name}.{os.getpid()}")
        try:
            self._file.unlink(missing_ok=True)
            self._file.parent.mkdir(parents=True, exist_ok=True)
            # Now rather than when the process is ready: until then it may take long.
            trial.touch()
            trial.unlink()
        except OSError as error:
            raise self._unwritable(error) from error

    def mark(self) -> None:
        """The process is ready. Raises CannotStartError: the file can't be made."""
        try:
            if self._file is not None:
                self._file.touch()
        except OSError as error:
            raise self._unwritable(error) from error
        self.ready = True

    def clear(self) -> None:
        """Note that the process is not ready any more: it stops, or it waits."""
        self.ready = False
        try:
            if self._file is not None:
                self._file.unlink(missing_ok=True)
        except OSError:
            pass  # it ends, and the next one looks again

    def _unwritable(self, error: OSError) -> CannotStartError:
        return CannotStartError(
            f"SLUICE_READY_FILE {self._file} can't be made ({error.strerror or error}): name a file in a folder that "
            f"this process may write, or none"
        )
