"""How the import ends other than well: one sentence and an exit code."""

from __future__ import annotations

from typing import Final

REFUSED: Final = 1
USAGE: Final = 2
UNREACHABLE: Final = 3


class KibanaError(Exception):
    """One clear sentence for the operator, what to do included. Trying again helps where Kibana did not answer."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code
