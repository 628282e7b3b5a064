"""Expected errors of the local stack."""

from __future__ import annotations

from runtime.text.sentences import FAILED, UNREACHABLE, USAGE, CliError

__all__ = ["FAILED", "UNREACHABLE", "USAGE", "StackError"]


class StackError(CliError):
    """An error of the local stack; its sentence says what to do, and a log's last lines may follow."""

    lines = True


class SupervisorEndedError(StackError):
    """The supervisor ended while a command waited for it."""
