"""What can go wrong with the local stack in an expected way."""

from __future__ import annotations

from typing import Final

FAILED: Final = 1
UNREACHABLE: Final = 3


class StackError(Exception):
    """One clear sentence for the operator, what to do included; the command prints it and exits with `exit_code`."""

    def __init__(self, message: str, exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code
