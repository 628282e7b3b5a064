"""Errors of the import: one sentence and an exit code."""

from __future__ import annotations

from typing import Final

from runtime.text.sentences import FAILED, UNREACHABLE, USAGE, CliError

__all__ = ["REFUSED", "UNREACHABLE", "USAGE", "KibanaError"]

REFUSED: Final = FAILED


class KibanaError(CliError):
    """An error of the import; its sentence says what to do."""
