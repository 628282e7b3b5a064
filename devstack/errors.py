"""What can go wrong with the local stack in an expected way."""

from __future__ import annotations

from runtime.sentences import FAILED, UNREACHABLE, USAGE, ToldError

__all__ = ["FAILED", "UNREACHABLE", "USAGE", "StackError"]


class StackError(ToldError):
    """One clear sentence for the operator, what to do included; the command prints it and exits with `exit_code`."""

    lines = True
