"""How the import ends other than well: one sentence and an exit code."""

from __future__ import annotations

from typing import Final

from runtime.sentences import FAILED, UNREACHABLE, USAGE, CliError

__all__ = ["REFUSED", "UNREACHABLE", "USAGE", "KibanaError"]

REFUSED: Final = FAILED


class KibanaError(CliError):
    """One clear sentence for the operator, what to do included. Trying again helps where Kibana did not answer."""
